//! A library's logs: its `tracing` and `log` events and its panics go to the host, which says
//! first what it wants.

use std::{
    fmt::{self, Write},
    panic::{self, PanicHookInfo},
    sync::OnceLock,
    thread,
};

use tracing_core::{
    Event, Interest, LevelFilter, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

use crate::abi::{
    guard,
    host::program,
    tables::{HostRecord, Interface, LogTable},
};

struct Sink {
    plugin: &'static str,
    table: &'static LogTable,
}

static SINK: OnceLock<Sink> = OnceLock::new();

/// Sends the logs of this library to the host, from its first open on. A plugin that is linked
/// into the host's own program shares these things with it, and is left alone.
pub(super) fn forward(plugin: &'static str, host: HostRecord) {
    if host.program == program() {
        return;
    }
    let Some(table) = (host.query)(LogTable::NAME.into())
        .into_option()
        .and_then(|interface| interface.check::<LogTable>().ok())
    else {
        return;
    };
    if SINK.set(Sink { plugin, table }).is_err() {
        return;
    }
    panic::set_hook(Box::new(report));
    // Both fail only if the author's code has set its own, which is then what was wanted.
    let _ = tracing::subscriber::set_global_default(Forwarder);
    if log::set_logger(&Forwarder).is_ok() {
        log::set_max_level(log::LevelFilter::Trace);
    }
}

fn enabled(level: u32) -> bool {
    SINK.get().is_some_and(|sink| (sink.table.enabled)(level))
}

fn send(level: u32, target: &str, text: &str) {
    if let Some(sink) = SINK.get() {
        (sink.table.log)(level, sink.plugin.into(), target.into(), text.into());
    }
}

/// The panic hook. It holds nothing between two panics, so that threads that panic at once each
/// get their line.
fn report(info: &PanicHookInfo<'_>) {
    let place = info
        .location()
        .map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
    let thread = thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    let text = guard::message(info.payload());
    send(
        ERROR,
        "panic",
        &format!("thread `{thread}` panicked at {place}: {text}"),
    );
    guard::remember_location(place);
}

/// The levels as they cross: 1 error, 2 warn, 3 info, 4 debug, 5 trace.
const ERROR: u32 = 1;

fn level(level: &tracing_core::Level) -> u32 {
    use tracing_core::Level;
    match *level {
        Level::ERROR => ERROR,
        Level::WARN => 2,
        Level::INFO => 3,
        Level::DEBUG => 4,
        Level::TRACE => 5,
    }
}

struct Forwarder;

impl Subscriber for Forwarder {
    /// Asked each time: what the host wants may change while it runs.
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if metadata.is_event() {
            Interest::sometimes()
        } else {
            Interest::never()
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        None
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && enabled(level(metadata.level()))
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = Text::default();
        event.record(&mut text);
        let metadata = event.metadata();
        text.message.push_str(&text.fields);
        send(level(metadata.level()), metadata.target(), &text.message);
    }

    // Spans do not cross: none is ever enabled.
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(u64::MAX)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

impl log::Log for Forwarder {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        enabled(metadata.level() as u32)
    }

    fn log(&self, record: &log::Record<'_>) {
        if log::Log::enabled(self, record.metadata()) {
            send(
                record.level() as u32,
                record.target(),
                &record.args().to_string(),
            );
        }
    }

    fn flush(&self) {}
}

/// An event as text: its message, then its fields as ` name=value`.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string cannot fail.
        let _ = if field.name() == "message" {
            write!(self.message, "{value:?}")
        } else {
            write!(self.fields, " {}={value:?}", field.name())
        };
    }
}
