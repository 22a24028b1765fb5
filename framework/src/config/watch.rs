//! Following a path of the configuration.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures::{Stream, StreamExt as _, stream};
use micro_proto::config::{WatchRequest, WatchResponse};
use tonic::{Request, Streaming};

use super::{Config, Value};
use crate::{Error, client::chance};

/// How long a watch waits before it is begun anew.
const PAUSE: Duration = Duration::from_secs(1);

/// The value under a path, now.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    /// The whole value.
    pub value: Value,
    /// The paths below which it is another than before; empty in the first update, and in the one
    /// after the connection was lost.
    pub changed: Vec<String>,
}

impl Config {
    /// The value under a path now, and again whenever it has changed. A connection that is lost is
    /// made again; changes that came fast are told as one.
    ///
    /// # Errors
    /// What the platform answered to the first attempt.
    pub async fn watch(&self, path: impl Into<String>) -> Result<Watch, Error> {
        let state = State {
            config: self.clone(),
            path: path.into(),
            answers: None,
            told: None,
            ended: false,
        };
        let answers = state.open().await?;
        let state = State {
            answers: Some(answers),
            ..state
        };
        let updates = stream::unfold(state, |mut state| async move {
            let next = state.next().await?;
            Some((next, state))
        });
        Ok(Watch(updates.boxed()))
    }
}

/// The updates of a path. It ends with an error that trying again would not mend.
pub struct Watch(stream::BoxStream<'static, Result<Update, Error>>);

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

impl Stream for Watch {
    type Item = Result<Update, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(cx)
    }
}

struct State {
    config: Config,
    path: String,
    /// `None` after an error, until the watch is begun anew.
    answers: Option<Streaming<WatchResponse>>,
    told: Option<Value>,
    ended: bool,
}

impl State {
    async fn open(&self) -> Result<Streaming<WatchResponse>, Error> {
        let request = WatchRequest {
            namespace: self.config.namespace.clone(),
            path: self.path.clone(),
            options: self.config.options(),
        };
        let answer = self.config.client().watch(Request::new(request)).await?;
        Ok(answer.into_inner())
    }

    /// The next update; `None` after an error for good was told.
    async fn next(&mut self) -> Option<Result<Update, Error>> {
        if self.ended {
            return None;
        }
        loop {
            let Some(answers) = &mut self.answers else {
                tokio::time::sleep(PAUSE.mul_f64(0.5 + chance() / 2.0)).await;
                match self.open().await {
                    Ok(answers) => self.answers = Some(answers),
                    Err(error) if is_for_good(&error) => return self.end(error),
                    Err(_) => {}
                }
                continue;
            };
            match answers.message().await.map_err(Error::from) {
                Ok(Some(answer)) => {
                    let value = match Value::read(answer.value) {
                        Ok(value) => value,
                        Err(error) => return self.end(error),
                    };
                    // After a lost connection the value may be the one that was told.
                    if answer.changed.is_empty() && self.told.as_ref() == Some(&value) {
                        continue;
                    }
                    self.told = Some(value.clone());
                    let changed = answer.changed;
                    return Some(Ok(Update { value, changed }));
                }
                Ok(None) => self.answers = None,
                Err(error) if is_for_good(&error) => return self.end(error),
                Err(_) => self.answers = None,
            }
        }
    }

    fn end(&mut self, error: Error) -> Option<Result<Update, Error>> {
        self.ended = true;
        Some(Err(error))
    }
}

/// Whether the same call would fail the same way again.
pub(crate) fn is_for_good(error: &Error) -> bool {
    matches!(error.code, 400..=404 | 409 | 501)
}
