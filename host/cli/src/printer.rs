//! The one way to the terminal: results and prompts go to stdout, errors and progress to stderr.

mod table;

use std::{
    io::{self, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;

pub use table::{Align, Table};

use crate::error::{CliError, Result};

/// The result of a command, which the [`Printer`] turns into text.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Nothing to say.
    Nothing,
    /// One line each.
    Lines(Vec<String>),
    /// Text that already has its own line ends, such as help.
    Text(String),
    /// Rows under headings.
    Table(Table),
    /// A JSON value, indented with tabs.
    Json(Value),
    /// A JSON value, indented with two spaces.
    Spaced(Value),
    /// JSON on one line.
    Compact(Value),
    /// Bytes as they came, and a line end.
    Raw(Bytes),
}

impl Output {
    /// One line.
    pub fn line(text: impl Into<String>) -> Self {
        Self::Lines(vec![text.into()])
    }

    fn render(&self) -> Vec<u8> {
        match self {
            Self::Nothing => Vec::new(),
            Self::Lines(lines) => lines
                .iter()
                .flat_map(|line| line.bytes().chain([b'\n']))
                .collect(),
            Self::Text(text) => text.clone().into_bytes(),
            Self::Table(table) => table.render().into_bytes(),
            Self::Json(value) => indented(value, b"\t"),
            Self::Spaced(value) => indented(value, b"  "),
            Self::Compact(value) => format!("{value}\n").into_bytes(),
            Self::Raw(bytes) => bytes.iter().copied().chain([b'\n']).collect(),
        }
    }
}

fn indented(value: &Value, indent: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    let format = serde_json::ser::PrettyFormatter::with_indent(indent);
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, format);
    value
        .serialize(&mut serializer)
        .expect("a JSON value is always writable to memory");
    text.push(b'\n');
    text
}

type Sink = Mutex<Box<dyn Write + Send>>;

/// Where all output goes.
pub struct Printer {
    out: Sink,
    err: Sink,
}

impl Printer {
    /// Prints to this process's stdout and stderr.
    pub fn terminal() -> Self {
        Self::to(io::stdout(), io::stderr())
    }

    /// Prints to these writers.
    pub fn to(out: impl Write + Send + 'static, err: impl Write + Send + 'static) -> Self {
        Self {
            out: Mutex::new(Box::new(out)),
            err: Mutex::new(Box::new(err)),
        }
    }

    /// A printer that keeps what is printed, for tests.
    pub fn captured() -> (Self, Captured, Captured) {
        let (out, err) = (Captured::default(), Captured::default());
        (Self::to(out.clone(), err.clone()), out, err)
    }

    /// Prints a result to stdout, at once.
    ///
    /// # Errors
    /// A quiet one if the reader has gone; another if the output cannot be written.
    pub fn output(&self, output: &Output) -> Result<()> {
        self.write(&output.render())
    }

    /// Asks for something on stdout, without a line end: the reference page shows prompts among the results.
    ///
    /// # Errors
    /// As of [`Printer::output`].
    pub fn prompt(&self, question: &str) -> Result<()> {
        self.write(question.as_bytes())
    }

    fn write(&self, text: &[u8]) -> Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        let mut out = lock(&self.out);
        out.write_all(text)
            .and_then(|()| out.flush())
            .map_err(|error| match error.kind() {
                io::ErrorKind::BrokenPipe => CliError::broken_pipe(),
                _ => CliError::plain(format!("Cannot write the output: {error}")),
            })
    }

    /// Prints a line on what is going on to stderr.
    pub fn progress(&self, line: &str) {
        self.say(&format!("{line}\n"));
    }

    /// Prints an error and its hint to stderr.
    pub fn error(&self, error: &CliError) {
        if error.quiet {
            return;
        }
        self.progress(&error.message);
        if let Some(hint) = &error.hint {
            self.progress(&format!("hint: {hint}"));
        }
    }

    /// Writes to stderr. That it cannot be written has nowhere to be reported.
    fn say(&self, text: &str) {
        let mut err = lock(&self.err);
        let _unreportable = err.write_all(text.as_bytes()).and_then(|()| err.flush());
    }
}

/// A panic of another thread while it printed does not make the terminal unusable.
fn lock(sink: &Sink) -> MutexGuard<'_, Box<dyn Write + Send>> {
    sink.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a captured printer has printed so far.
#[derive(Clone, Default)]
pub struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    /// The text so far.
    pub fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_and_errors_do_not_mix() {
        let (printer, out, err) = Printer::captured();
        printer.output(&Output::line("result")).unwrap();
        printer.progress("working");
        printer.error(&CliError::plain("failed").hint("try again"));
        assert_eq!(out.text(), "result\n");
        assert_eq!(err.text(), "working\nfailed\nhint: try again\n");
    }

    #[test]
    fn json_is_indented_with_tabs() {
        let value = serde_json::json!({"msg": "Hello John", "list": [], "map": {}});
        let text = String::from_utf8(Output::Json(value).render()).unwrap();
        assert_eq!(
            text,
            "{\n\t\"msg\": \"Hello John\",\n\t\"list\": [],\n\t\"map\": {}\n}\n"
        );
    }

    #[test]
    fn a_reader_that_has_gone_is_a_quiet_end() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let printer = Printer::to(Gone, io::sink());
        let error = printer.output(&Output::line("x")).unwrap_err();
        assert!(error.quiet);
        assert_eq!(error.code, 0);
    }
}
