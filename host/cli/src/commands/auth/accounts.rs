//! `micro auth list|create|delete account` and `micro auth update secret`.

use std::{collections::BTreeMap, fmt};

use micro_proto::auth::{
    Account, ChangeSecretRequest, ChangeSecretResponse, DeleteAccountRequest,
    DeleteAccountResponse, GenerateRequest, GenerateResponse, ListAccountsRequest,
    ListAccountsResponse,
};
use serde::Serialize;

use super::{failed, options, rules::spread};
use crate::{
    error::{CliError, Result},
    printer::{Align, Output, Table},
    session::Session,
};

/// An account to be made.
#[derive(clap::Args)]
pub(crate) struct New {
    /// What it is found by
    pub(super) id: Option<String>,
    /// Its secret; made up, and shown once, if there is none
    #[arg(long)]
    secret: Option<String>,
    /// What it may: admin, or scopes that rules name; several with commas or repeated
    #[arg(long, value_delimiter = ',')]
    scopes: Vec<String>,
    /// The namespace that it shall belong to
    #[arg(id = "account_namespace", long = "namespace")]
    namespace: Option<String>,
}

/// An account to be deleted.
#[derive(Debug, clap::Args)]
pub(crate) struct Which {
    /// Its id or name
    pub(super) id: Option<String>,
    /// The namespace that it belongs to
    #[arg(id = "account_namespace", long = "namespace")]
    namespace: Option<String>,
    #[arg(long, hide = true)]
    secret: Option<String>,
    #[arg(long, hide = true)]
    scopes: Option<String>,
}

/// An account whose secret is to be another.
#[derive(clap::Args)]
pub(crate) struct Secret {
    /// Its id or name
    pub(super) id: Option<String>,
    /// The secret that holds now; admins of namespace micro need none
    #[arg(long = "old_secret")]
    old_secret: Option<String>,
    /// The secret to hold from now on; asked for if it is not given
    #[arg(long = "new_secret")]
    pub(super) new_secret: Option<String>,
    /// The namespace that the account belongs to
    #[arg(id = "account_namespace", long = "namespace")]
    namespace: Option<String>,
    #[arg(long, hide = true)]
    secret: Option<String>,
    #[arg(long, hide = true)]
    scopes: Option<String>,
}

impl fmt::Debug for New {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("New")
            .field("id", &self.id)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// The accounts, under headings.
pub(super) async fn list(session: &Session<'_>) -> Result<Output> {
    let request = ListAccountsRequest {
        options: options(session, None),
    };
    let response: ListAccountsResponse = session
        .call("auth", "Accounts.List", &request)
        .await
        .map_err(failed("Error listing accounts"))?;
    Ok(table(response.accounts))
}

fn table(accounts: Vec<Account>) -> Output {
    let or_none = |text: String| match text.is_empty() {
        true => "n/a".to_owned(),
        false => text,
    };
    let headings = ["ID", "Name", "Scopes", "Metadata"].map(str::to_owned);
    let rows = accounts.into_iter().map(|account| {
        let metadata: BTreeMap<_, _> = account.metadata.into_iter().collect();
        let metadata: Vec<_> = metadata.iter().map(|(k, v)| format!("{k}={v}")).collect();
        [
            account.id,
            account.name,
            or_none(account.scopes.join(", ")),
            or_none(metadata.join(" ")),
        ]
    });
    Output::Table(Table {
        align: Align::Tabs,
        rows: [headings].into_iter().chain(rows).map(spread).collect(),
    })
}

/// Makes the account, and shows it with its secret, this once.
pub(super) async fn create(session: &Session<'_>, id: String, new: New) -> Result<Output> {
    let request = GenerateRequest {
        id,
        secret: new.secret.unwrap_or_default(),
        scopes: new.scopes.into_iter().filter(|s| !s.is_empty()).collect(),
        options: options(session, new.namespace),
        ..GenerateRequest::default()
    };
    let response: GenerateResponse = session
        .call("auth", "Auth.Generate", &request)
        .await
        .map_err(failed("Error creating account"))?;
    // The reference page shows type and metadata as they were asked for, not as the server filled
    // them in (`user`, and when it was created).
    let account = Account {
        r#type: request.r#type,
        metadata: request.metadata,
        ..response.account.unwrap_or_default()
    };
    Ok(Output::line(format!("Account created: {}", json(account)?)))
}

/// The account on one line, its keys in the order in which the reference prints them.
fn json(account: Account) -> Result<String> {
    #[derive(Serialize)]
    struct Printed {
        id: String,
        r#type: String,
        issuer: String,
        metadata: Option<BTreeMap<String, String>>,
        scopes: Vec<String>,
        secret: String,
        name: String,
    }
    let metadata: BTreeMap<_, _> = account.metadata.into_iter().collect();
    serde_json::to_string(&Printed {
        id: account.id,
        r#type: account.r#type,
        issuer: account.issuer,
        metadata: (!metadata.is_empty()).then_some(metadata),
        scopes: account.scopes,
        secret: account.secret,
        name: account.name,
    })
    .map_err(|error| CliError::plain(format!("Error creating account: {error}")))
}

/// Deletes the account. Silent.
pub(super) async fn delete(session: &Session<'_>, id: String, which: Which) -> Result<Output> {
    let request = DeleteAccountRequest {
        id,
        options: options(session, which.namespace),
    };
    let DeleteAccountResponse {} = session
        .call("auth", "Accounts.Delete", &request)
        .await
        .map_err(failed("Error deleting account"))?;
    Ok(Output::Nothing)
}

/// Gives the account the secret `new`.
pub(super) async fn update(
    session: &Session<'_>,
    id: String,
    secret: Secret,
    new: String,
) -> Result<Output> {
    let request = ChangeSecretRequest {
        id,
        old_secret: secret.old_secret.unwrap_or_default(),
        new_secret: new,
        options: options(session, secret.namespace),
    };
    let ChangeSecretResponse {} = session
        .call("auth", "Accounts.ChangeSecret", &request)
        .await
        .map_err(failed("Error updating accounts"))?;
    Ok(Output::line("Account updated"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::printer::Printer;

    #[test]
    fn accounts_as_the_reference_page_shows_them() {
        let jane = Account {
            id: "jane".into(),
            r#type: "user".into(),
            issuer: "micro".into(),
            scopes: vec!["admin".into(), "x".into()],
            secret: "s".into(),
            name: "jane".into(),
            ..Account::default()
        };
        assert_eq!(
            json(jane.clone()).unwrap(),
            r#"{"id":"jane","type":"user","issuer":"micro","metadata":null,"scopes":["admin","x"],"secret":"s","name":"jane"}"#
        );
        let bob = Account {
            id: "bob".into(),
            name: "Bob".into(),
            metadata: [("b", "2"), ("a", "1")]
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .into(),
            ..Account::default()
        };
        let (printer, out, _) = Printer::captured();
        printer.output(&table(vec![bob, jane])).unwrap();
        assert_eq!(
            out.text(),
            "ID\t\tName\t\tScopes\t\t\tMetadata\n\
             bob\t\tBob\t\tn/a\t\t\ta=1 b=2\n\
             jane\t\tjane\t\tadmin, x\t\tn/a\n"
        );
    }

    #[test]
    fn secrets_are_not_shown() {
        let new = New {
            id: None,
            secret: Some("hunter2".into()),
            scopes: Vec::new(),
            namespace: None,
        };
        let secret = Secret {
            id: None,
            old_secret: Some("hunter2".into()),
            new_secret: Some("hunter2".into()),
            namespace: None,
            secret: None,
            scopes: None,
        };
        assert!(!format!("{new:?}{secret:?}").contains("hunter2"));
    }
}
