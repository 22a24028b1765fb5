//! `cargo xtask server`: the server as a developer runs it, from a checkout.

use std::{
    collections::BTreeSet, env, os::unix::process::CommandExt as _, path::PathBuf, process::Command,
};

use anyhow::{Context as _, Result};
use clap::Args;

use crate::{
    cargo::{Build, root},
    plugins::{build_with_server, names},
};

/// Build the server and the plugins of its profile, and run it.
#[derive(Args)]
pub(crate) struct Server {
    /// The profile: a name or a path.
    #[arg(long, env = "MICRO_PROFILE", default_value = "local")]
    profile: String,

    /// Build and run it optimised.
    #[arg(long)]
    release: bool,

    /// Flags for `micro server`.
    #[arg(last = true)]
    flags: Vec<String>,
}

impl Server {
    pub(crate) fn run(self) -> Result<()> {
        let build = Build::from_flag(self.release);
        build_with_server(build, &self.plugins()?)?;
        let folder = build.folder();
        println!("In a second terminal, so that it finds this `micro`:");
        println!("    export PATH=\"{}:$PATH\"", folder.display());
        // The server takes the place of this process: signals and the terminal are its own.
        Err(Command::new(folder.join("micro"))
            .args(["server", "--profile", &self.profile])
            .args(&self.flags)
            .env(
                "MICRO_SDK_PATH",
                env::var_os("MICRO_SDK_PATH").unwrap_or_else(|| root().into()),
            )
            .exec())
        .with_context(|| format!("cannot run {}", folder.join("micro").display()))
    }

    /// The plugins that the profile asks for and that this checkout has; others are somebody
    /// else's libraries, which the server finds for itself.
    fn plugins(&self) -> Result<BTreeSet<String>> {
        let ours = names()?;
        let search = micro_profile::Search::standard(
            env::var_os("MICRO_PROFILE_PATH")
                .iter()
                .flat_map(env::split_paths),
            env::var_os("HOME").map(PathBuf::from).as_deref(),
            None,
        );
        let profile = micro_profile::load(&self.profile, &search)?;
        Ok(profile
            .slots
            .values()
            .map(|slot| slot.plugin.clone())
            .filter(|plugin| ours.contains(plugin))
            .collect())
    }
}
