//! `micro server`: turns flags and variables into [`ServerFlags`]; the binary's main starts the server with them.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use secrecy::SecretString;

use crate::{
    context::Context,
    error::{CliError, Result},
    plugins::folders,
    sdk,
    server_flags::ServerFlags,
};

/// The flags of `micro server`.
#[derive(Debug, Default, clap::Args)]
#[command(rename_all = "snake_case")]
pub(crate) struct Args {
    /// The profile that picks the plugins: a name or a path (default: local) [$MICRO_PROFILE]
    #[arg(long)]
    profile: Option<String>,
    /// HOST:PORT of the HTTP gateway; port 0 picks a free one
    #[arg(long)]
    api_address: Option<String>,
    /// HOST:PORT on which the gRPC proxy listens
    #[arg(long)]
    proxy_address: Option<String>,
    /// HOST:PORT on which services reach the platform
    #[arg(long)]
    network_address: Option<String>,
    /// A file that receives the real addresses once the server listens
    #[arg(long)]
    addresses_file: Option<String>,
    /// Comma list of origins whose pages may call the gateway with credentials
    #[arg(long, value_delimiter = ',')]
    api_allowed_origins: Vec<String>,
    /// Folder of what the server keeps
    #[arg(long)]
    state: Option<String>,
    /// Folder of the build cache
    #[arg(long)]
    build_cache: Option<String>,
    /// Seconds that the build of a service may take
    #[arg(long, default_value_t = 1800)]
    build_timeout: u64,
    /// Colon list of folders to search for plugins first
    #[arg(long)]
    plugin_path: Option<String>,
    /// Colon list of folders to search for profiles first
    #[arg(long)]
    profile_path: Option<String>,
    /// Folder of the framework's sources
    #[arg(long)]
    sdk_path: Option<String>,
    /// The key of config secrets, base64 of 32 bytes; others can see flags, so prefer $MICRO_CONFIG_SECRET_KEY
    #[arg(long)]
    config_secret_key: Option<SecretString>,
    /// Do not create the default account admin
    #[arg(long, alias = "disable_admin")]
    auth_disable_admin: bool,
    /// error, warn, info, debug or trace, or a filter
    #[arg(long)]
    log_level: Option<String>,
    /// A server takes no arguments.
    #[arg(hide = true)]
    pub(crate) arguments: Vec<String>,
}

/// What the server was told.
///
/// # Errors
/// An address that is none, or no `$HOME`.
pub(crate) fn flags(context: &Context<'_>, args: Args) -> Result<ServerFlags> {
    if context.globals.proxy_address.is_some() && context.is_flag("MICRO_PROXY") {
        return Err(CliError::plain(
            "--proxy_address before `server` says where commands call, which a server does not",
        )
        .hint("write `micro server --proxy_address HOST:PORT` to say where the proxy listens"));
    }
    let home = context.home()?;
    // Absolute, so that they mean the same to whoever uses them, wherever that is.
    let here = context.environment.folder();
    let path = |text: String| here.join(text);
    let state = args
        .state
        .map_or_else(|| home.join(".micro").join("server"), path);
    Ok(ServerFlags {
        profile: args
            .profile
            .or_else(|| context.globals.profile.clone())
            .unwrap_or_else(|| "local".to_owned()),
        api_address: address("api_address", args.api_address, 8080)?,
        proxy_address: address("proxy_address", args.proxy_address, 8081)?,
        network_address: address("network_address", args.network_address, 8443)?,
        addresses_file: args.addresses_file.map(path),
        allowed_origins: args.api_allowed_origins,
        build_cache: args.build_cache.map_or_else(|| state.join("build"), path),
        build_timeout: Duration::from_secs(args.build_timeout),
        plugin_path: folders(here, args.plugin_path.as_deref()),
        profile_path: folders(here, args.profile_path.as_deref()),
        sdk_path: args.sdk_path.map(path).or_else(sdk::beside_the_program),
        auth_private_key: context
            .environment
            .get("MICRO_AUTH_PRIVATE_KEY")
            .map(Into::into),
        config_secret_key: args.config_secret_key,
        disable_admin: args.auth_disable_admin,
        log_level: args.log_level.unwrap_or_else(|| "info".to_owned()),
        home,
        state,
    })
}

/// `HOST:PORT` with an IP address or `localhost`; `:PORT` is loopback too: nobody listens to the network without having said so.
fn address(flag: &str, given: Option<String>, default_port: u16) -> Result<SocketAddr> {
    let Some(text) = given else {
        return Ok((Ipv4Addr::LOCALHOST, default_port).into());
    };
    let port = |port: &str| port.parse::<u16>().ok();
    let parsed = match text.rsplit_once(':') {
        Some(("", number)) => port(number).map(|port| (Ipv4Addr::LOCALHOST, port).into()),
        Some(("localhost", number)) => port(number).map(|port| (Ipv4Addr::LOCALHOST, port).into()),
        _ => text.parse().ok(),
    };
    parsed.ok_or_else(|| {
        CliError::plain(format!("--{flag} is not an address: \"{text}\"")).hint(format!(
            "give IP:PORT, such as 127.0.0.1:{default_port}, or 0.0.0.0:{default_port} for every address of this machine"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_loopback_unless_told_otherwise() {
        let check = |given: Option<&str>, expected: &str| {
            let address = address("api_address", given.map(str::to_owned), 8080).unwrap();
            assert_eq!(address.to_string(), expected);
        };
        check(None, "127.0.0.1:8080");
        check(Some("localhost:0"), "127.0.0.1:0");
        check(Some(":9000"), "127.0.0.1:9000");
        check(Some("0.0.0.0:9000"), "0.0.0.0:9000");
        check(Some("[::1]:8080"), "[::1]:8080");
        for bad in ["8080", "example", "127.0.0.1", "127.0.0.1:99999", ":"] {
            let error = address("api_address", Some(bad.to_owned()), 8080).unwrap_err();
            assert!(error.message.contains(bad), "{error}");
        }
    }
}
