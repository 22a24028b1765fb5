//! A child process of this program that runs the code of plugins: one that aborts, hangs or writes
//! where it should not takes nothing of ours with it.
//!
//! The child is `micro plugin child SOCKET`. It is told what to do, and answers, in lines of JSON
//! through the socket: stdout belongs to whatever the plugin prints, and arguments can be seen by
//! other users.

use std::{
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    net::{
        UnixListener, UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    process,
    time::timeout,
};

use super::{describe, trial};
use crate::error::{CliError, Result};

/// How long the child may take to start and ask what to do.
const START: Duration = Duration::from_secs(30);

/// How long a child whose line has ended may take to end itself.
const END: Duration = Duration::from_secs(5);

/// A library as the child is told of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct File {
    /// Its path, absolute.
    pub(crate) path: PathBuf,
    /// What the plugin is called.
    pub(crate) name: String,
    /// The hash that it must have.
    pub(crate) sha256: Option<String>,
}

/// What a child is to do.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Say what the settings of a plugin are.
    Describe(File),
    /// Run the suite of one module.
    Test(Box<Trial>),
}

/// A run of one suite.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Trial {
    /// The library.
    pub(crate) file: File,
    /// The module.
    pub(crate) module: String,
    /// The settings, as JSON text.
    pub(crate) settings: String,
    /// What the names of the rules must contain.
    pub(crate) filter: String,
    /// The value of `PATH` that a runtime's programs are started with.
    pub(crate) path: String,
}

/// The parent's end.
pub(crate) struct Child {
    process: process::Child,
    lines: Lines<BufReader<OwnedReadHalf>>,
    // Last: it is of use to the process until that has ended.
    _folder: tempfile::TempDir,
}

/// Why there is no next line.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The process is gone; says how.
    Gone(String),
    /// Nothing came for so long, and the process has been killed.
    Silent(Duration),
}

impl Child {
    /// Starts a child and tells it what to do.
    ///
    /// # Errors
    /// It cannot be started, or does not ask.
    pub(crate) async fn start(order: &Order) -> Result<Self> {
        let failed = |what: &str, error: &dyn std::fmt::Display| {
            CliError::plain(format!(
                "Cannot {what} the process that plugins run in: {error}"
            ))
        };
        let folder = tempfile::Builder::new()
            .prefix("micro-plugin-")
            .tempdir()
            .map_err(|error| failed("make a folder for", &error))?;
        let socket = folder.path().join("socket");
        let listener = UnixListener::bind(&socket).map_err(|error| failed("listen to", &error))?;
        let program = std::env::current_exe().map_err(|error| failed("find", &error))?;
        let mut process = process::Command::new(program)
            .args(["plugin", "child"])
            .arg(&socket)
            .stdin(Stdio::null())
            // Results are ours alone.
            .stdout(Stdio::from(std::io::stderr()))
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed("start", &error))?;
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted.map_err(|error| failed("listen to", &error)),
            status = process.wait() => Err(failed("start", &ended(status))),
            () = tokio::time::sleep(START) => Err(failed("start", &"it does not ask what to do")),
        };
        let (lines, mut orders) = accepted?.0.into_split();
        let mut text = serde_json::to_vec(order).map_err(|error| failed("tell", &error))?;
        text.push(b'\n');
        orders
            .write_all(&text)
            .await
            .map_err(|error| failed("tell", &error))?;
        Ok(Self {
            process,
            lines: BufReader::new(lines).lines(),
            _folder: folder,
        })
    }

    /// What the child says next. One that says nothing for `patience` is killed.
    pub(crate) async fn next<T: DeserializeOwned>(
        &mut self,
        patience: Duration,
    ) -> std::result::Result<T, Ended> {
        let Ok(line) = timeout(patience, self.lines.next_line()).await else {
            // It ends with this; whether it does so gracefully does not matter any more.
            let _ = self.process.kill().await;
            return Err(Ended::Silent(patience));
        };
        match line.map(|line| line.map(|line| serde_json::from_str(&line))) {
            Ok(Some(Ok(answer))) => Ok(answer),
            Ok(Some(Err(error))) => Err(Ended::Gone(format!("it made no sense: {error}"))),
            Ok(None) | Err(_) => Err(Ended::Gone(self.end().await)),
        }
    }

    /// How the process ended; killed if it does not.
    async fn end(&mut self) -> String {
        match timeout(END, self.process.wait()).await {
            Ok(status) => ended(status),
            Err(_) => {
                let _ = self.process.kill().await;
                "it stopped answering".to_owned()
            }
        }
    }
}

fn ended(status: std::io::Result<ExitStatus>) -> String {
    match status {
        Ok(status) => match status.signal() {
            Some(signal) => {
                let name = nix::sys::signal::Signal::try_from(signal);
                let name = name.map_or_else(|_| signal.to_string(), |name| name.to_string());
                format!("a signal ended it ({name})")
            }
            None => format!("it ended with code {}", status.code().unwrap_or_default()),
        },
        Err(error) => error.to_string(),
    }
}

/// The child's end.
pub(crate) struct Parent {
    folder: PathBuf,
    answers: OwnedWriteHalf,
}

impl Parent {
    /// Asks the parent behind `socket` what to do.
    ///
    /// # Errors
    /// There is none.
    pub(crate) async fn ask(socket: &Path) -> Result<(Self, Order)> {
        let failed = |error: &dyn std::fmt::Display| {
            CliError::plain(format!(
                "No command line is at {}: {error}",
                socket.display()
            ))
        };
        let stream = UnixStream::connect(socket)
            .await
            .map_err(|error| failed(&error))?;
        let (orders, answers) = stream.into_split();
        let line = BufReader::new(orders).lines().next_line().await;
        let line = line
            .map_err(|error| failed(&error))?
            .ok_or_else(|| failed(&"it hung up"))?;
        let order = serde_json::from_str(&line).map_err(|error| failed(&error))?;
        let folder = socket.parent().unwrap_or(Path::new(".")).to_owned();
        Ok((Self { folder, answers }, order))
    }

    /// A folder of this child's own, gone when the parent is done.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Says something. A parent that has gone is nobody to tell.
    pub(crate) async fn say(&mut self, answer: &impl Serialize) {
        if let Ok(mut line) = serde_json::to_vec(answer) {
            line.push(b'\n');
            let _ = self.answers.write_all(&line).await;
        }
    }
}

/// Does what the parent behind `socket` asks for, in the child.
///
/// # Errors
/// There is no parent.
pub(crate) async fn serve(socket: &Path) -> Result<()> {
    let (mut parent, order) = Parent::ask(socket).await?;
    match order {
        Order::Describe(file) => describe::answer(&mut parent, &file).await,
        Order::Test(trial) => trial::answer(&mut parent, &trial).await,
    }
    Ok(())
}
