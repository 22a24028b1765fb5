//! Every environment variable that the binary reads, in one table, and the snapshot of them that commands use.

use std::{collections::BTreeMap, env, path::PathBuf};

/// Which part of the command line a variable belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// A flag that stands before the command.
    Global,
    /// A flag of this command.
    Command(&'static str),
    /// No flag: the variable alone (secrets, which must not be seen among a process's arguments, and the system's own).
    Variable,
}

/// One environment variable: what it is for, and the flag that wins over it.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// Where its flag belongs.
    pub scope: Scope,
    /// The flag that it stands for, without dashes.
    pub flag: Option<&'static str>,
    /// What holds when neither is given.
    pub default: &'static str,
    /// True when its value must never be shown.
    pub secret: bool,
    /// One line on what it does.
    pub about: &'static str,
}

const fn variable(
    scope: Scope,
    name: &'static str,
    flag: &'static str,
    default: &'static str,
    about: &'static str,
) -> Variable {
    let flag = if flag.is_empty() { None } else { Some(flag) };
    Variable {
        name,
        scope,
        flag,
        default,
        secret: false,
        about,
    }
}

const fn global(
    name: &'static str,
    flag: &'static str,
    default: &'static str,
    about: &'static str,
) -> Variable {
    variable(Scope::Global, name, flag, default, about)
}

const fn server(
    name: &'static str,
    flag: &'static str,
    default: &'static str,
    about: &'static str,
) -> Variable {
    variable(Scope::Command("server"), name, flag, default, about)
}

const fn call(name: &'static str, flag: &'static str, about: &'static str) -> Variable {
    variable(Scope::Command("call"), name, flag, "", about)
}

/// The table. Help, the docs and the parser are all made from it.
#[rustfmt::skip]
pub const VARIABLES: &[Variable] = &[
    global("MICRO_CONFIG_FILE", "c", "~/.micro/config.json", "The file that holds environments and the current user; the tokens stay in ~/.micro"),
    global("MICRO_ENV", "env", "local", "The environment to use for this call"),
    global("MICRO_NAMESPACE", "namespace", "micro", "The namespace to work in"),
    // Not at `server` too, where it would win over the flag in front of the command.
    global("MICRO_PROFILE", "profile", "local", "For the server, the profile that picks the plugins: a name or a path. Commands accept and ignore it"),
    global("MICRO_PROXY", "proxy_address", "the environment's", "HOST:PORT of the proxy that commands call (not where a server listens)"),
    server("MICRO_API_ADDRESS", "api_address", "127.0.0.1:8080", "HOST:PORT of the HTTP gateway"),
    server("MICRO_PROXY_ADDRESS", "proxy_address", "127.0.0.1:8081", "HOST:PORT on which the gRPC proxy listens"),
    server("MICRO_NETWORK_ADDRESS", "network_address", "127.0.0.1:8443", "HOST:PORT on which services reach the platform"),
    server("MICRO_ADDRESSES_FILE", "addresses_file", "", "A file that receives the real addresses once the server listens"),
    server("MICRO_API_ALLOWED_ORIGINS", "api_allowed_origins", "", "Comma list of origins whose pages may call the gateway with credentials"),
    server("MICRO_STATE", "state", "~/.micro/server", "Folder of what the server keeps: logs, builds, the plugins' data"),
    server("MICRO_BUILD_CACHE", "build_cache", "<state>/build", "Folder of the build cache; servers may share one"),
    server("MICRO_BUILD_TIMEOUT", "build_timeout", "1800", "Seconds that the build of a service may take; the first one compiles all that it depends on"),
    server("MICRO_PLUGIN_PATH", "plugin_path", "", "Colon list of folders to search for plugins first"),
    server("MICRO_PROFILE_PATH", "profile_path", "", "Colon list of folders to search for profiles first"),
    server("MICRO_SDK_PATH", "sdk_path", "beside the binary", "Folder of micro's sources: what services, and the plugins of `micro new`, build against"),
    server("MICRO_AUTH_DISABLE_ADMIN", "auth_disable_admin", "false", "Do not create the default account admin"),
    server("MICRO_LOG_LEVEL", "log_level", "info", "error, warn, info, debug or trace, or a filter of the tracing library"),
    Variable { name: "MICRO_AUTH_PRIVATE_KEY", scope: Scope::Variable, flag: None, default: "~/.micro/id_ed25519", secret: true,
        about: "The server's signing key: base64 of a PKCS#8 PEM; no key file is touched then" },
    Variable { name: "MICRO_CONFIG_SECRET_KEY", scope: Scope::Command("server"), flag: Some("config_secret_key"), default: "~/.micro/config_secret_key", secret: true,
        about: "The key of config secrets: base64 of 32 bytes; no key file is touched then" },
    call("MICRO_OUTPUT", "output", "json, or raw for the bytes as they came"),
    call("MICRO_METADATA", "metadata", "Comma list of key=value, sent with the call"),
    variable(Scope::Variable, "HOME", "", "", "Where ~/.micro is"),
    variable(Scope::Variable, "PATH", "", "", "Searched for micro-NAME, which `micro NAME` runs"),
];

/// What the process's environment was at start, so that tests can give their own.
#[derive(Clone, Default)]
pub struct Environment {
    values: BTreeMap<String, String>,
    folder: PathBuf,
}

impl Environment {
    /// The environment of this process: the variables of [`VARIABLES`] and the working folder.
    pub fn of_process() -> Self {
        let values = VARIABLES
            .iter()
            .filter_map(|variable| Some((variable.name.to_owned(), env::var(variable.name).ok()?)))
            .collect();
        let folder = env::current_dir().unwrap_or_default();
        Self { values, folder }
    }

    /// An environment of just these variables, with this working folder.
    pub fn of(values: &[(&str, &str)], folder: impl Into<PathBuf>) -> Self {
        Self {
            values: values
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            folder: folder.into(),
        }
    }

    /// The value of a variable; an empty one counts as absent.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// The working folder.
    pub fn folder(&self) -> &std::path::Path {
        &self.folder
    }

    /// `$HOME`, if it is set.
    pub fn home(&self) -> Option<PathBuf> {
        self.get("HOME").map(PathBuf::from)
    }
}

/// The variable behind a flag: of the command, or of the global flags when there is none.
pub fn behind(command: Option<&str>, flag: &str) -> Option<&'static Variable> {
    let scope = |variable: &Variable| match (variable.scope, command) {
        (Scope::Global, None) => true,
        (Scope::Command(of), Some(command)) => of == command,
        _ => false,
    };
    VARIABLES
        .iter()
        .find(|variable| variable.flag == Some(flag) && scope(variable))
}

/// The table as Markdown, for the docs.
pub fn reference() -> String {
    let mut text = String::from("| variable | flag | default | meaning |\n|---|---|---|---|\n");
    for variable in VARIABLES {
        let flag = match (variable.scope, variable.flag) {
            (Scope::Command(command), Some(flag)) => format!("`micro {command} --{flag}`"),
            (_, Some(flag)) => format!("`micro --{flag}`"),
            (_, None) => "–".to_owned(),
        };
        let default = match variable.default {
            "" => "–".to_owned(),
            default => format!("`{default}`"),
        };
        let secret = if variable.secret { " (secret)" } else { "" };
        text.push_str(&format!(
            "| `{}` | {flag} | {default} | {}{secret} |\n",
            variable.name, variable.about
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn an_empty_variable_is_absent() {
        let environment = Environment::of(&[("MICRO_ENV", ""), ("HOME", "/h")], "/");
        assert_eq!(environment.get("MICRO_ENV"), None);
        assert_eq!(environment.home(), Some(PathBuf::from("/h")));
    }

    #[test]
    fn no_flag_stands_for_two_variables() {
        let flags = VARIABLES
            .iter()
            .filter(|variable| variable.flag.is_some())
            .map(|variable| format!("{:?} {:?}", variable.scope, variable.flag));
        let count = flags.clone().count();
        assert_eq!(flags.collect::<BTreeSet<_>>().len(), count);
    }

    #[test]
    fn the_reference_has_a_row_for_each() {
        let text = reference();
        assert_eq!(text.lines().count(), VARIABLES.len() + 2);
        assert!(text.contains(
            "| `MICRO_PROXY_ADDRESS` | `micro server --proxy_address` | `127.0.0.1:8081` |"
        ));
        assert!(text.lines().all(|line| line.matches('|').count() == 5));
    }

    #[test]
    fn the_proxy_to_call_and_the_proxy_to_listen_on_are_two() {
        let name = |command| behind(command, "proxy_address").map(|variable| variable.name);
        assert_eq!(name(None), Some("MICRO_PROXY"));
        assert_eq!(name(Some("server")), Some("MICRO_PROXY_ADDRESS"));
    }
}
