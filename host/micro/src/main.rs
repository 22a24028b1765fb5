//! The micro binary: the server of the platform and its command line.

use std::process::ExitCode;

use micro_cli::{
    CliError, ServerFlags,
    printer::{Output, Printer},
};
use micro_server::{DEFAULT_GRACE, ServerConfig};

/// The C library's allocator keeps for ever what a burst of large messages took; this one gives it
/// back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A process's life: it is a command, which ends with its answer, or a server, which tells where
/// it listens and serves until it is asked to stop.
fn main() -> ExitCode {
    micro_cli::run(std::env::args_os(), |flags| {
        let printer = Printer::terminal();
        let lived = micro_server::run(&config(flags), |addresses| {
            // Nobody may be reading; the server serves all the same.
            let _ = printer.output(&Output::line(addresses.to_string()));
        });
        match lived {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                printer.error(&CliError::plain(error.to_string()));
                ExitCode::FAILURE
            }
        }
    })
}

/// What the command line was told, in the server's words.
fn config(flags: ServerFlags) -> ServerConfig {
    ServerConfig {
        profile: flags.profile,
        profile_path: flags.profile_path,
        plugin_path: flags.plugin_path,
        api_address: flags.api_address,
        proxy_address: flags.proxy_address,
        network_address: flags.network_address,
        addresses_file: flags.addresses_file,
        allowed_origins: flags.allowed_origins,
        home: flags.home,
        state: flags.state,
        build_cache: flags.build_cache,
        build_timeout: flags.build_timeout,
        sdk: flags.sdk_path,
        auth_private_key: flags.auth_private_key,
        config_secret_key: flags.config_secret_key,
        disable_admin: flags.disable_admin,
        log_level: flags.log_level,
        grace: DEFAULT_GRACE,
    }
}
