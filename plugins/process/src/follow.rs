//! The lines of a log as a stream that ends with the file, or goes on as the program prints.

use std::{collections::VecDeque, io, time::Duration};

use futures::{StreamExt, stream};
use micro_plugin_api::{BoxStream, Error, Result, runtime::LogLine};

use crate::{logs::Reader, runtime::blocking};

struct Follower<F> {
    /// Away while a blocking thread reads; for good after an error or the end.
    reader: Option<Reader>,
    ready: VecDeque<String>,
    /// How long to wait at the end of the file; `None` to end there.
    poll: Option<Duration>,
    is_running: F,
}

/// What one look at the file brought.
enum Step {
    Lines(Vec<String>),
    AtEnd,
}

/// The lines of `reader`; with `poll`, also those to come. `is_running` tells whether a last line
/// without an end may still get one.
pub(crate) fn lines(
    reader: Reader,
    poll: Option<Duration>,
    is_running: impl Fn() -> bool + Send + 'static,
) -> BoxStream<Result<LogLine>> {
    let follower = Follower {
        reader: Some(reader),
        ready: VecDeque::new(),
        poll,
        is_running,
    };
    stream::unfold(follower, |mut follower| async move {
        let line = follower.next().await?;
        Some((line, follower))
    })
    .boxed()
}

impl<F: Fn() -> bool> Follower<F> {
    async fn next(&mut self) -> Option<Result<LogLine>> {
        loop {
            if let Some(text) = self.ready.pop_front() {
                return Some(Ok(LogLine {
                    text,
                    timestamp: None,
                }));
            }
            let mut reader = self.reader.take()?;
            // Asked before reading: what it printed before it ended is then read for certain.
            let running = (self.is_running)();
            let looked = blocking(move || {
                let step = match reader.lines()? {
                    Some(lines) => Step::Lines(lines),
                    None => {
                        reader.reopen_if_changed()?;
                        Step::AtEnd
                    }
                };
                Ok((reader, step))
            });
            let (mut reader, step) = match looked.await {
                Ok(looked) => looked,
                Err(error) => return Some(Err(read_error(&error))),
            };
            match (step, self.poll) {
                (Step::Lines(lines), _) => self.ready.extend(lines),
                (Step::AtEnd, Some(poll)) => {
                    if running {
                        tokio::time::sleep(poll).await;
                    } else if let Some(rest) = reader.rest() {
                        self.ready.push_back(rest);
                    } else {
                        tokio::time::sleep(poll).await;
                    }
                }
                (Step::AtEnd, None) => {
                    self.ready.extend(reader.rest());
                    continue; // the reader is dropped: after the rest comes the end
                }
            }
            self.reader = Some(reader);
        }
    }
}

fn read_error(error: &io::Error) -> Error {
    Error::unavailable(format!("cannot go on reading the log: {error}"))
}
