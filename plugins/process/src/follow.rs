//! The lines of a log as a stream that ends with the file, or goes on as the program prints.

use std::{collections::VecDeque, io, time::Duration};

use futures::{StreamExt, stream};
use micro_plugin_api::{BoxStream, Error, Result, runtime::LogLine};

use crate::{
    logs::{Line, Reader},
    runtime::blocking,
};

struct Follower<F> {
    /// Away while a blocking thread reads; for good after an error or the end.
    reader: Option<Reader>,
    ready: VecDeque<Line>,
    /// How long to wait at the end of the file; `None` to end there.
    poll: Option<Duration>,
    may_go_on: F,
}

/// The lines of `reader`; with `poll`, also those to come. `may_go_on` tells whether a last line
/// without an end may still get one.
pub(crate) fn lines(
    reader: Reader,
    poll: Option<Duration>,
    may_go_on: impl Fn() -> bool + Send + 'static,
) -> BoxStream<Result<LogLine>> {
    let follower = Follower {
        reader: Some(reader),
        ready: VecDeque::new(),
        poll,
        may_go_on,
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
            if let Some(Line { text, time }) = self.ready.pop_front() {
                return Some(Ok(LogLine {
                    text,
                    timestamp: time,
                }));
            }
            let mut reader = self.reader.take()?;
            // Asked before reading: what it printed before it ended is then read for certain.
            let may_go_on = (self.may_go_on)();
            let looked = blocking(move || {
                let lines = reader.lines()?;
                Ok((reader, lines))
            });
            let (mut reader, lines) = match looked.await {
                Ok(looked) => looked,
                Err(error) => return Some(Err(read_error(&error))),
            };
            match (lines, self.poll) {
                (Some(lines), _) => self.ready.extend(lines),
                (None, Some(poll)) => {
                    let rest = if may_go_on { None } else { reader.rest() };
                    match rest {
                        Some(rest) => self.ready.push_back(rest),
                        None => tokio::time::sleep(poll).await,
                    }
                }
                (None, None) => {
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
