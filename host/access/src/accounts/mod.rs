//! The accounts of all namespaces: made, found, authenticated, changed, deleted.

mod admin;
mod error;
mod limits;
mod service;
mod stored;

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, atomic::AtomicU64},
};

use micro_plugin_api::store::{Commit, Precondition, Version};
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

pub use error::AccountError;
pub use service::ServiceAccount;
use stored::{ById, Stored};

use crate::{
    Account, namespace,
    records::{ACCOUNTS, RecordError, Records, put},
    secrets::{Claim, Hasher},
};

/// How often a change starts over when somebody else changed the account meanwhile.
const ATTEMPTS: usize = 8;

/// An account to be made.
#[derive(Clone, Debug, Default)]
pub struct NewAccount {
    /// The namespace that it shall belong to.
    pub namespace: String,
    /// Unique within the namespace.
    pub id: String,
    /// Unique within the namespace; empty means the id.
    pub name: String,
    /// Empty means `user`.
    pub kind: String,
    /// What rules and authorization go by.
    pub scopes: Vec<String>,
    /// Facts about the account; `created` is added.
    pub metadata: BTreeMap<String, String>,
    /// `None` or empty: one is made up.
    pub secret: Option<SecretString>,
}

/// An account that somebody has just proved to be theirs.
#[derive(Clone, Debug)]
pub struct Session {
    /// The account.
    pub account: Account,
    /// What tokens are bound to ([`crate::Tokens::issue`]); another one after the secret changed.
    pub generation: String,
    /// Proves the same again, without the secret, until that changes or the account is deleted.
    pub refresh_token: SecretString,
}

/// Whose accounts somebody may change who does not know their secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Everybody's.
    Everybody,
    /// Those of people who are no admins ([`Account::is_privileged`]).
    Plain,
}

impl Reach {
    fn covers(self, stored: &Stored) -> Result<(), AccountError> {
        let privileged = || stored.clone().into_account().is_privileged();
        match self {
            Self::Plain if privileged() => Err(AccountError::Privileged),
            _ => Ok(()),
        }
    }
}

/// By what somebody may change a secret.
#[derive(Clone, Copy, Debug)]
pub enum Proof<'a> {
    /// They know the one that holds.
    Secret(&'a SecretString),
    /// They are allowed to.
    Authority(Reach),
}

impl From<Stored> for Session {
    fn from(stored: Stored) -> Self {
        Self {
            generation: stored.generation.clone(),
            refresh_token: stored.refresh.clone().into(),
            account: stored.into_account(),
        }
    }
}

/// The accounts of all namespaces, in the store.
pub struct Accounts {
    records: Records,
    hasher: Arc<Hasher>,
    default_admin: bool,
    /// The epoch for which namespace `micro` is known to have a user.
    admin_checked: AtomicU64,
}

impl Accounts {
    pub(crate) fn new(records: Records, hasher: Arc<Hasher>, default_admin: bool) -> Self {
        Self {
            records,
            hasher,
            default_admin,
            admin_checked: AtomicU64::new(0),
        }
    }

    /// Makes an account, and answers it with its secret: nobody can read that again.
    ///
    /// # Errors
    /// No id; a namespace that cannot be one; an id or name that is taken. Of several that make
    /// the same account at the same time, one succeeds.
    pub async fn create(&self, new: NewAccount) -> Result<(Account, SecretString), AccountError> {
        if new.id.is_empty() {
            return Err(AccountError::IdRequired);
        }
        namespace::check(&new.namespace)?;
        limits::check(&new).map_err(AccountError::Invalid)?;
        let secret = new
            .secret
            .clone()
            .filter(|secret| !secret.expose_secret().is_empty())
            .unwrap_or_else(|| Uuid::new_v4().to_string().into());
        limits::check_secret(&secret)?;
        let mut stored = Stored::new(new);
        // Hashing is the expensive part, and most that fail do so here.
        self.refuse_taken(&stored).await?;
        let claim = Claim::new(None, &stored.issuer, &stored.id);
        stored.secret = self.hasher.hash(&claim, &secret).await?;
        match self.records.commit(stored.insertion()).await {
            Ok(()) => Ok((stored.into_account(), secret)),
            Err(error) if error.is_conflict() => {
                self.refuse_taken(&stored).await?;
                Err(AccountError::IdTaken)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn refuse_taken(&self, new: &Stored) -> Result<(), AccountError> {
        if self.by_id(&new.issuer, &new.id).await?.is_some() {
            return Err(AccountError::IdTaken);
        }
        let name = stored::name_key(&new.issuer, &new.name);
        match self.records.read::<ById>(ACCOUNTS, &name).await? {
            Some(_) => Err(AccountError::NameTaken),
            None => Ok(()),
        }
    }

    /// The account of this id, or else of this name.
    ///
    /// # Errors
    /// A store that fails.
    pub async fn find(&self, namespace: &str, id: &str) -> Result<Option<Account>, AccountError> {
        let found = self.by_id_or_name(namespace, id).await?;
        Ok(found.map(|(stored, _)| stored.into_account()))
    }

    /// The accounts of a namespace, in order of their ids.
    ///
    /// # Errors
    /// A namespace that cannot be one; a store that fails.
    pub async fn list(&self, namespace: &str) -> Result<Vec<Account>, AccountError> {
        namespace::check(namespace)?;
        self.ensure_default_admin(namespace).await?;
        let all = self.all(namespace).await?;
        Ok(all.into_iter().map(Stored::into_account).collect())
    }

    /// The account of this id or name, if `secret` is its secret. Who asks from one address
    /// (`source`; `None` if it is not known) waits for those who ask for the same account from
    /// there, not for others.
    ///
    /// # Errors
    /// No such account; another secret; too many at once.
    pub async fn authenticate(
        &self,
        namespace: &str,
        id: &str,
        secret: &SecretString,
        source: Option<IpAddr>,
    ) -> Result<Session, AccountError> {
        self.ensure_default_admin(namespace).await?;
        let (stored, _) = self.existing(namespace, id).await?;
        let claim = Claim::new(source, namespace, &stored.id);
        if limits::check_secret(secret).is_err()
            || !self.hasher.verify(&claim, secret, &stored.secret).await?
        {
            return Err(AccountError::WrongSecret);
        }
        Ok(stored.into())
    }

    /// The account that this refresh token was given to.
    ///
    /// # Errors
    /// A token that is not, or no more, one of the namespace.
    pub async fn refresh(
        &self,
        namespace: &str,
        token: &SecretString,
    ) -> Result<Session, AccountError> {
        let invalid = || AccountError::InvalidToken(crate::InvalidToken);
        if !namespace::is_valid(namespace) {
            return Err(invalid());
        }
        let token = Uuid::parse_str(token.expose_secret()).map_err(|_| invalid())?;
        let token = token.to_string();
        let key = stored::refresh_key(namespace, &token);
        let (holder, _) = self
            .records
            .read::<ById>(ACCOUNTS, &key)
            .await?
            .ok_or_else(invalid)?;
        let (stored, _) = self
            .by_id(namespace, &holder.id)
            .await?
            .ok_or_else(invalid)?;
        // The two records are read one after the other: between, the token may have changed.
        if stored.refresh != token {
            return Err(invalid());
        }
        Ok(stored.into())
    }

    /// Gives the account of this id or name a new secret. All its tokens end with the old one.
    ///
    /// # Errors
    /// No such account, or not one within `proof`; an old secret that is not its own, in which
    /// case nothing has changed; a new one that is too long.
    pub async fn change_secret(
        &self,
        namespace: &str,
        id: &str,
        proof: Proof<'_>,
        new: &SecretString,
        source: Option<IpAddr>,
    ) -> Result<(), AccountError> {
        limits::check_secret(new)?;
        let mut hashed = None;
        for _ in 0..ATTEMPTS {
            let (current, version) = self.existing(namespace, id).await?;
            let claim = Claim::new(source, namespace, &current.id);
            match proof {
                Proof::Authority(reach) => reach.covers(&current)?,
                Proof::Secret(old) => {
                    if !self.hasher.verify(&claim, old, &current.secret).await? {
                        return Err(AccountError::WrongSecret);
                    }
                }
            }
            let hash = match hashed.take() {
                Some(hash) => hash,
                None => self.hasher.hash(&claim, new).await?,
            };
            let change = current
                .with_secret(hash.clone())
                .replacing(&current, version);
            match self.records.commit_and_tell(change).await {
                Err(error) if error.is_conflict() => hashed = Some(hash),
                result => return Ok(result?),
            }
        }
        Err(AccountError::Contended)
    }

    /// Deletes the account of this id or name; its tokens end within a second, everywhere.
    ///
    /// # Errors
    /// No such account, or not one within `reach`.
    pub async fn delete(
        &self,
        namespace: &str,
        id: &str,
        reach: Reach,
    ) -> Result<(), AccountError> {
        for _ in 0..ATTEMPTS {
            let (current, version) = self.existing(namespace, id).await?;
            reach.covers(&current)?;
            let deletion = current.deletion(version);
            match self.records.commit_and_tell(deletion).await {
                Err(error) if error.is_conflict() => {}
                result => return Ok(result?),
            }
        }
        Err(AccountError::Contended)
    }

    /// The account of this id, as it is stored.
    pub(crate) async fn by_id(
        &self,
        namespace: &str,
        id: &str,
    ) -> Result<Option<(Stored, Version)>, RecordError> {
        let key = stored::account_key(namespace, id);
        self.records.read(ACCOUNTS, &key).await
    }

    async fn by_id_or_name(
        &self,
        namespace: &str,
        id: &str,
    ) -> Result<Option<(Stored, Version)>, RecordError> {
        // The keys of `a/b` would be those of `a`.
        if !namespace::is_valid(namespace) {
            return Ok(None);
        }
        if let Some(found) = self.by_id(namespace, id).await? {
            return Ok(Some(found));
        }
        let key = stored::name_key(namespace, id);
        match self.records.read::<ById>(ACCOUNTS, &key).await? {
            Some((named, _)) => self.by_id(namespace, &named.id).await,
            None => Ok(None),
        }
    }

    async fn existing(&self, namespace: &str, id: &str) -> Result<(Stored, Version), AccountError> {
        self.by_id_or_name(namespace, id)
            .await?
            .ok_or(AccountError::NotFound)
    }

    async fn all(&self, namespace: &str) -> Result<Vec<Stored>, RecordError> {
        let prefix = stored::account_key(namespace, "");
        self.records.list(ACCOUNTS, &prefix).await
    }
}

impl Stored {
    /// The writes that make this account, if neither its id nor its name is taken.
    fn insertion(&self) -> Commit {
        self.with_index(Commit::new().put(
            ACCOUNTS,
            stored::account_key(&self.issuer, &self.id),
            Precondition::Absent,
            put(self),
        ))
        .put(
            ACCOUNTS,
            stored::name_key(&self.issuer, &self.name),
            Precondition::Absent,
            put(&ById {
                id: self.id.clone(),
            }),
        )
    }

    /// The writes that put this account in the place of `old`, which has the same id and name.
    fn replacing(&self, old: &Self, version: Version) -> Commit {
        self.with_index(
            Commit::new()
                .put(
                    ACCOUNTS,
                    stored::account_key(&self.issuer, &self.id),
                    Precondition::Version(version),
                    put(self),
                )
                .delete(
                    ACCOUNTS,
                    stored::refresh_key(&old.issuer, &old.refresh),
                    Precondition::Any,
                ),
        )
    }

    /// The writes that delete this account.
    fn deletion(&self, version: Version) -> Commit {
        let delete = |commit: Commit, key| commit.delete(ACCOUNTS, key, Precondition::Any);
        let commit = Commit::new().delete(
            ACCOUNTS,
            stored::account_key(&self.issuer, &self.id),
            Precondition::Version(version),
        );
        let commit = delete(commit, stored::name_key(&self.issuer, &self.name));
        delete(commit, stored::refresh_key(&self.issuer, &self.refresh))
    }

    fn with_index(&self, commit: Commit) -> Commit {
        commit.put(
            ACCOUNTS,
            stored::refresh_key(&self.issuer, &self.refresh),
            Precondition::Absent,
            put(&ById {
                id: self.id.clone(),
            }),
        )
    }
}
