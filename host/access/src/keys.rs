//! The Ed25519 key that signs tokens: from a file that is made when it is missing, from a text,
//! from the store, or made anew and kept in memory.

use std::path::{Path, PathBuf};

use aws_lc_rs::{
    digest,
    signature::{Ed25519KeyPair, KeyPair as _},
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jsonwebtoken::{DecodingKey, EncodingKey};
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use crate::{
    ConfigKey, PrivateFile, PrivateFileError, RecordError, SealError, records::Records, shared_key,
};

const PEM_BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const PEM_END: &str = "-----END PRIVATE KEY-----";

/// Where the signing key comes from. Printing one shows no secret.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// A PKCS#8 PEM file that its owner alone may read; made if it is missing.
    File(PathBuf),
    /// A PKCS#8 PEM text, or base64 of one (`MICRO_AUTH_PRIVATE_KEY`).
    Text(SecretString),
    /// Made at start and gone at the end.
    Memory,
    /// A record of the store, which the servers over it share, sealed under this key; made if it
    /// is missing.
    Store(ConfigKey),
}

/// Why there is no signing key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or made, or is open to others.
    #[error(transparent)]
    File(#[from] PrivateFileError),
    /// What was given is not a key.
    #[error(
        "{origin} holds no Ed25519 private key in PKCS#8 PEM; make one with: openssl genpkey -algorithm ed25519"
    )]
    Malformed {
        /// Where it came from.
        origin: String,
    },
    /// The system has no random numbers.
    #[error("cannot make a signing key: the system's random number generator failed")]
    Generate,
    /// The record in the store cannot be read or written.
    #[error("the signing key cannot be read from the store: {0}")]
    Records(#[from] RecordError),
    /// The record in the store does not open.
    #[error("the signing key in the store cannot be opened: {}", hint(.0))]
    Sealed(#[from] SealError),
}

/// What is wrong with the sealed key, and what helps.
fn hint(error: &SealError) -> String {
    match error {
        SealError::OtherKey { sealed, ours } => format!(
            "it was sealed with the config secret key {sealed}, and this server's is {ours}; all \
             servers that share a store need the same one: give this server the others' \
             MICRO_CONFIG_SECRET_KEY, or their file ~/.micro/config_secret_key"
        ),
        other => other.to_string(),
    }
}

impl KeyError {
    /// Whether it may be otherwise a little later: the store does not answer.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(self, Self::Records(error) if error.may_pass())
    }
}

impl KeySource {
    /// Reads the key, or makes it.
    pub(crate) async fn load(&self, records: &Records) -> Result<SigningKey, KeyError> {
        match self {
            Self::File(path) => from_file(path),
            Self::Text(text) => {
                from_text(text.expose_secret(), || "MICRO_AUTH_PRIVATE_KEY".to_owned())
            }
            Self::Memory => SigningKey::new(&generate()?).ok_or(KeyError::Generate),
            Self::Store(with) => shared_key::load(records, with).await,
        }
    }
}

/// A key pair for tokens.
pub(crate) struct SigningKey {
    pub(crate) kid: String,
    pub(crate) encoding: EncodingKey,
    pub(crate) decoding: DecodingKey,
}

impl SigningKey {
    pub(crate) fn new(pkcs8: &[u8]) -> Option<Self> {
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8).ok()?;
        let public = pair.public_key().as_ref();
        let private = pair.to_pkcs8v1().ok()?;
        Some(Self {
            kid: thumbprint(public),
            encoding: EncodingKey::from_ed_der(private.as_ref()),
            decoding: DecodingKey::from_ed_der(public),
        })
    }
}

/// The name of a public key: its JWK thumbprint (RFC 7638).
fn thumbprint(public: &[u8]) -> String {
    let jwk = format!(
        r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#,
        URL_SAFE_NO_PAD.encode(public)
    );
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, jwk.as_bytes()))
}

pub(crate) fn generate() -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let pair = Ed25519KeyPair::generate().map_err(|_| KeyError::Generate)?;
    let document = pair.to_pkcs8v1().map_err(|_| KeyError::Generate)?;
    Ok(Zeroizing::new(document.as_ref().to_vec()))
}

pub(crate) fn from_text(text: &str, origin: impl Fn() -> String) -> Result<SigningKey, KeyError> {
    let malformed = || KeyError::Malformed { origin: origin() };
    let text = text.trim();
    let pem = if text.contains(PEM_BEGIN) {
        Zeroizing::new(text.to_owned())
    } else {
        let bytes = STANDARD.decode(text).map_err(|_| malformed())?;
        Zeroizing::new(String::from_utf8(bytes).map_err(|_| malformed())?)
    };
    let pkcs8 = decode_pem(&pem).ok_or_else(malformed)?;
    SigningKey::new(&pkcs8).ok_or_else(malformed)
}

fn decode_pem(pem: &str) -> Option<Zeroizing<Vec<u8>>> {
    let (_, rest) = pem.split_once(PEM_BEGIN)?;
    let (body, _) = rest.split_once(PEM_END)?;
    let body: Zeroizing<String> =
        Zeroizing::new(body.chars().filter(|c| !c.is_whitespace()).collect());
    STANDARD.decode(body.as_bytes()).ok().map(Zeroizing::new)
}

pub(crate) fn encode_pem(pkcs8: &[u8]) -> Zeroizing<String> {
    // An Ed25519 key is 64 characters long: one line of PEM.
    Zeroizing::new(format!(
        "{PEM_BEGIN}\n{}\n{PEM_END}\n",
        STANDARD.encode(pkcs8)
    ))
}

fn from_file(path: &Path) -> Result<SigningKey, KeyError> {
    let file = PrivateFile::new("signing key", path);
    let text = file.read_or_make(|| Ok::<_, KeyError>(encode_pem(&generate()?)))?;
    from_text(&text, || format!("the file {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, Permissions},
        os::unix::fs::PermissionsExt as _,
        thread,
    };

    use super::*;

    #[test]
    fn one_key_of_many_racing_servers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("home/id_ed25519");
        let kids: Vec<String> = thread::scope(|scope| {
            let servers: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| from_file(&path).unwrap().kid))
                .collect();
            servers.into_iter().map(|s| s.join().unwrap()).collect()
        });
        assert!(kids.iter().all(|kid| *kid == kids[0]), "{kids:?}");
        let names: Vec<_> = fs::read_dir(path.parent().unwrap())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["id_ed25519"]);
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }

    #[test]
    fn refuses_a_key_that_others_can_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        from_file(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let error = from_file(&path).err().unwrap().to_string();
        assert!(error.contains("chmod 600"), "{error}");
    }

    #[test]
    fn text_forms() {
        // RFC 8410, section 10.3: a key as `openssl genpkey` writes it.
        let pem = format!(
            "{PEM_BEGIN}\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n{PEM_END}\n"
        );
        let read = |text: &str| from_text(text, || "the text".to_owned());
        let plain = read(&pem).unwrap();
        let coded = read(&STANDARD.encode(&pem)).unwrap();
        assert_eq!(plain.kid, coded.kid);
        for bad in ["", "hunter2", "aHVudGVyMg=="] {
            let error = read(bad).err().unwrap().to_string();
            assert!(!error.contains("hunter2"), "{error}");
            let source = KeySource::Text(bad.into());
            assert!(!format!("{source:?}").contains("hunter2"));
        }
    }
}
