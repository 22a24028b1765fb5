//! An event as one line of `key=value` pairs.

use std::{
    fmt::{self, Debug, Write as _},
    time::SystemTime,
};

use prost_types::Timestamp;
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

/// `ts=… level=… file=… msg=…`, then the fields of the event, values quoted where they need it.
pub(super) struct Pairs;

impl<S, N> FormatEvent<S, N> for Pairs
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let facts = event.metadata();
        write!(writer, "ts={}", Timestamp::from(SystemTime::now()))?;
        let level = facts.level().as_str().to_ascii_lowercase();
        write!(writer, " level={level}")?;
        match (facts.file(), facts.line()) {
            (Some(file), Some(line)) => write!(writer, " file={file}:{line}")?,
            _ => write!(writer, " file={}", facts.target())?,
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        write!(writer, " msg={}", Value(&fields.message))?;
        writer.write_str(&fields.others)?;
        writer.write_char('\n')
    }
}

/// The message of an event, and its other fields as ` key=value`.
#[derive(Default)]
struct Fields {
    message: String,
    others: String,
}

impl Fields {
    fn add(&mut self, field: &Field, text: String) {
        if field.name() == "message" {
            self.message = text;
        } else {
            let (name, value) = (field.name(), Value(&text));
            let _ = write!(self.others, " {name}={value}");
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.add(field, format!("{value:?}"));
    }
}

/// A value, in quotes unless it is a word: so that a line stays a line, and splits at its spaces.
struct Value<'a>(&'a str);

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |c: char| c.is_alphanumeric() || "-_./:@+,%*()[]{}".contains(c);
        if !self.0.is_empty() && self.0.chars().all(word) {
            f.write_str(self.0)
        } else {
            write!(f, "{:?}", self.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use super::Pairs;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_event_is_one_line_of_pairs() {
        let lines = Lines::default();
        let written = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || lines.clone())
            .event_format(Pairs)
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(
                user = "jane",
                age = 7,
                note = "two\nlines",
                "it's {}",
                "here"
            );
        });
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        let (ts, rest) = text.split_once(" level=").unwrap();
        assert!(ts.starts_with("ts=20") && ts.ends_with('Z'), "{text}");
        let (place, rest) = rest.split_once(" msg=").unwrap();
        assert!(
            place.starts_with("warn file=") && place.contains("format.rs:"),
            "{text}"
        );
        assert_eq!(rest, "\"it's here\" user=jane age=7 note=\"two\\nlines\"\n");
    }
}
