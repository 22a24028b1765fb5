//! Where a server finds what was installed with it, and whose keys it signs with.

use std::path::PathBuf;

use micro_access::{AccessConfig, KeySource};
use micro_modules::Places;
use micro_profile::{Keys, Profile, Search};

use crate::{ServerConfig, state::State};

/// Where profiles are looked for.
pub(crate) fn profiles(config: &ServerConfig) -> Search {
    Search::standard(
        config.profile_path.iter().cloned(),
        Some(&config.home),
        std::env::current_exe().ok().as_deref(),
    )
}

/// Where plugins are looked for, and where they keep things.
pub(crate) fn plugins(config: &ServerConfig, state: &State) -> Places {
    Places {
        search: micro_loader::search_path(&config.plugin_path, Some(&config.home)),
        state: state.folder().to_owned(),
    }
}

/// The framework's sources: those that were named, or those that were installed with this
/// program.
pub(crate) fn sdk(config: &ServerConfig) -> Option<PathBuf> {
    config.sdk.clone().or_else(|| {
        let program = std::env::current_exe().ok()?;
        let installed = program.parent()?.parent()?.join("share/micro/sdk");
        installed.is_dir().then_some(installed)
    })
}

/// How accounts and tokens are set up: a key that was given wins over what the profile says.
pub(crate) fn access(config: &ServerConfig, profile: &Profile) -> AccessConfig {
    let keys = match (&config.auth_private_key, profile.server.keys) {
        (Some(key), _) => KeySource::Text(key.clone()),
        (None, Keys::Memory) => KeySource::Memory,
        (None, Keys::File) => KeySource::File(config.home.join(".micro/id_ed25519")),
    };
    AccessConfig {
        keys,
        default_admin: !config.disable_admin,
    }
}
