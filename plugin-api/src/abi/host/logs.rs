//! What the server offers to plugins: its log, `micro.log/1`.

use std::time::Instant;

use abi_stable::std_types::{RNone, ROption, RSome, RStr};

use super::flood::{LINES, Meter, Verdict};
use crate::{
    abi::{
        guard,
        tables::{HostRecord, Interface, InterfaceRecord, LogTable},
    },
    userinfo,
};

/// The target of everything that plugins log: filter on it, and find the plugin's own target in
/// the field `source`.
macro_rules! target {
    () => {
        "micro::plugin"
    };
}

/// An address that is the same wherever this program's copy of this crate is asked.
pub(crate) fn program() -> *const () {
    static MARK: u8 = 0;
    std::ptr::from_ref(&MARK).cast()
}

pub(super) fn services() -> HostRecord {
    HostRecord {
        query,
        program: program(),
    }
}

static METER: Meter = Meter::new();

static TABLE: LogTable = LogTable { enabled, log };

extern "C" fn query(name: RStr<'_>) -> ROption<InterfaceRecord> {
    if name.as_str() == LogTable::NAME {
        RSome(InterfaceRecord::new(&TABLE))
    } else {
        RNone
    }
}

extern "C" fn enabled(level: u32) -> bool {
    use tracing::{Level, enabled};
    // A subscriber is the server's own code, but it runs on a plugin's stack here.
    guard::contain(|| match level {
        1 => enabled!(target: target!(), Level::ERROR),
        2 => enabled!(target: target!(), Level::WARN),
        3 => enabled!(target: target!(), Level::INFO),
        4 => enabled!(target: target!(), Level::DEBUG),
        _ => enabled!(target: target!(), Level::TRACE),
    })
    .unwrap_or(false)
}

extern "C" fn log(level: u32, plugin: RStr<'_>, source: RStr<'_>, text: RStr<'_>) {
    use tracing::{Level, event};
    let (plugin, source, text) = (plugin.as_str(), source.as_str(), text.as_str());
    let _ = guard::contain(|| {
        match METER.count(plugin, Instant::now()) {
            Verdict::Write { left_out: 0 } => {}
            Verdict::Write { left_out } => {
                event!(target: target!(), Level::WARN, plugin, flood = true, "{left_out} lines of this plugin were left out");
            }
            Verdict::Warn => {
                event!(target: target!(), Level::WARN, plugin, flood = true, "this plugin logs more than {LINES} lines a second: the rest of this second is left out");
                return;
            }
            Verdict::Drop => return,
        }
        let text = userinfo::hide_in_text(text);
        match level {
            1 => event!(target: target!(), Level::ERROR, plugin, source, "{text}"),
            2 => event!(target: target!(), Level::WARN, plugin, source, "{text}"),
            3 => event!(target: target!(), Level::INFO, plugin, source, "{text}"),
            4 => event!(target: target!(), Level::DEBUG, plugin, source, "{text}"),
            _ => event!(target: target!(), Level::TRACE, plugin, source, "{text}"),
        }
    });
}
