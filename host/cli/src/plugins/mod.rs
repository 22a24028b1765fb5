//! Plugins as the command line sees them: where they are, and what a child process of ours finds
//! out about them by running their code.

pub(crate) mod child;
mod describe;
mod house;
pub(crate) mod schema;
pub(crate) mod trial;

use std::path::{Path, PathBuf};

use micro_loader::{LoadOptions, Loader, search_path};
use micro_profile::Search;

pub(crate) use describe::{Description, describe};

use crate::{
    context::Context,
    error::{CliError, Result},
};

/// Where plugins and profiles are looked for: in the very places where a server of this user does.
pub(crate) struct Places {
    here: PathBuf,
    /// The loader. It keeps no copies here: only the child process loads anything.
    pub(crate) loader: Loader,
    /// The search for profiles.
    pub(crate) profiles: Search,
}

impl Places {
    /// Those of this user. Without a home folder nothing is looked for there.
    pub(crate) fn of(context: &Context<'_>) -> Self {
        let environment = context.environment;
        let here = environment.folder();
        let home = environment.home();
        let folders = |name| folders(here, environment.get(name));
        Self {
            here: here.to_owned(),
            loader: Loader::new(
                search_path(&folders("MICRO_PLUGIN_PATH"), home.as_deref()),
                PathBuf::new(),
            ),
            profiles: Search::standard(
                folders("MICRO_PROFILE_PATH"),
                home.as_deref(),
                std::env::current_exe().ok().as_deref(),
            ),
        }
    }

    /// The library that a word means: a path (it holds a `/` or ends in `.so`), or the name of a
    /// plugin.
    ///
    /// # Errors
    /// There is no plugin of that name.
    pub(crate) fn library(&self, word: &str) -> Result<PathBuf> {
        if word.contains('/') || word.ends_with(".so") {
            return Ok(self.here.join(word));
        }
        self.loader.find(word).map_err(refused)
    }

    /// A path as this process was given it.
    pub(crate) fn path(&self, text: &str) -> PathBuf {
        self.here.join(text)
    }

    /// The profile of a name or path, everything that it extends laid under it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn profile(&self, name: &str) -> Result<micro_profile::Profile> {
        micro_profile::load(name, &self.profiles)
            .map_err(|error| CliError::plain(error.to_string()))
    }
}

/// The folders of a colon list. An empty part of one would mean the current folder.
pub(crate) fn folders(here: &Path, list: Option<&str>) -> Vec<PathBuf> {
    list.into_iter()
        .flat_map(std::env::split_paths)
        .filter(|folder| !folder.as_os_str().is_empty())
        .map(|folder| here.join(folder))
        .collect()
}

/// How to load a plugin that is called `name` and pinned to a hash, if it is.
pub(crate) fn options(name: &str, sha256: Option<&str>) -> LoadOptions {
    let options = LoadOptions::named(name);
    match sha256 {
        Some(sha256) => options.with_sha256(sha256),
        None => options,
    }
}

/// A refusal of the loader, which says by itself what to do.
#[expect(clippy::needless_pass_by_value, reason = "it stands in map_err")]
pub(crate) fn refused(error: micro_loader::LoadError) -> CliError {
    CliError::plain(error.to_string())
}
