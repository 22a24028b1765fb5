//! What `micro server` was told by flags, environment variables and defaults.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use secrecy::SecretString;

/// Everything that a server can be told, resolved: flag over environment variable over default.
#[derive(Clone, Debug)]
pub struct ServerFlags {
    /// `--profile`, `MICRO_PROFILE`: a name or a path; default `local`.
    pub profile: String,
    /// `--api_address`, `MICRO_API_ADDRESS`: the HTTP gateway; default `127.0.0.1:8080`.
    pub api_address: SocketAddr,
    /// `--proxy_address`, `MICRO_PROXY_ADDRESS`: the gRPC proxy; default `127.0.0.1:8081`.
    /// It is not the global `--proxy_address` (`MICRO_PROXY`), which says where commands call.
    pub proxy_address: SocketAddr,
    /// `--network_address`, `MICRO_NETWORK_ADDRESS`: the door of services; default `127.0.0.1:8443`.
    pub network_address: SocketAddr,
    /// `--addresses_file`, `MICRO_ADDRESSES_FILE`: receives the real addresses; none by default.
    pub addresses_file: Option<PathBuf>,
    /// `--api_allowed_origins`, `MICRO_API_ALLOWED_ORIGINS`: origins whose pages get credentials; none by default.
    pub allowed_origins: Vec<String>,
    /// `$HOME`, where `~/.micro` with the signing key, profiles and plugins is.
    pub home: PathBuf,
    /// `--state`, `MICRO_STATE`: what the server keeps; default `~/.micro/server`.
    pub state: PathBuf,
    /// `--build_cache`, `MICRO_BUILD_CACHE`; default `build` in the state folder.
    pub build_cache: PathBuf,
    /// `--build_timeout`, `MICRO_BUILD_TIMEOUT`: how long the build of a service may take; default half an hour.
    pub build_timeout: Duration,
    /// `--plugin_path`, `MICRO_PLUGIN_PATH`: folders that are searched for plugins first.
    pub plugin_path: Vec<PathBuf>,
    /// `--profile_path`, `MICRO_PROFILE_PATH`: folders that are searched for profiles first.
    pub profile_path: Vec<PathBuf>,
    /// `--sdk_path`, `MICRO_SDK_PATH`: our sources, which services build against; found beside the binary by default.
    pub sdk_path: Option<PathBuf>,
    /// `MICRO_AUTH_PRIVATE_KEY` (no flag: arguments are visible to other users); default the key file in `~/.micro`.
    pub auth_private_key: Option<SecretString>,
    /// `--config_secret_key`, `MICRO_CONFIG_SECRET_KEY`: base64 of 32 bytes; default the key file in `~/.micro`.
    pub config_secret_key: Option<SecretString>,
    /// `--auth_disable_admin`, `MICRO_AUTH_DISABLE_ADMIN`: no default account; default false.
    pub disable_admin: bool,
    /// `--log_level`, `MICRO_LOG_LEVEL`; default `info`.
    pub log_level: String,
}
