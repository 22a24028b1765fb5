//! Where a server finds what was installed with it, and whose keys it signs with.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use micro_access::{AccessConfig, ConfigKey, ConfigKeySource, KeySource};
use micro_builder::Toolchain;
use micro_modules::Places;
use micro_profile::{Keys, Profile, Search};
use micro_services::RuntimeConfig;

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

/// Where services are kept and built, and where they reach the platform.
pub(crate) fn runtime(
    config: &ServerConfig,
    profile: &Profile,
    state: &State,
    network: SocketAddr,
) -> RuntimeConfig {
    // What is not UTF-8 cannot be handed on, and is nothing that a compiler needs.
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    RuntimeConfig {
        sdk_dir: config.sdk.as_deref().map(absolute),
        server: state.id().to_owned(),
        lease: profile.server.lease,
        build_timeout: config.build_timeout,
        toolchain: Toolchain::from_environment(environment).owned_by(state.id()),
        ..RuntimeConfig::new(
            state.folder().join("services"),
            absolute(&config.build_cache),
            network.to_string(),
        )
    }
}

/// The path from the root: builds run in other folders.
fn absolute(path: &Path) -> PathBuf {
    // Fails only for an empty path or without a current folder; what is left then is the user's.
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// How accounts and tokens are set up: a key that was given wins over what the profile says. One
/// that is kept in the store is sealed under `secret`.
pub(crate) fn access(config: &ServerConfig, profile: &Profile, secret: &ConfigKey) -> AccessConfig {
    let keys = match (&config.auth_private_key, profile.server.keys) {
        (Some(key), _) => KeySource::Text(key.clone()),
        (None, Keys::Memory) => KeySource::Memory,
        (None, Keys::File) => KeySource::File(config.home.join(".micro/id_ed25519")),
        (None, Keys::Store) => KeySource::Store(secret.clone()),
    };
    AccessConfig {
        default_admin: !config.disable_admin,
        ..AccessConfig::from(keys)
    }
}

/// Where the key of secrets comes from: one that was given wins over what the profile says.
pub(crate) fn config_key(config: &ServerConfig, profile: &Profile) -> ConfigKeySource {
    match (&config.config_secret_key, profile.server.keys) {
        (Some(key), _) => ConfigKeySource::Text(key.clone()),
        (None, Keys::Memory) => ConfigKeySource::Memory,
        (None, Keys::File | Keys::Store) => {
            ConfigKeySource::File(config.home.join(".micro/config_secret_key"))
        }
    }
}
