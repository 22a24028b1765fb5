//! What the runtime service is told by the server that it is part of.

use std::{path::PathBuf, time::Duration};

use micro_builder::Toolchain;

/// Where services are kept and built, and how long and large things may be.
#[derive(Clone, Debug)]
pub struct RuntimeConfig {
    /// Names this server among those that share its store, also after a restart: it brings back
    /// the services that bear its name.
    pub server: String,
    /// How long a server that shares its store with others may be silent before one of them takes
    /// over its services; `None` if this one has its store alone.
    pub lease: Option<Duration>,
    /// A folder of the server's own for the sources and programs of services; absolute.
    pub services_dir: PathBuf,
    /// Where builds keep what they share (`MICRO_BUILD_CACHE`); absolute.
    pub build_cache: PathBuf,
    /// The sources that ship with the server, if any: see [`micro_builder::BuildOptions::sdk_dir`].
    pub sdk_dir: Option<PathBuf>,
    /// Where services reach the platform: the real address of the network door, `host:port`.
    pub network_address: String,
    /// The variables that builds run with; services get its `PATH` alone.
    pub toolchain: Toolchain,
    /// How long a build may take.
    pub build_timeout: Duration,
    /// How long a service may take from its start to its first good health check, where the
    /// request does not say.
    pub start_timeout: Duration,
    /// How long a service may take to end by itself when it is killed.
    pub stop_grace: Duration,
    /// The most bytes of one upload.
    pub upload_limit: u64,
}

impl RuntimeConfig {
    /// Where services listen: on this machine alone, or, where other servers send calls too, at
    /// the address by which those reach this server.
    pub(crate) fn service_address(&self) -> String {
        let host = self
            .lease
            .and_then(|_| self.network_address.rsplit_once(':'))
            .map_or("127.0.0.1", |(host, _)| host);
        format!("{host}:0")
    }

    /// The defaults: the server is called after `services_dir` and has its store alone, builds may
    /// take 15 minutes, a start 60 s, an end 5 s, an upload 256 MiB.
    pub fn new(
        services_dir: impl Into<PathBuf>,
        build_cache: impl Into<PathBuf>,
        network_address: impl Into<String>,
    ) -> Self {
        let services_dir = services_dir.into();
        Self {
            server: services_dir.display().to_string(),
            lease: None,
            services_dir,
            build_cache: build_cache.into(),
            sdk_dir: None,
            network_address: network_address.into(),
            toolchain: Toolchain::default(),
            build_timeout: Duration::from_secs(30 * 60),
            start_timeout: Duration::from_secs(60),
            stop_grace: Duration::from_secs(5),
            upload_limit: 256 * 1024 * 1024,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_listen_where_the_servers_that_call_them_are() {
        for (network, alone, shared) in [
            ("127.0.0.1:8443", "127.0.0.1:0", "127.0.0.1:0"),
            ("10.0.0.5:8443", "127.0.0.1:0", "10.0.0.5:0"),
            ("[fd00::1]:8443", "127.0.0.1:0", "[fd00::1]:0"),
        ] {
            let mut config = RuntimeConfig::new("/services", "/build", network);
            assert_eq!(config.service_address(), alone);
            config.lease = Some(Duration::from_secs(15));
            assert_eq!(config.service_address(), shared);
        }
    }
}
