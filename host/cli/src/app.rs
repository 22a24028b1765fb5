//! The tree of commands and flags, as the parser and the help read it.

use clap::{
    Args as _, CommandFactory, FromArgMatches as _, Parser, Subcommand,
    error::{ContextKind, ErrorKind},
};

use crate::commands::{
    auth, call, config, env, get, health, init, kill, login, logs, new, plugin, profile, run,
    server, stats, status, store, stream, update, user,
};
use crate::error::CliError;

/// The flags that stand before the command.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Globals {
    /// Path of the config file
    #[arg(id = "config_file", long = "c")]
    pub(crate) config_file: Option<String>,
    /// The environment for this call
    #[arg(id = "environment", long = "env", alias = "e")]
    pub(crate) environment: Option<String>,
    /// The profile of the server; commands accept and ignore it
    #[arg(id = "global_profile", long = "profile")]
    pub(crate) profile: Option<String>,
    /// The namespace for this call
    #[arg(id = "global_namespace", long = "namespace")]
    pub(crate) namespace: Option<String>,
    /// HOST:PORT of the proxy to call, instead of the environment's
    #[arg(id = "global_proxy_address", long = "proxy_address")]
    pub(crate) proxy_address: Option<String>,
}

/// A framework for cloud native development
#[derive(Debug, Parser)]
#[command(name = "micro", args_override_self = true)]
#[command(disable_help_flag = true, disable_version_flag = true)]
#[command(disable_help_subcommand = true)]
pub(crate) struct App {
    /// What holds for every command.
    #[command(flatten)]
    pub(crate) globals: Globals,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// The commands, in the order of the alphabet.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Manage accounts, and rules on who may call what
    Auth(auth::Args),
    /// Call a service e.g micro call helloworld Helloworld.Call '{"name": "Jane"}'
    Call(call::Args),
    /// Get, set and delete dynamic config e.g micro config set helloworld.somekey hello
    Config(config::Args),
    /// Get, set, add and delete the environments that commands talk to
    Env(env::Args),
    /// Get a service from the registry e.g micro get service helloworld
    Get(get::Args),
    /// Ask each node of a service how it is e.g micro health helloworld
    Health(health::Args),
    /// Show a list of commands or help for one command
    Help {
        /// The command
        command: Vec<String>,
    },
    /// Write the beginning of a profile of your own e.g micro init --profile=staging
    Init(init::Args),
    /// Kill a service e.g micro kill helloworld
    Kill(kill::Args),
    /// Log in as a user, and remember the token
    Login(login::Args),
    /// Log out: forget the token
    Logout,
    /// Get the logs of a service e.g micro logs -f helloworld
    Logs(logs::Args),
    /// Make the crate of a plugin e.g micro new --plugin store mystore
    New(new::Args),
    /// Look at, check and test the plugins that profiles name
    Plugin(plugin::Args),
    /// Look at, check, compare and reload profiles, which pick a server's plugins
    Profile(profile::Args),
    /// Run a service from its folder or executable e.g micro run ./helloworld
    Run(run::Args),
    /// Run the micro server
    Server(server::Args),
    /// List the services in the registry
    Services,
    /// Show what the nodes of services count about themselves e.g micro stats helloworld
    Stats(stats::Args),
    /// Get the status of the services that the server runs
    Status(status::Args),
    /// Read, list, write and delete records of the store
    Store(store::Args),
    /// Call an endpoint that streams e.g micro stream helloworld Helloworld.Stream '{"count": 3}'
    Stream(stream::Args),
    /// Update a service from its folder or by its name e.g micro update ./helloworld
    Update(update::Args),
    /// Print the current user, and change what belongs to it
    User(user::Args),
    /// Anything else: a service.
    #[command(external_subcommand)]
    Dynamic(Vec<String>),
}

/// The tree for the parser and the help.
pub(crate) fn tree() -> clap::Command {
    App::command()
}

/// The typed values of arguments that [`crate::args::prepare`] has made uniform.
///
/// # Errors
/// What the parser refuses.
pub(crate) fn parse(mut tree: clap::Command, args: &[String]) -> Result<App, clap::Error> {
    let matches = tree.try_get_matches_from_mut(args)?;
    App::from_arg_matches(&matches)
}

/// What the parser's refusal says to the user.
pub(crate) fn refusal(error: &clap::Error, path: &[String]) -> CliError {
    let text = |kind| error.get(kind).map(ToString::to_string).unwrap_or_default();
    let mut command = String::from("micro");
    for name in path {
        command.push(' ');
        command.push_str(name);
    }
    let see = format!("Please refer to '{command} --help'");
    match error.kind() {
        ErrorKind::UnknownArgument => {
            let word = text(ContextKind::InvalidArg);
            match word.strip_prefix("--") {
                Some(_) => unknown_flag(&word, &command, &see, path.is_empty()),
                None => CliError::plain(format!("Too many arguments for {command}: {word}. {see}")),
            }
        }
        ErrorKind::InvalidSubcommand => CliError::plain(format!(
            "Unrecognized subcommand for {command}: {}. {see}",
            text(ContextKind::InvalidSubcommand)
        )),
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            let flag = text(ContextKind::InvalidArg);
            let flag = flag.split_whitespace().next().unwrap_or_default();
            let mut message = format!(
                "Invalid value for {flag}: \"{}\"",
                text(ContextKind::InvalidValue)
            );
            if let Some(allowed) = error.get(ContextKind::ValidValue) {
                message.push_str(&format!(", expected one of {allowed}"));
            }
            CliError::plain(format!("{message}. {see}"))
        }
        _ => {
            let whole = error.to_string();
            let line = whole.lines().next().unwrap_or_default();
            CliError::plain(format!(
                "{}. {see}",
                line.trim_start_matches("error: ").trim_end_matches('.')
            ))
        }
    }
}

fn unknown_flag(flag: &str, command: &str, see: &str, global: bool) -> CliError {
    let error = CliError::plain(format!("Unknown flag for {command}: {flag}. {see}"));
    let name = flag.trim_start_matches('-');
    if !global
        && Globals::augment_args(clap::Command::new(""))
            .get_arguments()
            .any(|arg| arg.get_long() == Some(name))
    {
        return error.hint(format!(
            "{flag} stands before the command: micro {flag}=… {}",
            command.trim_start_matches("micro ")
        ));
    }
    error
}
