//! Tokens: JWT signed with Ed25519, which clients treat as opaque.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::{Account, keys::SigningKey};

/// How long a token is valid when nobody says otherwise.
pub const DEFAULT_TTL: Duration = Duration::from_secs(15 * 60);
/// The longest that a token can be valid; who asks for more gets this.
pub const MAX_TTL: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Far more than any token of ours: what is longer is not worth decoding.
const MAX_LENGTH: usize = 64 << 10;

/// A text that is no valid token, or is one no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid token provided")]
pub struct InvalidToken;

/// A token as it was just made.
#[derive(Clone, Debug)]
pub struct IssuedToken {
    /// The token itself.
    pub access_token: SecretString,
    /// When it was made, in unix seconds.
    pub created: i64,
    /// From when on it is invalid, in unix seconds.
    pub expiry: i64,
}

/// What a token says that was signed here and has not expired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The account as it was when the token was made.
    pub account: Account,
    /// The generation of the account then: another one means that the token was revoked.
    pub generation: String,
    /// From when on it is invalid, in unix seconds.
    pub expiry: u64,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    #[serde(default)]
    name: String,
    sub: String,
    iss: String,
    exp: u64,
    #[serde(rename = "gen", default)]
    generation: String,
}

/// Makes and verifies tokens.
pub struct Tokens {
    kid: String,
    signing: EncodingKey,
    verifying: DecodingKey,
    validation: Validation,
}

impl Tokens {
    /// Tokens of this key.
    pub(crate) fn new(key: SigningKey) -> Self {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.leeway = 0;
        validation.validate_aud = false;
        validation.set_required_spec_claims(&["exp", "sub", "iss"]);
        Self {
            kid: key.kid,
            signing: key.encoding,
            verifying: key.decoding,
            validation,
        }
    }

    /// A token for `account` in its `generation`, valid for `ttl` (whole seconds) but at most
    /// [`MAX_TTL`].
    ///
    /// # Errors
    /// Only when the key cannot sign, which its loading has made sure of.
    pub fn issue(
        &self,
        account: &Account,
        generation: &str,
        ttl: Duration,
    ) -> Result<IssuedToken, jsonwebtoken::errors::Error> {
        let created = unix_seconds();
        let expiry = created + ttl.min(MAX_TTL).as_secs();
        let access_token = self.sign(&Claims {
            kind: account.kind.clone(),
            scopes: account.scopes.clone(),
            metadata: account.metadata.clone(),
            name: account.name.clone(),
            sub: account.id.clone(),
            iss: account.issuer.clone(),
            exp: expiry,
            generation: generation.to_owned(),
        })?;
        Ok(IssuedToken {
            access_token: access_token.into(),
            created: created.cast_signed(),
            expiry: expiry.cast_signed(),
        })
    }

    fn sign(&self, claims: &Claims) -> Result<String, jsonwebtoken::errors::Error> {
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(self.kid.clone());
        jsonwebtoken::encode(&header, claims, &self.signing)
    }

    /// What `token` says. Whether its account is still there and of that generation is not
    /// looked at.
    ///
    /// # Errors
    /// [`InvalidToken`] for whatever was not signed with this key, or has expired.
    pub fn verify(&self, token: &str) -> Result<Verified, InvalidToken> {
        if token.len() > MAX_LENGTH {
            return Err(InvalidToken);
        }
        let decoded = jsonwebtoken::decode::<Claims>(token, &self.verifying, &self.validation)
            .map_err(|_| InvalidToken)?;
        let claims = decoded.claims;
        if decoded.header.kid.as_ref() != Some(&self.kid) || claims.exp <= unix_seconds() {
            return Err(InvalidToken);
        }
        Ok(Verified {
            account: Account {
                name: if claims.name.is_empty() {
                    claims.sub.clone()
                } else {
                    claims.name
                },
                id: claims.sub,
                kind: claims.kind,
                issuer: claims.iss,
                scopes: claims.scopes,
                metadata: claims.metadata,
            },
            generation: claims.generation,
            expiry: claims.exp,
        })
    }
}

/// Seconds since the Unix epoch.
pub(crate) fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    use secrecy::ExposeSecret as _;

    use super::*;
    use crate::keys::generate;

    fn tokens() -> Tokens {
        Tokens::new(SigningKey::new(&generate().unwrap()).unwrap())
    }

    fn account() -> Account {
        Account {
            id: "jane".into(),
            kind: "user".into(),
            issuer: "foo".into(),
            name: "Jane".into(),
            scopes: vec!["admin".into()],
            metadata: BTreeMap::from([("a".into(), "b".into())]),
        }
    }

    fn claims(exp: u64) -> Claims {
        Claims {
            kind: "user".into(),
            scopes: vec![],
            metadata: BTreeMap::new(),
            name: String::new(),
            sub: "jane".into(),
            iss: "micro".into(),
            exp,
            generation: "g".into(),
        }
    }

    #[test]
    fn says_who_it_was_made_for() {
        let tokens = tokens();
        let issued = tokens
            .issue(&account(), "g1", Duration::from_secs(60))
            .unwrap();
        assert_eq!(issued.expiry, issued.created + 60);
        let verified = tokens.verify(issued.access_token.expose_secret()).unwrap();
        assert_eq!(verified.account, account());
        assert_eq!(verified.generation, "g1");
        assert_eq!(verified.expiry.cast_signed(), issued.expiry);
        assert!(!format!("{issued:?}").contains(issued.access_token.expose_secret()));
    }

    #[test]
    fn a_year_at_most() {
        let issued = tokens()
            .issue(&account(), "g", Duration::from_secs(u64::MAX))
            .unwrap();
        assert_eq!(
            issued.expiry - issued.created,
            MAX_TTL.as_secs().cast_signed()
        );
    }

    #[test]
    fn the_name_is_the_id_where_there_is_none() {
        let tokens = tokens();
        let token = tokens.sign(&claims(unix_seconds() + 60)).unwrap();
        assert_eq!(tokens.verify(&token).unwrap().account.name, "jane");
    }

    #[test]
    fn refuses_what_is_no_valid_token() {
        let tokens = tokens();
        let good = tokens.sign(&claims(unix_seconds() + 60)).unwrap();
        assert!(tokens.verify(&good).is_ok());
        let mut parts = good.split('.');
        let (header, body, signature) = (
            parts.next().unwrap(),
            parts.next().unwrap(),
            parts.next().unwrap(),
        );

        let expired = tokens.sign(&claims(unix_seconds() - 10)).unwrap();
        let just_expired = tokens.sign(&claims(unix_seconds())).unwrap();
        let other_key = self::tokens().sign(&claims(unix_seconds() + 60)).unwrap();
        let none = format!(
            "{}.{body}.",
            URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"none"}"#)
        );
        // A public key as the secret of a symmetric algorithm: the classic confusion.
        let symmetric = {
            let mut header = Header::new(Algorithm::HS256);
            header.kid = Some(tokens.kid.clone());
            let key = EncodingKey::from_secret(tokens.verifying.try_get_as_bytes().unwrap());
            jsonwebtoken::encode(&header, &claims(unix_seconds() + 60), &key).unwrap()
        };
        let no_kid = jsonwebtoken::encode(
            &Header::new(Algorithm::EdDSA),
            &claims(unix_seconds() + 60),
            &tokens.signing,
        )
        .unwrap();
        let forged = format!(
            "{header}.{}.{signature}",
            URL_SAFE_NO_PAD.encode(format!(
                r#"{{"sub":"admin","iss":"micro","scopes":["admin"],"exp":{}}}"#,
                unix_seconds() + 60
            ))
        );
        let endless = jsonwebtoken::encode(
            &{
                let mut header = Header::new(Algorithm::EdDSA);
                header.kid = Some(tokens.kid.clone());
                header
            },
            &serde_json::json!({"sub": "admin", "iss": "micro"}),
            &tokens.signing,
        )
        .unwrap();
        for bad in [
            "",
            "garbage",
            "a.b.c",
            &expired,
            &just_expired,
            &other_key,
            &none,
            &symmetric,
            &no_kid,
            &forged,
            &endless,
            &format!("{header}.{body}."),
            &"x".repeat(MAX_LENGTH + 1),
        ] {
            assert_eq!(tokens.verify(bad), Err(InvalidToken), "{bad}");
        }
    }
}
