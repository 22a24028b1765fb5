//! The signing key at work: there from the start where it is this server's own, and as soon as the
//! store can be read where it is kept there.

use std::sync::{Mutex, OnceLock, PoisonError};

use crate::{
    KeyError, KeySource, Tokens,
    records::{RecordError, Records},
};

/// The signing key is in the store, and could not be read from there so far.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("tokens can be neither made nor checked yet: {0}")]
pub struct NoSigningKey(String);

/// Tokens, once there is a key for them.
pub(crate) struct Signing {
    source: KeySource,
    tokens: OnceLock<Tokens>,
    problem: Mutex<String>,
}

impl Signing {
    /// Reads the key, or makes it. That the store does not answer is no error: see
    /// [`Signing::retry`]. One that is known not to is not asked.
    pub(crate) async fn open(
        source: KeySource,
        records: &Records,
        unanswered: Option<RecordError>,
    ) -> Result<Self, KeyError> {
        let signing = Self {
            source,
            tokens: OnceLock::new(),
            problem: Mutex::default(),
        };
        if let (KeySource::Store(_), Some(error)) = (&signing.source, unanswered) {
            signing.failed(&error.into());
            return Ok(signing);
        }
        match signing.load(records).await {
            Err(error) if !error.may_pass() => Err(error),
            _ => Ok(signing),
        }
    }

    /// Reads the key if it is missing still.
    pub(crate) async fn retry(&self, records: &Records) {
        if self.tokens.get().is_some() {
            return;
        }
        let before = self.problem();
        match self.load(records).await {
            Ok(()) => tracing::info!("the signing key was read from the store"),
            Err(error) if before != error.to_string() => tracing::error!("{error}"),
            Err(_) => {}
        }
    }

    async fn load(&self, records: &Records) -> Result<(), KeyError> {
        match self.source.load(records).await {
            Ok(key) => {
                // Nobody else loads it; if somebody did, theirs is the same key.
                let _ = self.tokens.set(Tokens::new(key));
                Ok(())
            }
            Err(error) => {
                self.failed(&error);
                Err(error)
            }
        }
    }

    fn failed(&self, error: &KeyError) {
        *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = error.to_string();
    }

    fn problem(&self) -> String {
        let problem = self.problem.lock();
        problem.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes and verifies tokens.
    pub(crate) fn tokens(&self) -> Result<&Tokens, NoSigningKey> {
        self.tokens
            .get()
            .ok_or_else(|| NoSigningKey(self.problem()))
    }
}
