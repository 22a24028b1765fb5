//! Tokens that were found valid, so that a call costs neither a signature check nor the store.

use std::sync::Arc;

use aws_lc_rs::digest;
use moka::sync::Cache;

use crate::{
    Account, Accounts, InvalidToken, NoSigningKey,
    records::{RecordError, Records},
    signing::Signing,
    tokens::{Verified, unix_seconds},
};

/// How many tokens are kept. Only valid ones are, so nobody can push out others with garbage.
const CAPACITY: u64 = 16 * 1024;

/// The SHA-256 of a token: a dump of this memory holds no token.
type Fingerprint = [u8; digest::SHA256_OUTPUT_LEN];

#[derive(Clone)]
struct Kept {
    account: Arc<Account>,
    /// Unix seconds.
    expiry: u64,
    /// The epoch for which the account is known to be there still.
    epoch: u64,
}

/// The accounts of valid tokens.
pub(crate) struct Sessions {
    records: Records,
    kept: Cache<Fingerprint, Kept>,
}

/// Why a token gave no account.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// It is none, or none any more.
    #[error(transparent)]
    Invalid(#[from] InvalidToken),
    /// There is no key to check it with yet.
    #[error(transparent)]
    Key(#[from] NoSigningKey),
    /// Whether its account is still there could not be read.
    #[error(transparent)]
    Records(#[from] RecordError),
}

impl Sessions {
    pub(crate) fn new(records: Records) -> Self {
        Self {
            records,
            kept: Cache::new(CAPACITY),
        }
    }

    /// The account of a token, as it is now.
    pub(crate) async fn account(
        &self,
        token: &str,
        signing: &Signing,
        accounts: &Accounts,
    ) -> Result<Arc<Account>, SessionError> {
        let fingerprint = fingerprint(token);
        let epoch = self.records.epoch().current();
        if let Some(kept) = self.kept.get(&fingerprint) {
            if kept.expiry <= unix_seconds() {
                self.kept.invalidate(&fingerprint);
                return Err(InvalidToken.into());
            }
            if kept.epoch == epoch {
                return Ok(kept.account);
            }
        }
        let said = signing.tokens()?.verify(token)?;
        let Some(account) = current(&said, accounts).await? else {
            self.kept.invalidate(&fingerprint);
            return Err(InvalidToken.into());
        };
        let account = Arc::new(account);
        let kept = Kept {
            account: account.clone(),
            expiry: said.expiry,
            epoch,
        };
        self.kept.insert(fingerprint, kept);
        Ok(account)
    }
}

/// The account that a token is about, if it is still there and of the token's generation: not
/// deleted, not another of the same id, with no new secret since.
async fn current(said: &Verified, accounts: &Accounts) -> Result<Option<Account>, RecordError> {
    let found = accounts
        .by_id(&said.account.issuer, &said.account.id)
        .await?;
    Ok(found
        .filter(|(stored, _)| stored.generation == said.generation)
        .map(|(stored, _)| stored.into_account()))
}

fn fingerprint(token: &str) -> Fingerprint {
    let mut fingerprint = Fingerprint::default();
    fingerprint.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
    fingerprint
}
