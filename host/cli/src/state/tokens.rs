//! `tokens`: one line a token, `micro://<proxy address>/<namespace>/<account id>:<base64 of JSON>`.

use std::path::PathBuf;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use super::files;
use crate::error::Result;

/// A token as it is saved. Times are unix seconds.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedToken {
    /// What is sent with calls.
    pub(crate) access_token: String,
    /// What a new token is asked for with.
    pub(crate) refresh_token: String,
    /// When it was issued.
    pub(crate) created: i64,
    /// When it ends.
    pub(crate) expiry: i64,
}

impl std::fmt::Debug for SavedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SavedToken")
            .field("created", &self.created)
            .field("expiry", &self.expiry)
            .finish_non_exhaustive()
    }
}

/// Whose token, and for which server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TokenKey {
    /// Of the proxy, `HOST:PORT` or as the environment has it.
    pub(crate) address: String,
    /// The namespace that the account belongs to.
    pub(crate) namespace: String,
    /// The account's id.
    pub(crate) account: String,
}

impl TokenKey {
    /// What a line begins with, its last colon excluded.
    fn prefix(&self) -> String {
        let Self {
            address,
            namespace,
            account,
        } = self;
        format!("micro://{address}/{namespace}/{account}")
    }
}

/// The file of tokens.
#[derive(Clone, Debug)]
pub(crate) struct Tokens {
    path: PathBuf,
}

impl Tokens {
    /// The file at this path, which need not exist.
    pub(crate) fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// The token under this key. A line that cannot be read counts as absent.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn get(&self, key: &TokenKey) -> Result<Option<SavedToken>> {
        let text = files::read(&self.path)?.unwrap_or_default();
        let prefix = key.prefix();
        let mut lines = text.lines().filter_map(split);
        let found = lines.find(|(of, _)| *of == prefix);
        Ok(found.and_then(|(_, token)| decode(token)))
    }

    /// Saves a token in place of the one under the same key.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn save(&self, key: &TokenKey, token: &SavedToken) -> Result<()> {
        let json = serde_json::to_vec(token).expect("texts and numbers are always JSON");
        let line = format!("{}:{}\n", key.prefix(), STANDARD.encode(json));
        files::update(&self.path, |old| {
            let mut text = without(old, key).unwrap_or_default();
            text.push_str(&line);
            Ok((Some(text), ()))
        })
    }

    /// Removes the token under this key, if there is one.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn remove(&self, key: &TokenKey) -> Result<()> {
        files::update(&self.path, |old| Ok((without(old, key), ())))
    }
}

/// The base64 has no colon, addresses and accounts may.
fn split(line: &str) -> Option<(&str, &str)> {
    line.rsplit_once(':')
}

fn decode(token: &str) -> Option<SavedToken> {
    let json = STANDARD.decode(token.trim()).ok()?;
    serde_json::from_slice(&json).ok()
}

fn without(old: Option<String>, key: &TokenKey) -> Option<String> {
    let prefix = key.prefix();
    let kept = old?
        .lines()
        .filter(|line| split(line).is_none_or(|(of, _)| of != prefix))
        .map(|line| format!("{line}\n"))
        .collect();
    Some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(account: &str) -> TokenKey {
        TokenKey {
            address: "127.0.0.1:8081".into(),
            namespace: "micro".into(),
            account: account.into(),
        }
    }

    fn token(text: &str) -> SavedToken {
        SavedToken {
            access_token: text.into(),
            refresh_token: "refresh".into(),
            created: 1,
            expiry: 2,
        }
    }

    #[test]
    fn a_line_a_token() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        let tokens = Tokens::at(path.clone());
        tokens.save(&key("admin"), &token("a")).unwrap();
        tokens.save(&key("jane:x"), &token("j")).unwrap();
        tokens.save(&key("admin"), &token("b")).unwrap();
        assert_eq!(tokens.get(&key("admin")).unwrap(), Some(token("b")));
        assert_eq!(tokens.get(&key("jane:x")).unwrap(), Some(token("j")));
        assert_eq!(tokens.get(&key("jane")).unwrap(), None);
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 2);
        let line = text.lines().last().unwrap();
        let encoded = line
            .strip_prefix("micro://127.0.0.1:8081/micro/admin:")
            .unwrap();
        let json: serde_json::Value =
            serde_json::from_slice(&STANDARD.decode(encoded).unwrap()).unwrap();
        assert_eq!(
            json,
            serde_json::json!({"access_token": "b", "refresh_token": "refresh", "created": 1, "expiry": 2})
        );
        tokens.remove(&key("admin")).unwrap();
        assert_eq!(tokens.get(&key("admin")).unwrap(), None);
        assert!(tokens.get(&key("jane:x")).unwrap().is_some());
    }

    #[test]
    fn what_cannot_be_read_is_absent_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        std::fs::write(
            &path,
            "garbage\nmicro://127.0.0.1:8081/micro/admin:not base64\n",
        )
        .unwrap();
        let tokens = Tokens::at(path.clone());
        assert_eq!(tokens.get(&key("admin")).unwrap(), None);
        tokens.save(&key("jane"), &token("j")).unwrap();
        assert!(
            std::fs::read_to_string(path)
                .unwrap()
                .starts_with("garbage\n")
        );
    }

    #[test]
    fn debug_shows_no_secret() {
        assert!(!format!("{:?}", token("hush")).contains("hush"));
    }
}
