//! A real server, in a home folder of its own and on free ports.

use std::{
    collections::BTreeMap,
    env,
    ffi::{OsStr, OsString},
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use http::Request;
use nix::sys::signal::Signal;
use serde::Deserialize;
use tempfile::TempDir;

use crate::{Answer, PATIENCE, Ran, Running, backends, environment, fetch, program, wait_for};

/// The profile that end-to-end tests run under: `MICRO_PROFILE`, or else `local`.
pub fn profile() -> String {
    env::var("MICRO_PROFILE").unwrap_or_else(|_| "local".to_owned())
}

/// How long a test waits for a service that has to be compiled, its dependencies too.
pub const BUILD_PATIENCE: Duration = Duration::from_secs(600);

/// The folder of an example of this checkout.
pub fn example(name: &str) -> String {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tests.with_file_name("examples").join(name);
    folder.display().to_string()
}

/// The addresses of a server, as it writes them to its addresses file.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Addresses {
    api: SocketAddr,
    proxy: SocketAddr,
    network: SocketAddr,
}

/// What a server is to be, before it is started. Clones share the home folder.
#[derive(Clone, Debug)]
pub struct ServerBuilder {
    program: PathBuf,
    home: Arc<TempDir>,
    profile: String,
    env: BTreeMap<OsString, OsString>,
    args: Vec<OsString>,
}

impl ServerBuilder {
    /// A server of this profile: a name, or the path of a manifest.
    ///
    /// # Panics
    /// If there can be no temporary folder.
    pub fn new(profile: &str) -> Self {
        let home = tempfile::Builder::new()
            .prefix("micro-test-")
            .tempdir()
            .expect("a temporary folder");
        let mut env = environment(home.path());
        let mut set = |name: &str, value: OsString| env.insert(name.into(), value);
        for door in ["API", "PROXY", "NETWORK"] {
            set(&format!("MICRO_{door}_ADDRESS"), "127.0.0.1:0".into());
        }
        set(
            "MICRO_ADDRESSES_FILE",
            home.path().join("addresses.json").into(),
        );
        set("MICRO_LOG_LEVEL", "debug".into());
        // Services are built from this checkout's sources, and share what they have built.
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
        let sdk = env::var_os("MICRO_TEST_SDK").or_else(|| checkout.map(Into::into));
        if let Some(sdk) = sdk {
            set("MICRO_SDK_PATH", sdk);
        }
        let cache = env::var_os("MICRO_TEST_BUILD_CACHE").unwrap_or_else(|| {
            let micro = program("micro");
            micro.with_file_name("build-cache").into()
        });
        set("MICRO_BUILD_CACHE", cache);
        env.extend(backends::apart());
        Self {
            program: program("micro"),
            home: Arc::new(home),
            profile: profile.to_owned(),
            env,
            args: Vec::new(),
        }
    }

    /// The server's home folder, so far empty.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Writes a file below the home folder and returns its path.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.home().join(name);
        let folder = path.parent().expect("below the home folder");
        fs::create_dir_all(folder).expect("a folder can be made");
        fs::write(&path, text).expect("a file can be written");
        path
    }

    /// Takes this profile after all: a name, or the path of a manifest.
    #[must_use]
    pub fn profile(mut self, profile: impl AsRef<Path>) -> Self {
        self.profile = profile.as_ref().display().to_string();
        self
    }

    /// Takes this binary, with what is installed beside it, in place of the checkout's.
    #[must_use]
    pub fn installed(mut self, program: impl Into<PathBuf>) -> Self {
        self.program = program.into();
        self.env.remove(OsStr::new("MICRO_SDK_PATH"));
        self
    }

    /// Sets a variable in the environment of the server and of its command lines.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    /// Adds an argument to `micro server`.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .arg("server")
            .args(&self.args)
            .env_clear()
            .envs(&self.env)
            .env("MICRO_PROFILE", &self.profile)
            .current_dir(self.home())
            .stdin(Stdio::null());
        command
    }

    /// Runs a server that is not expected to start, to its end.
    ///
    /// # Panics
    /// If it is still there after [`PATIENCE`].
    pub fn fail(&self) -> Ran {
        run(self.command(), self.home(), "server", "", PATIENCE)
    }

    /// Starts the server and waits until it serves, ready or not. If its profile needs real
    /// backends, it gets those of the test run, but for what [`env`](Self::env) says.
    ///
    /// # Panics
    /// If it does not, showing its log.
    pub async fn serve(mut self) -> Server {
        backends::tell(&self.profile, &mut self.env).await;
        let log = self.home().join("server.log");
        let append = fs::OpenOptions::new().create(true).append(true).open(&log);
        let file = append.expect("a log can be made");
        let out = file.try_clone().expect("a file can be shared");
        // That of a server before this one says nothing of this one.
        let path = self.home().join("addresses.json");
        let _ = fs::remove_file(&path);
        let mut process = Running::spawn(self.command().stdout(out).stderr(file));
        let addresses = wait_for("the server's addresses", || {
            let status = process.status();
            let text = fs::read_to_string(&path);
            let log = log.clone();
            async move {
                let log = || fs::read_to_string(log).unwrap_or_default();
                assert!(status.is_none(), "the server ended: {}", log());
                text.ok()
            }
        })
        .await;
        let addresses = serde_json::from_str(&addresses).expect("addresses are JSON");
        Server {
            builder: self,
            log,
            addresses,
            process,
        }
    }

    /// Starts the server and waits until it is ready.
    ///
    /// # Panics
    /// If it does not become so.
    pub async fn start(self) -> Server {
        let server = self.serve().await;
        wait_for("the server to be ready", || async {
            let answer = server.get("/readyz").await;
            answer.status.is_success().then_some(())
        })
        .await;
        server
    }
}

/// A server that serves. Dropping it stops it, with the services that it runs; if the test
/// panics, its log is shown.
#[derive(Debug)]
pub struct Server {
    process: Running,
    addresses: Addresses,
    log: PathBuf,
    // Last: the process ends before its home goes.
    builder: ServerBuilder,
}

impl Server {
    /// Starts a server of this profile (a name, or the path of a manifest) and waits until it is
    /// ready.
    ///
    /// # Panics
    /// If it does not become so.
    pub async fn start(profile: &str) -> Self {
        ServerBuilder::new(profile).start().await
    }

    /// The HTTP gateway.
    pub fn api(&self) -> SocketAddr {
        self.addresses.api
    }

    /// The gRPC proxy.
    pub fn proxy(&self) -> SocketAddr {
        self.addresses.proxy
    }

    /// The door of services.
    pub fn network(&self) -> SocketAddr {
        self.addresses.network
    }

    /// The home folder of the server and of its command lines.
    pub fn home(&self) -> &Path {
        self.builder.home()
    }

    /// The process.
    pub fn process(&mut self) -> &mut Running {
        &mut self.process
    }

    /// What the server has printed and logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// GET from the gateway.
    ///
    /// # Panics
    /// If no answer comes.
    pub async fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[]).await
    }

    /// GET from the gateway with these headers.
    ///
    /// # Panics
    /// If no answer comes.
    pub async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::get(format!("http://{}{path}", self.api()));
        for (key, value) in headers {
            request = request.header(*key, *value);
        }
        let request = request.body("").expect("a valid path and valid headers");
        fetch(request).await.expect("an answer")
    }

    /// POST of a JSON text to the gateway.
    ///
    /// # Panics
    /// If no answer comes.
    pub async fn post(&self, path: &str, json: &str) -> Answer {
        let request = Request::post(format!("http://{}{path}", self.api()))
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(json.to_owned())
            .expect("a valid path");
        fetch(request).await.expect("an answer")
    }

    /// A command line against this server, to be run as the caller likes.
    pub fn command<A: Into<OsString>>(&self, args: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(&self.builder.program);
        command
            .args(args.into_iter().map(Into::into))
            .env_clear()
            .envs(&self.builder.env)
            .env("MICRO_PROXY", self.proxy().to_string())
            .env_remove("MICRO_PROXY_ADDRESS")
            .current_dir(self.home())
            .stdin(Stdio::null());
        command
    }

    /// Runs a command line against this server, to its end.
    ///
    /// # Panics
    /// If it is still there after [`PATIENCE`].
    pub async fn micro<A: Into<OsString>>(&self, args: impl IntoIterator<Item = A>) -> Ran {
        self.run(self.command(args), "", PATIENCE).await
    }

    /// Runs a command line that reads `input`.
    ///
    /// # Panics
    /// If it is still there after [`PATIENCE`].
    pub async fn micro_reading<A: Into<OsString>>(
        &self,
        args: impl IntoIterator<Item = A>,
        input: &str,
    ) -> Ran {
        self.run(self.command(args), input, PATIENCE).await
    }

    /// Logs the command lines in as the first account.
    ///
    /// # Panics
    /// If that fails.
    pub async fn login(&self) {
        let args = ["login", "--username=admin", "--password=micro"];
        self.micro(args).await.success();
    }

    /// `micro run` of an example, which may have to be compiled first.
    ///
    /// # Panics
    /// If it does not end within [`BUILD_PATIENCE`].
    pub async fn run_example(&self, name: &str) -> Ran {
        self.run_source([example(name)]).await
    }

    /// `micro run` with these arguments, of a source that may have to be compiled first.
    ///
    /// # Panics
    /// If it does not end within [`BUILD_PATIENCE`].
    pub async fn run_source<A: Into<OsString>>(&self, args: impl IntoIterator<Item = A>) -> Ran {
        self.run_source_as("run", args).await
    }

    /// `micro COMMAND` with these arguments, of a source that may have to be compiled first.
    ///
    /// # Panics
    /// If it does not end within [`BUILD_PATIENCE`].
    pub async fn run_source_as<A: Into<OsString>>(
        &self,
        command: &str,
        args: impl IntoIterator<Item = A>,
    ) -> Ran {
        let args = args.into_iter().map(Into::into);
        let command = self.command([command.into()].into_iter().chain(args));
        self.run(command, "", BUILD_PATIENCE).await
    }

    /// Runs a program that is a client of this server, on the first account, to its end.
    ///
    /// # Panics
    /// If it is still there after `patience`.
    pub async fn run_program(&self, program: &Path, args: &[&str], patience: Duration) -> Ran {
        self.run(self.client_program(program, args), "", patience)
            .await
    }

    /// A program that is a client of this server, on the first account, to be run as the caller likes.
    pub fn client_program(&self, program: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(args)
            .env_clear()
            .env("HOME", self.home())
            .env("MICRO_PROXY", self.proxy().to_string())
            .env("MICRO_AUTH_ID", "admin")
            .env("MICRO_AUTH_SECRET", "micro")
            .current_dir(self.home())
            .stdin(Stdio::null());
        command
    }

    async fn run(&self, command: Command, input: &str, patience: Duration) -> Ran {
        let (home, input) = (self.home().to_owned(), input.to_owned());
        let running =
            tokio::task::spawn_blocking(move || run(command, &home, "command", &input, patience));
        running.await.expect("a command that ends")
    }

    /// Asks the server to stop, and waits for its end.
    ///
    /// # Panics
    /// If it is still there after [`PATIENCE`].
    pub async fn stop(&mut self) -> ExitStatus {
        self.process.signal(Signal::SIGTERM);
        self.ended().await
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// If it is still there after [`PATIENCE`].
    pub async fn ended(&mut self) -> ExitStatus {
        // Connections of the test have to answer meanwhile: a door waits for them.
        let process = &mut self.process;
        wait_for("the server to end", || {
            let status = process.status();
            async move { status }
        })
        .await
    }
}

impl Server {
    /// Kills the server as a crash would, leaving its services alone; what starts the next one on
    /// the same home folder.
    ///
    /// # Panics
    /// If it is still there after [`PATIENCE`].
    pub fn crash(mut self) -> ServerBuilder {
        self.process.signal(Signal::SIGKILL);
        let ended = self.process.wait(PATIENCE);
        assert!(ended.is_some(), "a killed process ends");
        self.builder.clone()
    }

    /// Stops the server; what starts the next one on the same home folder.
    ///
    /// # Panics
    /// If it does not end well, or is still there after [`PATIENCE`].
    pub async fn stopped(mut self) -> ServerBuilder {
        assert!(self.stop().await.success());
        self.builder.clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- log of the server\n{}---", self.log());
        }
    }
}

/// Runs a command to its end. Its output goes through files, since a pipe would be held open by
/// whatever it leaves behind.
fn run(mut command: Command, home: &Path, name: &str, input: &str, patience: Duration) -> Ran {
    let output = |stream: &str| {
        tempfile::Builder::new()
            .prefix(&format!("{name}-{stream}-"))
            .tempfile_in(home)
            .expect("a file can be made")
    };
    let (stdin, stdout, stderr) = (output("stdin"), output("stdout"), output("stderr"));
    fs::write(stdin.path(), input).expect("a file can be written");
    let share = |file: &tempfile::NamedTempFile| file.reopen().expect("a file can be shared");
    command
        .stdin(share(&stdin))
        .stdout(share(&stdout))
        .stderr(share(&stderr));
    let mut process = Running::spawn(&mut command);
    let status = process.wait(patience);
    let text = |file: &tempfile::NamedTempFile| {
        String::from_utf8_lossy(&fs::read(file.path()).expect("a readable file")).into_owned()
    };
    let (stdout, stderr) = (text(&stdout), text(&stderr));
    let Some(status) = status else {
        panic!("{command:?} does not end\n--- stdout\n{stdout}\n--- stderr\n{stderr}");
    };
    Ran {
        code: status.code(),
        stdout,
        stderr,
    }
}
