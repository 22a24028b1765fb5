//! Account secrets: argon2id, one at a time, in one buffer that is used again.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use argon2::{
    Algorithm, Argon2, Block, Params, Version,
    password_hash::{Output, ParamsString, PasswordHash, Salt, SaltString},
};
use aws_lc_rs::{constant_time, rand};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::{sync::Semaphore, task};

/// How many may wait for their turn: at some 20 ms each, the last is done before clients give up.
const MAX_WAITING: usize = 128;
const SALT_LENGTH: usize = 16;
const HASH_LENGTH: usize = 32;
/// A stored hash that wants more memory than this (in KiB) was not made here.
const MAX_MEMORY: u32 = 64 << 10;

/// Why a secret was neither hashed nor verified.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Too many wait already.
    #[error("too many logins are under way; try again in a moment")]
    Busy,
    /// The stored hash is not one of ours.
    #[error("the stored secret of the account is damaged; set a new one")]
    Damaged,
    /// The system has no random numbers, or no memory.
    #[error("the secret could not be hashed")]
    Failed,
}

/// Hashes and verifies secrets off the threads that serve.
pub(crate) struct Hasher {
    turn: Semaphore,
    under_way: AtomicUsize,
    used: AtomicBool,
    buffer: Arc<Mutex<Vec<Block>>>,
}

impl Hasher {
    pub(crate) fn new() -> Self {
        Self {
            turn: Semaphore::new(1),
            under_way: AtomicUsize::new(0),
            used: AtomicBool::new(false),
            buffer: Arc::default(),
        }
    }

    /// The PHC string of `secret`, with a new salt.
    pub(crate) async fn hash(&self, secret: &SecretString) -> Result<String, SecretError> {
        let mut salt = [0; SALT_LENGTH];
        rand::fill(&mut salt).map_err(|_| SecretError::Failed)?;
        let secret = secret.clone();
        self.run(move |buffer| hash(secret.expose_secret(), &salt, buffer))
            .await
    }

    /// Whether `secret` is the one that `stored`, a PHC string, was made of.
    pub(crate) async fn verify(
        &self,
        secret: &SecretString,
        stored: &str,
    ) -> Result<bool, SecretError> {
        let (secret, stored) = (secret.clone(), stored.to_owned());
        self.run(move |buffer| verify(secret.expose_secret(), &stored, buffer))
            .await
    }

    /// Lets go of the buffer (19 MB) if nobody has used it since this was last asked.
    pub(crate) fn trim_if_idle(&self) {
        if !self.used.swap(false, Ordering::Relaxed)
            && let Ok(mut buffer) = self.buffer.try_lock()
        {
            *buffer = Vec::new();
        }
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Vec<Block>) -> Result<T, SecretError> + Send + 'static,
    ) -> Result<T, SecretError> {
        let _waiting = Waiting::enter(&self.under_way)?;
        let _turn = self.turn.acquire().await.map_err(|_| SecretError::Failed)?;
        self.used.store(true, Ordering::Relaxed);
        let buffer = Arc::clone(&self.buffer);
        task::spawn_blocking(move || {
            // A panic while it was held leaves only memory that is written over anyway.
            let mut buffer = buffer
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            work(&mut buffer)
        })
        .await
        .map_err(|_| SecretError::Failed)?
    }
}

/// One who waits or has their turn; counted until dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(count: &'a AtomicUsize) -> Result<Self, SecretError> {
        let waiting = Self(count);
        if count.fetch_add(1, Ordering::Relaxed) >= MAX_WAITING {
            return Err(SecretError::Busy);
        }
        Ok(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A new secret of 256 random bits, as text that needs no quoting anywhere.
pub(crate) fn random() -> Result<SecretString, SecretError> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).map_err(|_| SecretError::Failed)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes).into())
}

fn derive(
    secret: &str,
    salt: &[u8],
    params: Params,
    out: &mut [u8],
    buffer: &mut Vec<Block>,
) -> Result<(), SecretError> {
    let blocks = params.block_count();
    if buffer.len() < blocks {
        buffer.resize(blocks, Block::default());
    }
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(secret.as_bytes(), salt, out, &mut buffer[..blocks])
        .map_err(|_| SecretError::Failed)
}

fn hash(secret: &str, salt: &[u8], buffer: &mut Vec<Block>) -> Result<String, SecretError> {
    let mut out = [0; HASH_LENGTH];
    derive(secret, salt, Params::DEFAULT, &mut out, buffer)?;
    let salt = SaltString::encode_b64(salt).map_err(|_| SecretError::Failed)?;
    let hash = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(&Params::DEFAULT).map_err(|_| SecretError::Failed)?,
        salt: Some(Salt::from(&salt)),
        hash: Some(Output::new(&out).map_err(|_| SecretError::Failed)?),
    };
    Ok(hash.to_string())
}

fn verify(secret: &str, stored: &str, buffer: &mut Vec<Block>) -> Result<bool, SecretError> {
    let damaged = || SecretError::Damaged;
    let stored = PasswordHash::new(stored).map_err(|_| damaged())?;
    if stored.algorithm != Algorithm::Argon2id.ident()
        || stored.version != Some(Version::V0x13.into())
    {
        return Err(damaged());
    }
    let params = Params::try_from(&stored).map_err(|_| damaged())?;
    if params.m_cost() > MAX_MEMORY {
        return Err(damaged());
    }
    let mut salt = [0; 64];
    let salt = stored
        .salt
        .ok_or_else(damaged)?
        .decode_b64(&mut salt)
        .map_err(|_| damaged())?;
    let expected = stored.hash.ok_or_else(damaged)?;
    let mut out = vec![0; expected.len()];
    derive(secret, salt, params, &mut out, buffer)?;
    Ok(constant_time::verify_slices_are_equal(&out, expected.as_bytes()).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn hashes_and_verifies() {
        let hasher = Hasher::new();
        let stored = hasher.hash(&"s3cret".into()).await.unwrap();
        assert!(
            stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{stored}"
        );
        assert!(hasher.verify(&"s3cret".into(), &stored).await.unwrap());
        assert!(!hasher.verify(&"s3cres".into(), &stored).await.unwrap());
        assert_ne!(stored, hasher.hash(&"s3cret".into()).await.unwrap());
        hasher.trim_if_idle();
        hasher.trim_if_idle();
        assert_eq!(hasher.buffer.lock().unwrap().capacity(), 0);
        assert!(hasher.verify(&"s3cret".into(), &stored).await.unwrap());
    }

    #[tokio::test]
    async fn refuses_foreign_hashes() {
        let hasher = Hasher::new();
        for bad in [
            "",
            "micro",
            "$argon2id$v=19$m=4000000,t=1,p=1$c29tZXNhbHRzb21l$AAAAAAAAAAAAAAAAAAAAAA",
            "$argon2i$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21l$AAAAAAAAAAAAAAAAAAAAAA",
        ] {
            let result = hasher.verify(&"x".into(), bad).await;
            assert!(matches!(result, Err(SecretError::Damaged)), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_flood_is_turned_away() {
        let hasher = Hasher::new();
        let secret: SecretString = "x".into();
        let all = futures::future::join_all((0..MAX_WAITING + 8).map(|_| hasher.hash(&secret)));
        let busy = all
            .await
            .iter()
            .filter(|result| matches!(result, Err(SecretError::Busy)))
            .count();
        assert_eq!(busy, 8);
        assert!(hasher.hash(&secret).await.is_ok());
    }
}
