//! The project's own commands: `cargo xtask build-plugins | server | install | test | bench | dist | tidy`.

#![allow(
    clippy::print_stdout,
    reason = "a developer's tool talks to its terminal"
)]

mod bench;
mod cargo;
mod dist;
mod features;
mod install;
mod plugins;
mod server;
mod test;
mod tidy;

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

fn main() -> anyhow::Result<()> {
    match Xtask::parse().command {
        Command::BuildPlugins(command) => command.run(),
        Command::Server(command) => command.run(),
        Command::Install(command) => command.run(),
        Command::Test(command) => command.run(),
        Command::Bench(command) => command.run(),
        Command::Dist(command) => command.run(),
        Command::Tidy(command) => command.run(),
    }
}
