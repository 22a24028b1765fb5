//! The environment of compilers and build commands.

use std::collections::BTreeMap;

/// What a compiler needs from the server's environment, and nothing else: above all none of the
/// server's own `MICRO_*` variables.
const KEPT: &[&str] = &[
    "PATH",
    "HOME",
    "LANG",
    "TMPDIR",
    "CARGO_HOME",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
];

/// The variable that marks the processes of a server's builds.
pub(crate) const OWNER: &str = "MICRO_BUILD_OWNER";

/// The variables that compilers and build commands run with.
#[derive(Clone, Debug, Default)]
pub struct Toolchain {
    variables: BTreeMap<String, String>,
}

impl Toolchain {
    /// Takes what a compiler needs out of `environment` and leaves the rest.
    pub fn from_environment(environment: impl IntoIterator<Item = (String, String)>) -> Self {
        let kept = |name: &str| KEPT.contains(&name) || name.starts_with("CARGO_HTTP_");
        Self {
            variables: environment
                .into_iter()
                .filter(|(name, _)| kept(name))
                .collect(),
        }
    }

    /// Marks what is run with it as `owner`'s, so that [`end_strays`](crate::end_strays) finds it.
    #[must_use]
    pub fn owned_by(mut self, owner: &str) -> Self {
        self.variables.insert(OWNER.to_owned(), owner.to_owned());
        self
    }

    /// The variables.
    pub fn variables(&self) -> &BTreeMap<String, String> {
        &self.variables
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_server_reaches_a_compiler() {
        let environment = [
            ("PATH", "/bin"),
            ("MICRO_AUTH_PRIVATE_KEY", "secret"),
            ("CARGO_MANIFEST_DIR", "/x"),
            ("https_proxy", "http://p"),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let toolchain = Toolchain::from_environment(environment);
        let names: Vec<_> = toolchain.variables().keys().collect();
        assert_eq!(names, ["PATH", "https_proxy"]);
    }
}
