//! The config secret key, and sealing with it: AES-256-GCM under a random nonce, bound to purpose,
//! namespace and path, so that a sealed value is worth nothing in another place.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    digest, rand,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use crate::{PrivateFile, PrivateFileError};

/// The length of a key.
const KEY_LEN: usize = 32;

/// The length of what tells keys apart, in front of every sealed value.
const ID_LEN: usize = 8;

/// What the digest that names a key begins with.
const ID_CONTEXT: &[u8] = b"micro.config/1";

/// Where the key of secrets comes from. Printing one shows no secret.
#[derive(Clone, Debug)]
pub enum ConfigKeySource {
    /// A file with base64 of 32 bytes, which its owner alone may read; made if it is missing.
    File(PathBuf),
    /// Base64 of 32 bytes (`--config_secret_key`, `MICRO_CONFIG_SECRET_KEY`).
    Text(SecretString),
    /// Made at start and gone at the end.
    Memory,
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum ConfigKeyError {
    /// The file cannot be read or made, or is open to others.
    #[error(transparent)]
    File(#[from] PrivateFileError),
    /// What was given is not a key.
    #[error("{origin} is not base64 of 32 bytes; make a key with: openssl rand -base64 32")]
    Malformed {
        /// Where it came from.
        origin: String,
    },
    /// The system has no random numbers.
    #[error("cannot make a config secret key: the system's random number generator failed")]
    Generate,
}

impl ConfigKeySource {
    /// Reads the key, or makes it.
    ///
    /// # Errors
    /// A file that cannot be read or made, or that others may read; a text that is no key.
    pub fn load(&self) -> Result<ConfigKey, ConfigKeyError> {
        match self {
            Self::File(path) => from_file(path),
            Self::Text(text) => from_text(text.expose_secret(), || {
                "the config secret key (MICRO_CONFIG_SECRET_KEY or --config_secret_key)".to_owned()
            }),
            Self::Memory => ConfigKey::new(&generate()?).ok_or(ConfigKeyError::Generate),
        }
    }
}

fn from_file(path: &Path) -> Result<ConfigKey, ConfigKeyError> {
    let make = || {
        let text = Zeroizing::new(format!("{}\n", STANDARD.encode(&*generate()?)));
        Ok::<_, ConfigKeyError>(text)
    };
    let text = PrivateFile::new("config secret key", path).read_or_make(make)?;
    from_text(&text, || {
        format!("the config secret key in {}", path.display())
    })
}

fn from_text(text: &str, origin: impl Fn() -> String) -> Result<ConfigKey, ConfigKeyError> {
    let bytes = STANDARD.decode(text.trim()).map(Zeroizing::new);
    bytes
        .ok()
        .and_then(|bytes| ConfigKey::new(&bytes))
        .ok_or_else(|| ConfigKeyError::Malformed { origin: origin() })
}

fn generate() -> Result<Zeroizing<Vec<u8>>, ConfigKeyError> {
    let mut bytes = Zeroizing::new(vec![0; KEY_LEN]);
    rand::fill(&mut bytes).map_err(|_| ConfigKeyError::Generate)?;
    Ok(bytes)
}

/// The key that seals secrets. Clones share it; printing one shows which it is, not what.
#[derive(Clone)]
pub struct ConfigKey(Arc<Inner>);

struct Inner {
    id: [u8; ID_LEN],
    key: LessSafeKey,
}

impl fmt::Debug for ConfigKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConfigKey({})", name(&self.0.id))
    }
}

/// What cannot be sealed or opened, and why.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The system has no random numbers.
    #[error("the system's random number generator failed")]
    Random,
    /// It is nothing that was sealed.
    #[error("Badly encoded secret")]
    Encoding,
    /// It was sealed with another key.
    #[error(
        "it was sealed with the key {sealed}, and this server's is {ours}; start the server with the key that the secret was set with, or set the secret again"
    )]
    OtherKey {
        /// The key that it was sealed with, by name.
        sealed: String,
        /// The key of this server, by name.
        ours: String,
    },
    /// Nothing of this key and place.
    #[error("Failed to decrypt: it was damaged, or moved here from another namespace or path")]
    Open,
}

/// How a key is named in errors: enough to tell two apart.
fn name(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl ConfigKey {
    fn new(bytes: &[u8]) -> Option<Self> {
        let key = UnboundKey::new(&AES_256_GCM, bytes).ok()?;
        // A digest of 32 random bytes tells nothing about them.
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(ID_CONTEXT);
        context.update(bytes);
        let mut id = [0; ID_LEN];
        id.copy_from_slice(&context.finish().as_ref()[..ID_LEN]);
        let key = LessSafeKey::new(key);
        Some(Self(Arc::new(Inner { id, key })))
    }

    /// Seals a text for one place: key id, nonce, ciphertext and tag, in base64.
    ///
    /// # Errors
    /// A system without random numbers.
    pub fn seal(&self, place: &Place<'_>, text: &str) -> Result<String, SealError> {
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).map_err(|_| SealError::Random)?;
        let mut sealed = Zeroizing::new(text.as_bytes().to_vec());
        self.0
            .key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(place.associated()),
                &mut *sealed,
            )
            .map_err(|_| SealError::Random)?;
        Ok(STANDARD.encode([&self.0.id[..], &nonce, &sealed].concat()))
    }

    /// The text that was sealed for this place.
    ///
    /// # Errors
    /// What was sealed with another key or for another place, or was not sealed at all.
    pub fn open(&self, place: &Place<'_>, sealed: &str) -> Result<Zeroizing<String>, SealError> {
        let bytes = STANDARD.decode(sealed).map_err(|_| SealError::Encoding)?;
        let (id, rest) = bytes.split_at_checked(ID_LEN).ok_or(SealError::Encoding)?;
        if id != self.0.id {
            return Err(SealError::OtherKey {
                sealed: name(id),
                ours: name(&self.0.id),
            });
        }
        let (nonce, rest) = rest
            .split_at_checked(NONCE_LEN)
            .ok_or(SealError::Encoding)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::Encoding)?;
        let mut rest = Zeroizing::new(rest.to_vec());
        let text = self
            .0
            .key
            .open_in_place(nonce, Aad::from(place.associated()), &mut rest)
            .map_err(|_| SealError::Open)?;
        let text = String::from_utf8(text.to_vec()).map_err(|_| SealError::Encoding)?;
        Ok(Zeroizing::new(text))
    }
}

/// What a secret is, and where it stands.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// What kind of secret it is, with a version, so that one kind is never taken for another.
    pub purpose: &'static str,
    /// The namespace that it belongs to; empty for the platform's own.
    pub namespace: &'a str,
    /// Where in the namespace.
    pub path: &'a [String],
}

impl Place<'_> {
    /// Namespace and path with their lengths, so that no two places have the same text.
    fn associated(&self) -> Vec<u8> {
        let mut text = self.purpose.as_bytes().to_vec();
        let parts = self.path.iter().map(String::as_str);
        for part in std::iter::once(self.namespace).chain(parts) {
            text.extend_from_slice(&(part.len() as u64).to_be_bytes());
            text.extend_from_slice(part.as_bytes());
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    fn path(parts: &[&str]) -> Vec<String> {
        parts.iter().map(|part| (*part).to_owned()).collect()
    }

    fn place<'a>(namespace: &'a str, path: &'a [String]) -> Place<'a> {
        Place {
            purpose: "micro.test/1",
            namespace,
            path,
        }
    }

    #[test]
    fn a_secret_opens_in_its_place_alone_and_with_its_key_alone() {
        let key = ConfigKeySource::Memory.load().unwrap();
        let ab = path(&["a", "b"]);
        let sealed = key.seal(&place("micro", &ab), "\"hunter2\"").unwrap();
        assert!(!sealed.contains("hunter2"));
        assert_ne!(
            sealed,
            key.seal(&place("micro", &ab), "\"hunter2\"").unwrap()
        );
        let opened = key.open(&place("micro", &ab), &sealed).unwrap();
        assert_eq!(*opened, "\"hunter2\"");
        for (namespace, parts) in [
            ("other", &["a", "b"][..]),
            ("micro", &["a", "c"]),
            ("micro", &["ab"]),
            ("micro", &["a"]),
            ("microa", &["b"]),
        ] {
            let elsewhere = path(parts);
            let opened = key.open(&place(namespace, &elsewhere), &sealed);
            assert!(
                matches!(opened, Err(SealError::Open)),
                "{namespace} {parts:?}"
            );
        }
        let elsewhere = Place {
            purpose: "micro.test/2",
            ..place("micro", &ab)
        };
        assert!(matches!(
            key.open(&elsewhere, &sealed),
            Err(SealError::Open)
        ));
        let other = ConfigKeySource::Memory.load().unwrap();
        let error = other.open(&place("micro", &ab), &sealed).unwrap_err();
        assert!(matches!(error, SealError::OtherKey { .. }), "{error}");
        let mut damaged = STANDARD.decode(&sealed).unwrap();
        *damaged.last_mut().unwrap() ^= 1;
        let damaged = STANDARD.encode(damaged);
        let opened = key.open(&place("micro", &ab), &damaged);
        assert!(matches!(opened, Err(SealError::Open)));
        for short in ["", "AAAA", "no base64!", &sealed[..16]] {
            assert!(key.open(&place("micro", &ab), short).is_err(), "{short}");
        }
    }

    #[test]
    fn a_file_is_made_once_and_kept_private() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(".micro/config_secret_key");
        let source = ConfigKeySource::File(file.clone());
        let (made, read) = (source.load().unwrap(), source.load().unwrap());
        assert_eq!(made.0.id, read.0.id);
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let text = fs::read_to_string(&file).unwrap();
        let given = ConfigKeySource::Text(text.trim().into()).load().unwrap();
        assert_eq!(made.0.id, given.0.id);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        let error = source.load().unwrap_err().to_string();
        assert!(error.contains("chmod 600"), "{error}");
    }

    #[test]
    fn what_is_no_key_is_refused_and_not_repeated() {
        for bad in ["", "hunter2", "aHVudGVyMg==", "!!"] {
            let source = ConfigKeySource::Text(bad.into());
            let error = source.load().unwrap_err().to_string();
            assert!(error.contains("MICRO_CONFIG_SECRET_KEY"), "{error}");
            assert!(
                !error.contains("hunter2") && !error.contains("aHVu"),
                "{error}"
            );
            assert!(!format!("{source:?}").contains("hunter2"));
        }
    }
}
