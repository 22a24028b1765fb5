//! An account as it lies in the store.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::NewAccount;
use crate::{Account, KIND_USER, tokens::unix_seconds};

/// The value of an account's record. Not `Debug`: it holds secrets.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Stored {
    pub(crate) id: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) issuer: String,
    pub(crate) name: String,
    pub(crate) scopes: Vec<String>,
    pub(crate) metadata: BTreeMap<String, String>,
    /// A PHC string.
    pub(crate) secret: String,
    /// Tokens of another generation are void.
    pub(crate) generation: String,
    /// The refresh token: one an account, the same at every login.
    pub(crate) refresh: String,
}

/// The value of a record that finds an account by something else than its id.
#[derive(Serialize, Deserialize)]
pub(crate) struct ById {
    pub(crate) id: String,
}

impl Stored {
    /// The account as it is to be made, still without a secret.
    pub(crate) fn new(new: NewAccount) -> Self {
        let mut metadata = new.metadata;
        metadata.insert("created".to_owned(), unix_seconds().to_string());
        let or = |text: String, default: &str| {
            if text.is_empty() {
                default.to_owned()
            } else {
                text
            }
        };
        Self {
            kind: or(new.kind, KIND_USER),
            name: or(new.name, &new.id),
            id: new.id,
            issuer: new.namespace,
            scopes: new.scopes,
            metadata,
            secret: String::new(),
            generation: Uuid::now_v7().to_string(),
            // Version 4 for its 122 random bits: this one is a secret.
            refresh: Uuid::new_v4().to_string(),
        }
    }

    /// The same account with another secret, so that no token of before is valid.
    pub(crate) fn with_secret(&self, secret: String) -> Self {
        Self {
            secret,
            generation: Uuid::now_v7().to_string(),
            refresh: Uuid::new_v4().to_string(),
            ..self.clone()
        }
    }

    pub(crate) fn into_account(self) -> Account {
        Account {
            id: self.id,
            kind: self.kind,
            issuer: self.issuer,
            name: self.name,
            scopes: self.scopes,
            metadata: self.metadata,
        }
    }
}

// A namespace holds no slash, so the parts of these keys cannot be taken for others.

/// Where the account of an id lies.
pub(crate) fn account_key(namespace: &str, id: &str) -> String {
    format!("account/{namespace}/{id}")
}

/// Where the id of a name lies.
pub(crate) fn name_key(namespace: &str, name: &str) -> String {
    format!("accountByName/{namespace}/{name}")
}

/// Where the id of a refresh token's holder lies.
pub(crate) fn refresh_key(namespace: &str, token: &str) -> String {
    format!("refresh/{namespace}/{token}")
}
