//! The record of a namespace's configuration in the store.

use std::{sync::Arc, time::Duration};

use micro_modules::{Modules, PLATFORM_DATABASE};
use micro_plugin_api::{
    Call, Code,
    store::{Commit, Precondition, Put, Table, Version},
};

use super::tree::{ChangeError, Node};

/// Where configurations are; the key is the namespace.
pub(super) const TABLE: Table<'static> = Table::new(PLATFORM_DATABASE, "config");

/// The most bytes of a namespace's configuration as it is stored.
const MAX_LENGTH: usize = 4 << 20;

/// How long the store may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Why a configuration could not be read or changed. Clones say the same to all whom it concerns.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum ConfigError {
    #[error(transparent)]
    Change(#[from] ChangeError),
    #[error(
        "the configuration of the namespace would be larger than {} MiB; keep large values in the store",
        MAX_LENGTH >> 20
    )]
    TooLarge,
    /// Nothing was ever set in the namespace.
    #[error("Not found")]
    Missing,
    #[error("the configuration of namespace {namespace} is damaged ({source}); restore its record")]
    Damaged {
        namespace: String,
        source: Arc<serde_json::Error>,
    },
    #[error("too many changes wait for the configuration of this namespace; try again")]
    Busy,
    #[error("the server stopped before the change was made")]
    Stopping,
    #[error(transparent)]
    Store(#[from] micro_plugin_api::Error),
}

/// The configurations of all namespaces.
#[derive(Clone)]
pub(super) struct Stored {
    pub(super) modules: Arc<Modules>,
}

impl Stored {
    /// The configuration of a namespace, with its version; none if nothing was ever set.
    pub(super) async fn read(
        &self,
        namespace: &str,
    ) -> Result<Option<(Node, Version)>, ConfigError> {
        let call = Self::call();
        let store = self.modules.store();
        let Some(record) = store.read(&call, TABLE, namespace).await? else {
            return Ok(None);
        };
        let tree =
            serde_json::from_slice(&record.value).map_err(|source| ConfigError::Damaged {
                namespace: namespace.to_owned(),
                source: Arc::new(source),
            })?;
        Ok(Some((tree, record.version)))
    }

    /// Writes a configuration in place of the version that was read; false if somebody else has
    /// written since.
    pub(super) async fn write(
        &self,
        namespace: &str,
        tree: Vec<u8>,
        read: Option<Version>,
    ) -> Result<bool, ConfigError> {
        let put = Put {
            value: tree.into(),
            ..Put::default()
        };
        let precondition = read.map_or(Precondition::Absent, Precondition::Version);
        let commit = Commit::new().put(TABLE, namespace, precondition, put);
        let store = self.modules.store();
        match store.commit(&Self::call(), &commit).await {
            Ok(_) => Ok(true),
            Err(error) if error.code() == Code::CONFLICT => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn call() -> Call {
        Call::new(PLATFORM_DATABASE).with_timeout(TIMEOUT)
    }
}

/// What is stored for a tree.
pub(super) fn encode(tree: &Node) -> Result<Vec<u8>, ConfigError> {
    // A tree holds nothing but texts and JSON values, and its depth is bounded.
    let bytes = serde_json::to_vec(tree)
        .map_err(|error| micro_plugin_api::Error::internal(error.to_string()))?;
    if bytes.len() > MAX_LENGTH {
        return Err(ConfigError::TooLarge);
    }
    Ok(bytes)
}
