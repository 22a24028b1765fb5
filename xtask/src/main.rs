//! The project's own commands: `cargo xtask build-plugins | server | install | test | bench | dist | tidy`.

#![allow(
    clippy::print_stdout,
    reason = "a developer's tool talks to its terminal"
)]

mod backends;
mod bench;
mod cargo;
mod dist;
mod features;
mod install;
mod plugins;
mod retry;
mod sdk;
mod server;
mod test;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's own commands.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Xtask {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build every plugin, beside the binary.
    BuildPlugins(plugins::BuildPlugins),
    /// Build the server and the plugins of its profile, and run it.
    Server(server::Server),
    /// Install the binary, plugins and profiles for this user.
    Install(install::Install),
    /// Run every test, on real parts.
    Test(test::Test),
    /// Measure, and print the table.
    Bench(bench::Bench),
    /// Pack what a user installs into one archive.
    Dist(dist::Dist),
    /// Check the invariants of ARCHITECTURE.md.
    Tidy(tidy::Tidy),
}

fn main() -> ExitCode {
    match Xtask::parse().command.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line with its causes: a trace of ours tells a developer of micro nothing.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

impl Command {
    fn run(self) -> anyhow::Result<()> {
        match self {
            Self::BuildPlugins(command) => command.run(),
            Self::Server(command) => command.run(),
            Self::Install(command) => command.run(),
            Self::Test(command) => command.run(),
            Self::Bench(command) => command.run(),
            Self::Dist(command) => command.run(),
            Self::Tidy(command) => command.run(),
        }
    }
}
