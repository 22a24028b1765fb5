//! Accounts, tokens and rules.

use std::{
    collections::HashMap,
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use micro_proto::auth::{
    self as proto, ChangeSecretRequest, CreateRequest, DeleteAccountRequest, DeleteRequest,
    GenerateRequest, InspectRequest, ListAccountsRequest, ListRequest, Options, TokenRequest,
    accounts_client::AccountsClient, auth_client::AuthClient, rules_client::RulesClient,
};
pub use proto::{Access, Resource, Rule};
use tonic::Request;

use crate::{Client, Error, ServiceChannel, client::unary, wire::error::CLIENT_ID};

impl Client {
    /// The accounts of the platform, asked for on this client's own account.
    #[must_use]
    pub fn auth(&self) -> Auth {
        Auth {
            channel: self.core("auth"),
            namespace: self.namespace().to_owned(),
        }
    }
}

/// The accounts of one namespace.
#[derive(Clone, Debug)]
pub struct Auth {
    channel: ServiceChannel,
    namespace: String,
}

/// Who somebody is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// What it is found by.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// `user` or `service`.
    pub kind: String,
    /// The namespace that it belongs to.
    pub issuer: String,
    /// What it may.
    pub scopes: Vec<String>,
    /// What else is known of it.
    pub metadata: HashMap<String, String>,
}

/// An account to be made.
#[derive(Clone, Default)]
pub struct NewAccount {
    /// What it is found by; needed.
    pub id: String,
    /// What people call it; the id if blank.
    pub name: String,
    /// `user` if blank.
    pub kind: String,
    /// Chosen by the platform if blank.
    pub secret: String,
    /// What it may.
    pub scopes: Vec<String>,
    /// What else is known of it.
    pub metadata: HashMap<String, String>,
}

/// A token, and what gets the next one.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// To be sent as `Bearer`.
    pub access_token: String,
    /// For [`Auth::refresh`].
    pub refresh_token: String,
    /// When it was made, by the server's clock.
    pub created: SystemTime,
    /// When it dies, by the server's clock.
    pub expiry: SystemTime,
}

impl Auth {
    /// The accounts of another namespace.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    fn options(&self) -> Option<Options> {
        Some(Options {
            namespace: self.namespace.clone(),
        })
    }

    /// A token for an account, valid for `expiry` (whole seconds).
    ///
    /// # Errors
    /// 400 if there is no such account or the secret is another.
    pub async fn token(
        &self,
        id: impl Into<String>,
        secret: impl Into<String>,
        expiry: Duration,
    ) -> Result<Token, Error> {
        self.ask(TokenRequest {
            id: id.into(),
            secret: secret.into(),
            ..self.request(expiry)
        })
        .await
    }

    /// A token for a refresh token.
    ///
    /// # Errors
    /// 400 if it is not valid, or no longer.
    pub async fn refresh(
        &self,
        refresh_token: impl Into<String>,
        expiry: Duration,
    ) -> Result<Token, Error> {
        self.ask(TokenRequest {
            refresh_token: refresh_token.into(),
            ..self.request(expiry)
        })
        .await
    }

    fn request(&self, expiry: Duration) -> TokenRequest {
        TokenRequest {
            token_expiry: i64::try_from(expiry.as_secs()).unwrap_or(i64::MAX),
            options: self.options(),
            ..TokenRequest::default()
        }
    }

    async fn ask(&self, request: TokenRequest) -> Result<Token, Error> {
        // Whoever asks for a token has none to show.
        let channel = self.channel.anonymous();
        let answer = AuthClient::new(channel)
            .token(unary(Request::new(request)))
            .await?;
        let token = answer.into_inner().token;
        let token =
            token.ok_or_else(|| Error::bad_gateway(CLIENT_ID, "auth answered without a token"))?;
        let time = |seconds: i64| {
            UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
        };
        Ok(Token {
            access_token: token.access_token,
            refresh_token: token.refresh_token,
            created: time(token.created),
            expiry: time(token.expiry),
        })
    }

    /// Whose token this is.
    ///
    /// # Errors
    /// 400 if it is not valid, or no longer.
    pub async fn inspect(&self, token: impl Into<String>) -> Result<Account, Error> {
        let request = InspectRequest {
            token: token.into(),
            options: self.options(),
        };
        let mut client = AuthClient::new(self.channel.clone());
        let answer = client
            .inspect(unary(Request::new(request)))
            .await?
            .into_inner();
        Ok(answer.account.unwrap_or_default().into())
    }

    /// Makes an account. Returns it with its secret, which cannot be had again.
    ///
    /// # Errors
    /// 400 if there is one of this id or name; 401 unless the asker is an admin.
    pub async fn generate(&self, account: NewAccount) -> Result<(Account, String), Error> {
        let request = GenerateRequest {
            id: account.id,
            name: account.name,
            r#type: account.kind,
            secret: account.secret,
            scopes: account.scopes,
            metadata: account.metadata,
            provider: String::new(),
            options: self.options(),
        };
        let mut client = AuthClient::new(self.channel.clone());
        let answer = client
            .generate(unary(Request::new(request)))
            .await?
            .into_inner();
        let mut account = answer.account.unwrap_or_default();
        let secret = std::mem::take(&mut account.secret);
        Ok((account.into(), secret))
    }

    /// Every account of the namespace.
    ///
    /// # Errors
    /// 401 unless the asker is an admin.
    pub async fn accounts(&self) -> Result<Vec<Account>, Error> {
        let request = ListAccountsRequest {
            options: self.options(),
        };
        let mut client = AccountsClient::new(self.channel.clone());
        let answer = client
            .list(unary(Request::new(request)))
            .await?
            .into_inner();
        Ok(answer.accounts.into_iter().map(Account::from).collect())
    }

    /// Deletes an account.
    ///
    /// # Errors
    /// 400 if there is none, or it is the asker's own; 401 unless the asker is an admin.
    pub async fn delete_account(&self, id: impl Into<String>) -> Result<(), Error> {
        let request = DeleteAccountRequest {
            id: id.into(),
            options: self.options(),
        };
        AccountsClient::new(self.channel.clone())
            .delete(unary(Request::new(request)))
            .await?;
        Ok(())
    }

    /// Gives an account another secret.
    ///
    /// # Errors
    /// 400 if the old secret is another, or the new one blank.
    pub async fn change_secret(
        &self,
        id: impl Into<String>,
        old: impl Into<String>,
        new: impl Into<String>,
    ) -> Result<(), Error> {
        let request = ChangeSecretRequest {
            id: id.into(),
            old_secret: old.into(),
            new_secret: new.into(),
            options: self.options(),
        };
        AccountsClient::new(self.channel.clone())
            .change_secret(unary(Request::new(request)))
            .await?;
        Ok(())
    }

    /// Makes a rule: who may call what, at every door, within a second.
    ///
    /// # Errors
    /// 400 if there is one of this id or a part is missing; 401 or 403 unless the asker is a person
    /// who administers the namespace.
    pub async fn create_rule(&self, rule: Rule) -> Result<(), Error> {
        let request = CreateRequest {
            rule: Some(rule),
            options: self.options(),
        };
        RulesClient::new(self.channel.clone())
            .create(unary(Request::new(request)))
            .await?;
        Ok(())
    }

    /// Deletes a rule. No error if there is none of this id.
    ///
    /// # Errors
    /// 401 or 403 unless the asker is a person who administers the namespace.
    pub async fn delete_rule(&self, id: impl Into<String>) -> Result<(), Error> {
        let request = DeleteRequest {
            id: id.into(),
            options: self.options(),
        };
        RulesClient::new(self.channel.clone())
            .delete(unary(Request::new(request)))
            .await?;
        Ok(())
    }

    /// The rules of the namespace.
    ///
    /// # Errors
    /// 401 without an account.
    pub async fn rules(&self) -> Result<Vec<Rule>, Error> {
        let request = ListRequest {
            options: self.options(),
        };
        let mut client = RulesClient::new(self.channel.clone());
        Ok(client
            .list(unary(Request::new(request)))
            .await?
            .into_inner()
            .rules)
    }
}

impl From<proto::Account> for Account {
    fn from(account: proto::Account) -> Self {
        Self {
            id: account.id,
            name: account.name,
            kind: account.r#type,
            issuer: account.issuer,
            scopes: account.scopes,
            metadata: account.metadata,
        }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("expiry", &self.expiry)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for NewAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewAccount")
            .field("id", &self.id)
            .field("kind", &self.kind)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let token = Token {
            access_token: "hunter2".into(),
            refresh_token: "hunter2".into(),
            created: UNIX_EPOCH,
            expiry: UNIX_EPOCH,
        };
        let account = NewAccount {
            secret: "hunter2".into(),
            ..NewAccount::default()
        };
        assert!(!format!("{token:?} {account:?}").contains("hunter2"));
    }
}
