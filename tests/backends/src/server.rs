//! A server that runs, or is down for a while: what the three have in common.

use std::{
    ffi::OsString,
    fs::{self, File},
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use nix::{sys::signal::Signal, unistd::User};

use crate::{
    Error,
    error::Doing as _,
    folder::Folder,
    sockets,
    wait::{Deadline, PATIENCE},
};

/// How much of a server's output an error repeats.
const SHOWN_LINES: usize = 20;

/// How a server is started, each time.
#[derive(Debug)]
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<OsString>,
    /// Where it works: below its [`Folder`].
    pub(crate) work: PathBuf,
    /// Who it runs as, if not as we do.
    pub(crate) user: Option<User>,
    /// Where it listens.
    pub(crate) ports: Vec<u16>,
}

/// Whether a server that was started serves.
pub trait Ready {
    /// Asks it, by a real connection.
    fn ready(&self) -> impl Future<Output = bool> + Send;
}

/// A server. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Server {
    launch: Launch,
    child: Option<Child>,
    folder: Folder,
}

impl Server {
    /// A server that is not started yet.
    pub(crate) fn new(folder: Folder, launch: Launch) -> Self {
        Self {
            launch,
            child: None,
            folder,
        }
    }

    /// What it is started with from now on.
    pub(crate) fn set_args(&mut self, args: Vec<OsString>) {
        self.launch.args = args;
    }

    /// Whether it ended because a port was not free any more.
    pub(crate) fn clashed(error: &Error) -> bool {
        let Error::Ended { output, .. } = error else {
            return false;
        };
        output.to_lowercase().contains("address already in use")
    }

    /// Starts it, and waits until it serves.
    pub(crate) async fn start(&mut self, ready: &impl Ready) -> Result<(), Error> {
        let log = File::create(self.log_path()).doing("make a log")?;
        let mut command = Command::new(&self.launch.program);
        command
            .args(&self.launch.args)
            .current_dir(&self.launch.work)
            .stdin(Stdio::null())
            .stdout(log.try_clone().doing("share a log")?)
            .stderr(log)
            // The terminal's Ctrl-C is for the owner.
            .process_group(0);
        if let Some(user) = &self.launch.user {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        let child = command
            .spawn()
            .doing(format!("start {}", self.launch.program.display()))?;
        let child = self.child.insert(child);
        let deadline = Deadline::new();
        loop {
            let ended = child.try_wait().doing("wait for a server")?;
            if let Some(status) = ended {
                self.child = None;
                return Err(Error::Ended {
                    program: self.launch.program.clone(),
                    status: status.to_string(),
                    output: self.output(),
                });
            }
            let processes = self.folder.processes()?;
            if sockets::listen(&processes, &self.launch.ports) && ready.ready().await {
                return Ok(());
            }
            if !deadline.again().await {
                return Err(Error::Silent {
                    program: self.launch.program.clone(),
                    waited: PATIENCE,
                    output: self.output(),
                });
            }
        }
    }

    /// Kills it, as a crash of its machine would, and starts it again on the same port and data.
    pub(crate) async fn restart(&mut self, ready: &impl Ready) -> Result<(), Error> {
        self.kill()?;
        let deadline = Deadline::new();
        loop {
            match self.start(ready).await {
                // Whatever it had is given back a moment after its end.
                Err(Error::Ended { .. }) if deadline.again().await => {}
                result => return result,
            }
        }
    }

    /// Stops all its processes where they are.
    pub(crate) fn pause(&self) -> Result<(), Error> {
        self.folder.signal(Signal::SIGSTOP)
    }

    /// Lets them go on.
    pub(crate) fn resume(&self) -> Result<(), Error> {
        self.folder.signal(Signal::SIGCONT)
    }

    /// Kills all its processes at once.
    pub(crate) fn kill(&mut self) -> Result<(), Error> {
        self.folder.signal(Signal::SIGKILL)?;
        if let Some(mut child) = self.child.take() {
            child.wait().doing("wait for a server")?;
        }
        Ok(())
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// The last of what it printed.
    fn output(&self) -> String {
        let bytes = fs::read(self.log_path()).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The watchdog ends what this does not.
        let _ = self.kill();
    }
}
