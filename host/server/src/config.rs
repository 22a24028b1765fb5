//! Everything that a server can be told, resolved: nothing here reads the environment.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use secrecy::SecretString;

/// What a server is to be.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The profile: a name or a path.
    pub profile: String,
    /// Folders that are searched for profiles first.
    pub profile_path: Vec<PathBuf>,
    /// Folders that are searched for plugins first.
    pub plugin_path: Vec<PathBuf>,
    /// Where the HTTP gateway listens; port 0 for any.
    pub api_address: SocketAddr,
    /// Where the gRPC proxy listens; port 0 for any.
    pub proxy_address: SocketAddr,
    /// Where the door of services listens; port 0 for any.
    pub network_address: SocketAddr,
    /// A file that receives the real addresses as JSON once the server serves.
    pub addresses_file: Option<PathBuf>,
    /// Origins whose pages may send credentials.
    pub allowed_origins: Vec<String>,
    /// The user's home folder: `.micro` in it holds the keys, profiles and plugins.
    pub home: PathBuf,
    /// What the server keeps. Made for its owner alone if it is missing.
    pub state: PathBuf,
    /// Where builds are cached.
    pub build_cache: PathBuf,
    /// How long the build of a service may take.
    pub build_timeout: Duration,
    /// The framework's sources, which builds of services use; none: they find it by themselves.
    pub sdk: Option<PathBuf>,
    /// The signing key as PKCS#8 PEM, or base64 of that; none: as the profile says.
    pub auth_private_key: Option<SecretString>,
    /// What secrets of configurations are sealed with, base64 of 32 bytes; none: as the profile
    /// says.
    pub config_secret_key: Option<SecretString>,
    /// Whether there is no default account.
    pub disable_admin: bool,
    /// What is logged: a level (`info`), or levels for parts (`warn,micro_route=debug`).
    pub log_level: String,
    /// How long requests in flight may take to finish when the server stops.
    pub grace: Duration,
}

/// How long requests in flight may take to finish, where nobody says.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(10);
