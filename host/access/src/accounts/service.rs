//! The accounts of running services: made when one is started, gone when it is stopped.

use std::collections::BTreeMap;

use secrecy::SecretString;

use super::{ATTEMPTS, AccountError, Accounts, NewAccount, stored::Stored};
use crate::{
    KIND_SERVICE, SCOPE_SERVICE, namespace,
    secrets::{self, Claim},
};

/// The metadata that says which service an account is for.
const SERVICE: &str = "service";
/// The metadata that says which version.
const VERSION: &str = "version";

/// What a service proves with who it is; it is told through its environment.
#[derive(Clone, Debug)]
pub struct ServiceAccount {
    /// `NAME-VERSION`.
    pub id: String,
    /// Random; kept by nobody but the service.
    pub secret: SecretString,
}

impl Accounts {
    /// An account for `version` of the service `name`, of type and scope `service`. One of before
    /// gets a new secret, so that its former holder is locked out.
    ///
    /// # Errors
    /// A namespace that cannot be one; an account of that id which is somebody else's.
    pub async fn create_service_account(
        &self,
        namespace: &str,
        name: &str,
        version: &str,
    ) -> Result<ServiceAccount, AccountError> {
        namespace::check(namespace)?;
        let id = service_id(name, version);
        let secret = secrets::random()?;
        let claim = Claim::new(None, namespace, &id);
        let hash = self.hasher.hash(&claim, &secret).await?;
        for _ in 0..ATTEMPTS {
            let result = match self.by_id(namespace, &id).await? {
                Some((current, at)) if is_of(&current, name, version) => {
                    let change = current.with_secret(hash.clone()).replacing(&current, at);
                    self.records.commit_and_tell(change).await
                }
                Some(_) => return Err(AccountError::IdTaken),
                None => {
                    let mut new = Stored::new(NewAccount {
                        namespace: namespace.to_owned(),
                        id: id.clone(),
                        kind: KIND_SERVICE.to_owned(),
                        scopes: vec![SCOPE_SERVICE.to_owned()],
                        metadata: BTreeMap::from([
                            (SERVICE.to_owned(), name.to_owned()),
                            (VERSION.to_owned(), version.to_owned()),
                        ]),
                        ..NewAccount::default()
                    });
                    self.refuse_taken(&new).await?;
                    new.secret.clone_from(&hash);
                    self.records.commit(new.insertion()).await
                }
            };
            match result {
                Ok(()) => return Ok(ServiceAccount { id, secret }),
                Err(error) if error.is_conflict() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(AccountError::Contended)
    }

    /// Deletes the account of a service; its tokens end within a second. No error if there is
    /// none.
    ///
    /// # Errors
    /// A store that fails.
    pub async fn revoke_service_account(
        &self,
        namespace: &str,
        name: &str,
        version: &str,
    ) -> Result<(), AccountError> {
        let id = service_id(name, version);
        for _ in 0..ATTEMPTS {
            let deletion = match self.by_id(namespace, &id).await? {
                Some((current, at)) if is_of(&current, name, version) => current.deletion(at),
                _ => return Ok(()),
            };
            match self.records.commit_and_tell(deletion).await {
                Err(error) if error.is_conflict() => {}
                result => return Ok(result?),
            }
        }
        Err(AccountError::Contended)
    }
}

fn service_id(name: &str, version: &str) -> String {
    format!("{name}-{version}")
}

/// `a-b` of version `c` and `a` of version `b-c` have the same id: neither may take the other's.
fn is_of(account: &Stored, name: &str, version: &str) -> bool {
    let is = |key, value| account.metadata.get(key).is_some_and(|own| own == value);
    account.kind == KIND_SERVICE && is(SERVICE, name) && is(VERSION, version)
}
