//! Whether a service is well: one health call, or the command that its author gave.

use std::{collections::BTreeMap, path::Path, process::Stdio, time::Duration};

use micro_plugin_api::registry::Node;
use micro_proto::debug::{HealthRequest, debug_client::DebugClient};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tonic::{
    Code,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

/// How long one check may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// `host:port` of a node.
fn address(node: &Node) -> String {
    if node.port == 0 {
        node.address.clone()
    } else {
        format!("{}:{}", node.address, node.port)
    }
}

/// How a service is asked whether it is well.
pub(crate) enum Check<'a> {
    /// By a health call.
    Call,
    /// By the `health` command of its `micro.toml`.
    Command {
        words: &'a [String],
        folder: &'a Path,
        env: &'a BTreeMap<String, String>,
    },
}

impl Check<'_> {
    /// Asks it at this node; the error says what it answered.
    pub(crate) async fn ask(&self, node: &Node) -> Result<(), String> {
        let address = address(node);
        match self {
            Self::Call => call(&address).await,
            Self::Command { words, folder, env } => command(words, folder, env, &address).await,
        }
    }
}

/// Asks the service at `address` how it is: by `grpc.health.v1`, or by `Debug.Health` if it has
/// not got that. The error says what it answered.
async fn call(address: &str) -> Result<(), String> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        .map_err(|_| format!("{address} is not an address"))?
        .connect_timeout(TIMEOUT)
        .timeout(TIMEOUT);
    let channel = endpoint
        .connect()
        .await
        .map_err(|_| format!("cannot connect to {address}"))?;
    let check = HealthClient::new(channel.clone())
        .check(HealthCheckRequest::default())
        .await;
    match check {
        Ok(answer) if answer.get_ref().status == ServingStatus::Serving as i32 => Ok(()),
        Ok(_) => Err("it says that it is not serving".to_owned()),
        Err(status) if matches!(status.code(), Code::Unimplemented | Code::NotFound) => {
            debug(channel).await
        }
        Err(status) => Err(format!("its health check failed: {}", status.message())),
    }
}

async fn debug(channel: Channel) -> Result<(), String> {
    match DebugClient::new(channel)
        .health(HealthRequest::default())
        .await
    {
        Ok(answer) if answer.get_ref().status == "ok" => Ok(()),
        Ok(answer) => Err(format!("its health is {:?}", answer.get_ref().status)),
        Err(status) if status.code() == Code::Unimplemented => {
            Err("it has neither grpc.health.v1 nor Debug.Health".to_owned())
        }
        Err(status) => Err(format!("its health check failed: {}", status.message())),
    }
}

/// Runs the `health` command of a `micro.toml`; `MICRO_SERVICE_ADDRESS` tells it where the service
/// is.
async fn command(
    words: &[String],
    folder: &Path,
    env: &BTreeMap<String, String>,
    address: &str,
) -> Result<(), String> {
    let (program, arguments) = words.split_first().ok_or("the health command is empty")?;
    let program = if program.contains('/') {
        folder.join(program).into_os_string()
    } else {
        program.into()
    };
    let mut child = tokio::process::Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .envs(env)
        .env("MICRO_SERVICE_ADDRESS", address)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("its health command cannot be run: {error}"))?;
    let _group = KillOnDrop(child.id());
    match tokio::time::timeout(TIMEOUT, child.wait()).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(format!("its health command ended with {status}")),
        Ok(Err(error)) => Err(format!("its health command cannot be waited for: {error}")),
        Err(_) => Err(format!(
            "its health command took longer than {} s",
            TIMEOUT.as_secs()
        )),
    }
}

/// Ends all that a command started.
struct KillOnDrop(Option<u32>);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // A group that is gone needs no killing.
            let _ = killpg(Pid::from_raw(leader as i32), Signal::SIGKILL);
        }
    }
}
