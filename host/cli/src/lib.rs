//! The command line: one file a command, one Printer for all output.

mod app;
mod args;
mod commands;
mod context;
mod duration;
mod dynamic;
pub mod env;
mod error;
mod help;
mod lookup;
mod plugin;
pub mod printer;
mod server_flags;
mod session;
mod source;
mod state;
mod terminal;

use std::{ffi::OsString, process::ExitCode};

use app::Command;
use commands::Outcome;
use context::Context;
pub use context::Input;
pub use error::CliError;
pub use server_flags::ServerFlags;

use crate::{
    env::Environment,
    error::Result,
    printer::{Output, Printer},
    session::Session,
};

/// Runs the command line: `args` with the program's name first, as from [`std::env::args_os`].
/// `micro server` calls `server` with what it was told; everything else ends here, with its exit code.
pub fn run(
    args: impl IntoIterator<Item = OsString>,
    server: impl FnOnce(ServerFlags) -> ExitCode,
) -> ExitCode {
    run_with(
        args,
        &Environment::of_process(),
        &Printer::terminal(),
        Input::of_process(),
        server,
    )
}

/// [`run`] with the process's surroundings given, so that tests can give their own.
pub fn run_with(
    args: impl IntoIterator<Item = OsString>,
    environment: &Environment,
    printer: &Printer,
    input: Input,
    server: impl FnOnce(ServerFlags) -> ExitCode,
) -> ExitCode {
    let ended = texts(args).and_then(|args| dispatch(&args, environment, printer, input));
    match ended {
        Ok(End::Code(code)) => ExitCode::from(code),
        Ok(End::Server(flags)) => server(*flags),
        Err(error) => {
            printer.error(&error);
            ExitCode::from(error.code)
        }
    }
}

/// What is left to do once a command has run.
enum End {
    Code(u8),
    Server(Box<ServerFlags>),
}

fn texts(args: impl IntoIterator<Item = OsString>) -> Result<Vec<String>> {
    let text = |arg: OsString| {
        arg.into_string().map_err(|arg| {
            CliError::plain(format!("An argument is not valid UTF-8: {}", arg.display()))
        })
    };
    args.into_iter().map(text).collect()
}

fn dispatch(
    args: &[String],
    environment: &Environment,
    printer: &Printer,
    input: Input,
) -> Result<End> {
    let tree = app::tree();
    let prepared = args::prepare(&tree, args, environment)?;
    let help = |path: &[String]| -> Result<End> {
        printer.output(&Output::Text(help::of(&app::tree(), path)?))?;
        Ok(End::Code(0))
    };
    if prepared.help {
        return help(&prepared.path);
    }
    if prepared.version {
        printer.output(&Output::line(format!("micro version {}", help::VERSION)))?;
        return Ok(End::Code(0));
    }
    let app =
        app::parse(tree, &prepared.args).map_err(|error| app::refusal(&error, &prepared.path))?;
    let Some(command) = app.command else {
        return Err(CliError::plain(
            "No command provided to micro. Please refer to 'micro --help'",
        ));
    };
    let context = Context::new(environment, printer, app.globals, prepared.variables, input);
    let outcome = match command {
        Command::Help { command } => return help(&command),
        Command::Server(args) if !args.arguments.is_empty() => {
            help(&prepared.path)?;
            return Ok(End::Code(1));
        }
        Command::Server(args) => {
            let flags = commands::server::flags(&context, args)?;
            return Ok(End::Server(Box::new(flags)));
        }
        Command::Env(args) => commands::env::run(&context, args)?,
        Command::Logout => commands::logout::run(&context)?,
        Command::Dynamic(words) => {
            if let Some(code) = plugin::run(environment, &words)? {
                return Ok(End::Code(code));
            }
            block_on(remote(&context, Command::Dynamic(words)))?
        }
        command => block_on(remote(&context, command))?,
    };
    match outcome {
        Outcome::Done(output) => {
            printer.output(&output)?;
            Ok(End::Code(0))
        }
        Outcome::Help => help(&prepared.path),
    }
}

/// The commands that talk to a server.
async fn remote(context: &Context<'_>, command: Command) -> Result<Outcome> {
    match command {
        Command::Auth(args) => return commands::auth::run(context, args).await,
        Command::Login(args) => return commands::login::run(context, args).await,
        Command::Profile(args) => return commands::profile::run(context, args).await,
        Command::User(args) => return commands::user::run(context, args).await,
        _ => {}
    }
    let session = Session::open(context).await?;
    match command {
        Command::Call(args) => commands::call::run(&session, args).await,
        Command::Config(args) => commands::config::run(context, &session, args).await,
        Command::Get(args) => commands::get::run(&session, args).await,
        Command::Health(args) => commands::health::run(&session, args).await,
        Command::Kill(args) => commands::kill::run(&session, args).await,
        Command::Logs(args) => commands::logs::run(&session, args).await,
        Command::Run(args) => commands::run::run(&session, args).await,
        Command::Services => commands::services::run(&session).await,
        Command::Stats(args) => commands::stats::run(&session, args).await,
        Command::Status(args) => commands::status::run(&session, args).await,
        Command::Store(args) => commands::store::run(&session, args).await,
        Command::Stream(args) => commands::stream::run(&session, args).await,
        Command::Update(args) => commands::update::run(&session, args).await,
        Command::Dynamic(words) => dynamic::run(&session, &words).await,
        Command::Auth(_)
        | Command::Env(_)
        | Command::Help { .. }
        | Command::Login(_)
        | Command::Logout
        | Command::Profile(_)
        | Command::Server(_)
        | Command::User(_) => Ok(Outcome::Help),
    }
}

/// One thread is enough for one connection, and starts faster than several.
fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::plain(format!("Cannot start: {error}")))?
        .block_on(future)
}
