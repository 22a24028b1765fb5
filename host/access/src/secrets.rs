//! Account secrets: argon2id, one at a time, in one buffer that is used again.

mod turns;

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use argon2::{
    Algorithm, Argon2, Block, Params, Version,
    password_hash::{Output, ParamsString, PasswordHash, Salt, SaltString},
};
use aws_lc_rs::{constant_time, rand};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::task;

pub(crate) use turns::Claim;
use turns::Turns;

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
    turns: Turns,
    used: AtomicBool,
    buffer: Arc<Mutex<Vec<Block>>>,
}

impl Hasher {
    pub(crate) fn new() -> Self {
        Self {
            turns: Turns::new(),
            used: AtomicBool::new(false),
            buffer: Arc::default(),
        }
    }

    /// The PHC string of `secret`, with a new salt.
    pub(crate) async fn hash(
        &self,
        claim: &Claim,
        secret: &SecretString,
    ) -> Result<String, SecretError> {
        let mut salt = [0; SALT_LENGTH];
        rand::fill(&mut salt).map_err(|_| SecretError::Failed)?;
        let secret = secret.clone();
        self.run(claim, move |buffer| {
            hash(secret.expose_secret(), &salt, buffer)
        })
        .await
    }

    /// Whether `secret` is the one that `stored`, a PHC string, was made of.
    pub(crate) async fn verify(
        &self,
        claim: &Claim,
        secret: &SecretString,
        stored: &str,
    ) -> Result<bool, SecretError> {
        let (secret, stored) = (secret.clone(), stored.to_owned());
        let right = self
            .run(claim, move |buffer| {
                verify(secret.expose_secret(), &stored, buffer)
            })
            .await?;
        self.turns.note(claim, right);
        Ok(right)
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
        claim: &Claim,
        work: impl FnOnce(&mut Vec<Block>) -> Result<T, SecretError> + Send + 'static,
    ) -> Result<T, SecretError> {
        let turn = self.turns.take(claim).await?;
        self.used.store(true, Ordering::Relaxed);
        let buffer = Arc::clone(&self.buffer);
        task::spawn_blocking(move || {
            // Who is cancelled still works, and has the turn until that ends.
            let _turn = turn;
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

    fn claim() -> Claim {
        Claim::new(None, "micro", "x")
    }

    #[tokio::test]
    async fn hashes_and_verifies() {
        let hasher = Hasher::new();
        let stored = hasher.hash(&claim(), &"s3cret".into()).await.unwrap();
        assert!(
            stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{stored}"
        );
        assert!(
            hasher
                .verify(&claim(), &"s3cret".into(), &stored)
                .await
                .unwrap()
        );
        assert!(
            !hasher
                .verify(&claim(), &"s3cres".into(), &stored)
                .await
                .unwrap()
        );
        assert_ne!(
            stored,
            hasher.hash(&claim(), &"s3cret".into()).await.unwrap()
        );
        hasher.trim_if_idle();
        hasher.trim_if_idle();
        assert_eq!(hasher.buffer.lock().unwrap().capacity(), 0);
        assert!(
            hasher
                .verify(&claim(), &"s3cret".into(), &stored)
                .await
                .unwrap()
        );
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
            let result = hasher.verify(&claim(), &"x".into(), bad).await;
            assert!(matches!(result, Err(SecretError::Damaged)), "{bad}");
        }
    }
}
