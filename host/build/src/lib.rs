//! From source to a runnable artifact, one file a language.
//!
//! [`build`] looks at a folder, finds out what it holds, builds it where that is needed, and says
//! what to run. It knows nothing of services beyond their name.

mod cargo;
mod command;
mod error;
mod executable;
mod lock;
mod manifest;
mod mirror;
mod owner;
mod paths;
mod strays;
mod toolchain;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

pub use error::BuildError;
pub use strays::end_strays;
pub use toolchain::Toolchain;

use crate::manifest::Manifest;

/// What a build needs to know beside the source.
#[derive(Clone, Debug)]
pub struct BuildOptions {
    /// The name of the service: its executable may be called so.
    pub name: String,
    /// What the source is a version of, the same for every build of it, so that a second build
    /// finds what the first one made: for example `namespace/name/version`.
    pub identity: String,
    /// Where builds keep what they share. Several servers may share it.
    pub cache_dir: PathBuf,
    /// A folder for this build's own results; it is created. Must not lie within the source.
    pub output_dir: PathBuf,
    /// The sources that ship with the server: a folder that holds `framework`, `framework/build`
    /// and the `Cargo.lock` they were tested with. `None` where none were shipped; a crate that
    /// depends on them then has to find them by itself.
    pub sdk_dir: Option<PathBuf>,
    /// The variables that compilers and build commands run with.
    pub toolchain: Toolchain,
    /// How long a build may take once it has its turn.
    pub timeout: Duration,
}

/// Something that can be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// The folder to run it in.
    pub folder: PathBuf,
    /// The program and its arguments; a relative program stands below `folder`.
    pub command: Vec<String>,
    /// A command that exits with 0 when the service is well, where the source names one.
    pub health: Option<Vec<String>>,
}

/// Receives the output of a build, line by line, as it comes.
pub trait LineSink: Send + Sync {
    /// One line, without its end.
    fn line(&self, line: &str);
}

impl<F: Fn(&str) + Send + Sync> LineSink for F {
    fn line(&self, line: &str) {
        self(line);
    }
}

/// Builds what is in `source`: by the `build` command of its `micro.toml` if there is one, else
/// with cargo if there is a `Cargo.toml`; else an executable file is taken as it is.
///
/// Dropping the future ends the build with everything that it started.
pub async fn build(
    source: &Path,
    options: &BuildOptions,
    lines: &dyn LineSink,
) -> Result<Artifact, BuildError> {
    let manifest = Manifest::read(source)?.unwrap_or_default();
    let command = if let Some(build) = &manifest.build {
        command::run(source, build, options, lines).await?;
        None
    } else if source.join("Cargo.toml").is_file() {
        Some(cargo::build(source, options, lines).await?)
    } else {
        None
    };
    // What the author wrote wins over what was found.
    let command = match (manifest.run, command) {
        (Some(run), _) => run,
        (None, Some(found)) => found,
        (None, None) => executable::find(source, &options.name)?,
    };
    Ok(Artifact {
        folder: source.to_owned(),
        command,
        health: manifest.health,
    })
}
