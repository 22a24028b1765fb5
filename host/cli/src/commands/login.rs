//! `micro login`: gets a token for an account and saves it.

use micro_proto::auth::{InspectRequest, InspectResponse, Options, TokenRequest, TokenResponse};

use crate::{
    commands::{Outcome, logout},
    context::Context,
    error::{CliError, Result},
    printer::Output,
    session::{self, Failure, Session},
    state::{SavedToken, TokenKey},
};

/// Whose account.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The id or name of the account
    #[arg(long, alias = "email")]
    username: Option<String>,
    /// Its secret
    #[arg(long)]
    password: Option<String>,
}

impl std::fmt::Debug for Args {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Args")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// Asks for what was not given, logs in, and saves the token in place of the old one.
pub(crate) async fn run(context: &Context<'_>, args: Args) -> Result<Outcome> {
    let username = match args.username {
        Some(username) => username,
        None => context.ask("Enter username: ")?,
    };
    let password = match args.password {
        Some(password) => password,
        None => context.ask_secret("Enter password: ")?,
    };
    let session = Session::anonymous(context)?;
    let request = TokenRequest {
        id: username.clone(),
        secret: password,
        token_expiry: session::TOKEN_SECONDS,
        options: Some(Options {
            namespace: session.namespace().to_owned(),
        }),
        ..TokenRequest::default()
    };
    let response: TokenResponse = session
        .call("auth", "Auth.Token", &request)
        .await
        .map_err(refused)?;
    let token = response
        .token
        .map(SavedToken::from)
        .ok_or_else(|| CliError::plain("The server answered without a token"))?;
    let account = account(&session, &username, &token).await;
    // Not before: who mistypes stays who they were.
    logout::run(context)?;
    save(context, &session, account, &token)?;
    Ok(Output::line("Successfully logged in.").into())
}

/// The id of the account that a token is for, which need not be what was typed.
async fn account(session: &Session<'_>, username: &str, token: &SavedToken) -> String {
    let request = InspectRequest {
        token: token.access_token.clone(),
        options: Some(Options {
            namespace: session.namespace().to_owned(),
        }),
    };
    let inspected: std::result::Result<InspectResponse, Failure> =
        session.call("auth", "Auth.Inspect", &request).await;
    inspected
        .ok()
        .and_then(|response| response.account)
        .map_or_else(|| username.to_owned(), |account| account.id)
}

/// Saves the token and whose it is.
fn save(
    context: &Context<'_>,
    session: &Session<'_>,
    id: String,
    token: &SavedToken,
) -> Result<()> {
    let key = TokenKey {
        address: session.place().address.clone(),
        namespace: session.namespace().to_owned(),
        account: id.clone(),
    };
    context.tokens()?.save(&key, token)?;
    let mut config = context.config()?;
    config.set(&session::current_user_key(&session.place().name), &id)
}

/// What the account commands say: the detail of the refusal alone.
pub(crate) fn refused(failure: Failure) -> CliError {
    match failure {
        Failure::Answer(error) => CliError::detail(&error),
        other => other.into(),
    }
}
