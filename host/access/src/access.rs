//! The one layer that every door asks: token, account, namespace, rules.

use std::sync::Arc;

use micro_modules::Modules;

use crate::{KeyError, KeySource, Tokens};

/// Why the layer could not be made.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// There is no signing key.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// Who is calling and may they. Clones share everything.
#[derive(Clone)]
pub struct Access(Arc<Inner>);

struct Inner {
    tokens: Tokens,
}

impl Access {
    /// The layer over the accounts and rules in the store of `modules`.
    ///
    /// # Errors
    /// No signing key, or a store that cannot be read.
    pub async fn open(_modules: Arc<Modules>, keys: KeySource) -> Result<Self, AccessError> {
        Ok(Self(Arc::new(Inner {
            tokens: Tokens::new(keys.load()?),
        })))
    }

    /// Makes and verifies tokens.
    pub fn tokens(&self) -> &Tokens {
        &self.0.tokens
    }
}
