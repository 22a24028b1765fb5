//! A library's logs: its `tracing` and `log` events and its panics go to the host, which says
//! first what it wants.

use std::{
    fmt::{self, Write},
    panic::{self, PanicHookInfo},
    sync::OnceLock,
    thread,
    time::Instant,
};

use tracing_core::{
    Event, Interest, LevelFilter, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

use super::voices::Voices;
use crate::abi::{
    guard,
    host::program,
    tables::{HostRecord, Interface, LogTable},
};

struct Sink {
    plugin: &'static str,
    voices: Voices,
    table: &'static LogTable,
}

static SINK: OnceLock<Sink> = OnceLock::new();

/// Sends the logs of this library to the host, from its first open on. A plugin that is linked
/// into the host's own program shares these things with it, and is left alone.
///
/// `module` is a path in the plugin's own crate.
pub(super) fn forward(plugin: &'static str, module: &'static str, host: HostRecord) {
    if host.program == program() {
        return;
    }
    let Some(table) = (host.query)(LogTable::NAME.into())
        .into_option()
        .and_then(|interface| interface.check::<LogTable>().ok())
    else {
        return;
    };
    let sink = Sink {
        plugin,
        voices: Voices::new(module),
        table,
    };
    if SINK.set(sink).is_err() {
        return;
    }
    panic::set_hook(Box::new(report));
    // Both fail only if the author's code has set its own, which is then what was wanted.
    let _ = tracing::subscriber::set_global_default(Forwarder);
    if log::set_logger(&Forwarder).is_ok() {
        log::set_max_level(log::LevelFilter::Trace);
    }
}

/// Whether the host wants what `module` says at a level.
fn enabled(level: u32, module: &str) -> bool {
    let wanted = |sink: &Sink| (sink.table.enabled)(sink.voices.level(level, module));
    SINK.get().is_some_and(wanted)
}

/// Sends what `module` says, if the host wants it.
fn tell(level: u32, module: &str, target: &str, text: &str) {
    let Some(sink) = SINK.get() else { return };
    let told = sink.voices.of_text(level, module, text, Instant::now());
    if (sink.table.enabled)(told) {
        send(told, target, text);
    }
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
pub(super) const INFO: u32 = 3;
pub(super) const DEBUG: u32 = 4;

fn level(level: &tracing_core::Level) -> u32 {
    use tracing_core::Level;
    match *level {
        Level::ERROR => ERROR,
        Level::WARN => 2,
        Level::INFO => INFO,
        Level::DEBUG => DEBUG,
        Level::TRACE => 5,
    }
}

/// Where an event comes from.
fn module<'a>(metadata: &'a Metadata<'_>) -> &'a str {
    metadata.module_path().unwrap_or(metadata.target())
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
        metadata.is_event() && enabled(level(metadata.level()), module(metadata))
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = Text::default();
        event.record(&mut text);
        let metadata = event.metadata();
        text.message.push_str(&text.fields);
        let level = level(metadata.level());
        tell(level, module(metadata), metadata.target(), &text.message);
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
        enabled(metadata.level() as u32, metadata.target())
    }

    fn log(&self, record: &log::Record<'_>) {
        let module = record.module_path().unwrap_or(record.target());
        let level = record.level() as u32;
        if enabled(level, module) {
            tell(level, module, record.target(), &record.args().to_string());
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
