//! How large an account may be: it travels in each of its tokens, which travel in headers.

use micro_wire::shown;
use secrecy::{ExposeSecret as _, SecretString};

use super::{AccountError, NewAccount};
use crate::text;

/// The most bytes of an id or a name.
const MAX_NAME: usize = 253;
/// The most bytes of a type or a scope.
const MAX_SCOPE: usize = 128;
/// The most scopes.
const MAX_SCOPES: usize = 64;
/// The most bytes of all metadata together, keys and values.
const MAX_METADATA: usize = 4 << 10;
/// The most bytes of a secret; hashing takes its time for longer ones.
const MAX_SECRET: usize = 4 << 10;

/// Checks what a caller wants an account to be.
///
/// # Errors
/// What is too large, or holds characters that it must not.
pub(super) fn check(new: &NewAccount) -> Result<(), String> {
    text::check("ID", &new.id, MAX_NAME)?;
    text::check("name", &new.name, MAX_NAME)?;
    text::check("type", &new.kind, MAX_SCOPE)?;
    if new.scopes.len() > MAX_SCOPES {
        return Err(format!(
            "the account has {} scopes; the most are {MAX_SCOPES}",
            new.scopes.len()
        ));
    }
    for scope in &new.scopes {
        text::check("scope", scope, MAX_SCOPE)?;
        if scope.is_empty() || scope == "*" || scope == "+" {
            return Err(format!(
                "the scope {} is none: in rules it stands for every account or everybody",
                shown(scope)
            ));
        }
    }
    let metadata: usize = new.metadata.iter().map(|(k, v)| k.len() + v.len()).sum();
    if metadata > MAX_METADATA {
        return Err(format!(
            "the account has {metadata} bytes of metadata; the most are {MAX_METADATA}"
        ));
    }
    Ok(())
}

/// Checks a secret that somebody chose.
///
/// # Errors
/// It is too long.
pub(super) fn check_secret(secret: &SecretString) -> Result<(), AccountError> {
    if secret.expose_secret().len() > MAX_SECRET {
        let text = format!("the secret is longer than {MAX_SECRET} bytes");
        return Err(AccountError::Invalid(text));
    }
    Ok(())
}
