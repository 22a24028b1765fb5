//! JetStream as the rest of the module uses it: store a message, get one, and keep at it while
//! that may help.

use std::sync::Arc;

use async_nats::HeaderMap;
use bytes::Bytes;
use micro_plugin_api::{Error, Result};
use serde_json::{Value, json};

use super::{
    api::{self, Failure, Stored, code},
    entry::{Entry, Given},
    layout::Layout,
    setup::Setup,
};
use crate::connection::{Connection, Deadline, backoff};

/// JetStream through one connection.
pub(super) struct Jet {
    pub(super) connection: Arc<Connection>,
    pub(super) layout: Layout,
    pub(super) setup: Setup,
}

impl Jet {
    /// Does `attempt` until it succeeds, fails for good, or the deadline is over. The streams are
    /// there when it is made.
    ///
    /// # Errors
    /// That of the last attempt, as one who wanted `what` should read it.
    pub(super) async fn surely<T, F>(
        &self,
        what: &str,
        deadline: Deadline,
        attempt: impl Fn() -> F + Send + Sync,
    ) -> Result<T>
    where
        F: Future<Output = Result<T, Failure>> + Send,
    {
        let mut pauses = backoff();
        loop {
            self.setup.ensure(self, deadline).await?;
            let failure = match attempt().await {
                Ok(done) => return Ok(done),
                Err(failure) => failure,
            };
            if failure.is(code::STREAM_NOT_FOUND) || matches!(failure, Failure::Nobody) {
                // Somebody may have deleted it.
                self.setup.forget();
            } else if !failure.is_passing() {
                return Err(failure.explain(&self.connection, what));
            }
            let pause = pauses.next_wait();
            if deadline.left() <= pause {
                return Err(failure.explain(&self.connection, what));
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Stores a message once: one with an id in its header that was stored already is the same.
    /// Its place in the stream.
    pub(super) async fn store(
        &self,
        subject: &str,
        headers: HeaderMap,
        body: Bytes,
        deadline: Deadline,
    ) -> Result<u64, Failure> {
        let answer = api::ask(&self.connection, subject, Some(headers), body, deadline).await?;
        Ok(api::answer::<Stored>(&answer)?.seq)
    }

    /// The message at a place of the stream of events.
    pub(super) async fn at(
        &self,
        sequence: u64,
        deadline: Deadline,
    ) -> Result<Option<Entry>, Failure> {
        let subject = format!("$JS.API.DIRECT.GET.{}", self.layout.events);
        let query = json!({"seq": sequence});
        let payload = query.to_string().into();
        let answer = api::ask(&self.connection, &subject, None, payload, deadline).await;
        if let Ok(answer) = answer
            && let Some(entry) = Entry::direct(answer).map_err(Failure::Senseless)?
        {
            return Ok(Some(entry));
        }
        // Any server of a cluster may have answered; the leader knows better.
        self.leader(&self.layout.events, &query, deadline).await
    }

    /// The last message of a subject.
    pub(super) async fn last(
        &self,
        stream: &str,
        subject: &str,
        deadline: Deadline,
    ) -> Result<Option<Entry>, Failure> {
        let query = json!({"last_by_subj": subject});
        self.leader(stream, &query, deadline).await
    }

    async fn leader(
        &self,
        stream: &str,
        query: &Value,
        deadline: Deadline,
    ) -> Result<Option<Entry>, Failure> {
        let name = format!("STREAM.MSG.GET.{stream}");
        match api::request::<Given>(&self.connection, &name, query, deadline).await {
            Ok(given) => {
                let entry = given.entry();
                entry.map(Some).ok_or(Failure::Senseless(name))
            }
            Err(failure) if failure.is(code::MESSAGE_NOT_FOUND) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// The error of a failure that nothing else can be said about.
    pub(super) fn error(&self, failure: &Failure, what: &str) -> Error {
        failure.explain(&self.connection, what)
    }
}
