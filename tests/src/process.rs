//! Programs under test: started with an environment that is empty but for what they need, and
//! never left behind.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// How long a program may take to end when it is asked to, before a test kills it.
const GRACE: Duration = Duration::from_secs(60);

/// The path of a program or library that is built beside the tests.
///
/// # Panics
/// If it has not been built.
pub fn program(name: &str) -> PathBuf {
    let own = env::current_exe().expect("this program has a path");
    let folder = own
        .ancestors()
        .find(|folder| folder.join("deps").is_dir())
        .expect("tests run from a target folder");
    let path = folder.join(name);
    assert!(
        path.is_file(),
        "{} is missing: run `cargo build --workspace`, or `cargo xtask test`",
        path.display()
    );
    path
}

/// The environment of a program under test with the home folder `home`: what cargo and rustup need
/// to work under another `HOME`, and nothing that steers micro.
pub fn environment(home: &Path) -> BTreeMap<OsString, OsString> {
    const INHERITED: [&str; 9] = [
        "PATH",
        "TMPDIR",
        "RUSTUP_TOOLCHAIN",
        "http_proxy",
        "https_proxy",
        "no_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "NO_PROXY",
    ];
    let mut all: BTreeMap<OsString, OsString> = INHERITED
        .iter()
        .filter_map(|name| Some(((*name).into(), env::var_os(name)?)))
        .collect();
    // Both live below the real home folder where nobody says otherwise.
    for (name, folder) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
        let default = || Some(PathBuf::from(env::var_os("HOME")?).join(folder).into());
        if let Some(value) = env::var_os(name).or_else(default) {
            all.insert(name.into(), value);
        }
    }
    all.insert("HOME".into(), home.into());
    all
}

/// A program that ran to its end.
#[derive(Clone, Debug)]
pub struct Ran {
    /// The exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

impl Ran {
    /// What it printed, if it succeeded.
    ///
    /// # Panics
    /// If it did not, showing all of it.
    #[track_caller]
    pub fn success(self) -> String {
        assert_eq!(self.code, Some(0), "failed: {self:#?}");
        self.stdout
    }
}

/// A program that runs. Dropping it asks it to end, and kills it if it does not.
#[derive(Debug)]
pub struct Running {
    pid: Pid,
    ended: Receiver<ExitStatus>,
    status: Option<ExitStatus>,
}

impl Running {
    /// Starts a program.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn spawn(command: &mut Command) -> Self {
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let pid = Pid::from_raw(i32::try_from(child.id()).expect("pids are positive"));
        let (sender, ended) = channel();
        thread::spawn(move || reap(child, |status| sender.send(status).is_ok()));
        Self {
            pid,
            ended,
            status: None,
        }
    }

    /// The process.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Sends a signal, unless it has ended.
    pub fn signal(&mut self, signal: Signal) {
        if self.status().is_none() {
            // It may end between the two lines; its number is not given away before it is reaped.
            let _ = kill(self.pid, signal);
        }
    }

    /// How it ended, if it has.
    pub fn status(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.ended.try_recv().ok();
        }
        self.status
    }

    /// Waits for its end; `None` if it still runs after `patience`.
    pub fn wait(&mut self, patience: Duration) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.ended.recv_timeout(patience).ok();
        }
        self.status
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.signal(Signal::SIGTERM);
        if self.wait(GRACE).is_none() {
            self.signal(Signal::SIGKILL);
            self.wait(GRACE);
        }
    }
}

fn reap(mut child: Child, tell: impl FnOnce(ExitStatus) -> bool) {
    if let Ok(status) = child.wait() {
        tell(status);
    }
}
