//! A platform whose answers a test chooses, behind one door that notes what arrives, and a terminal in front of it.

mod door;
mod services;

use std::{
    ffi::OsString,
    net::SocketAddr,
    process::ExitCode,
    sync::{Arc, Mutex},
    thread,
};

use bytes::Bytes;
use micro_cli::{Input, env::Environment, printer::Printer};
use micro_proto::{registry, runtime};
use tempfile::TempDir;
use tokio::sync::{Barrier, oneshot};

/// What the platform answers.
pub(crate) struct Answers {
    /// The one service that the registry knows in the namespace `micro`.
    pub(crate) service: registry::Service,
    /// Two lookups of that service answer only once both have arrived.
    pub(crate) lookups_meet: bool,
    /// How long the token of a login is valid.
    pub(crate) token_seconds: i64,
    /// A refresh token is worth nothing.
    pub(crate) refuse_refresh: bool,
    /// What `Runtime.Watch` tells.
    pub(crate) steps: Vec<Step>,
}

/// One event of a watch.
#[derive(Clone, Copy)]
pub(crate) enum Step {
    /// A new status.
    Status(i32),
    /// A line of the build.
    Line(&'static str),
    /// The end, with the reason.
    Fails(&'static str),
    /// Nothing more, for ever.
    Hang,
}

/// One call as it arrived.
#[derive(Clone)]
pub(crate) struct Arrived {
    pub(crate) path: String,
    pub(crate) namespace: String,
    pub(crate) authorization: Option<String>,
    pub(crate) content_type: String,
    pub(crate) foobar: Option<String>,
}

/// All that arrived.
#[derive(Clone, Default)]
pub(crate) struct Seen {
    pub(crate) connections: usize,
    pub(crate) calls: Vec<Arrived>,
    pub(crate) lookups: Vec<registry::GetRequest>,
    pub(crate) created: Vec<runtime::CreateRequest>,
    pub(crate) uploaded: Vec<u8>,
    pub(crate) tokens: usize,
}

/// What the door and the services share.
struct Shared {
    answers: Answers,
    meeting: Barrier,
    seen: Mutex<Seen>,
}

/// The platform, until it is dropped.
pub(crate) struct Platform {
    pub(crate) terminal: Terminal,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Platform {
    pub(crate) fn start(choose: impl FnOnce(&mut Answers)) -> Self {
        let mut answers = Answers {
            service: registry2(),
            lookups_meet: false,
            token_seconds: 600,
            refuse_refresh: false,
            steps: Vec::new(),
        };
        choose(&mut answers);
        let shared = Arc::new(Shared {
            answers,
            meeting: Barrier::new(2),
            seen: Mutex::default(),
        });
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = std::sync::mpsc::channel();
        let served = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = { runtime }.enable_all().build().unwrap();
            runtime.block_on(door::serve(served, tell, stopped));
        });
        Self {
            terminal: Terminal::at(told.recv().unwrap()),
            shared,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    pub(crate) fn run(&self, words: &[&str]) -> Done {
        self.terminal.run(words)
    }

    pub(crate) fn seen(&self) -> Seen {
        self.shared.seen.lock().unwrap().clone()
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking(), "the platform failed");
        }
    }
}

/// A service with the endpoint of the registry, under another name.
fn registry2() -> registry::Service {
    let field = |name: &str, kind: &str, values| registry::Value {
        name: name.into(),
        r#type: kind.into(),
        values,
    };
    let options = vec![
        field("ttl", "int64", vec![]),
        field("domain", "string", vec![]),
    ];
    let request = vec![
        field("service", "string", vec![]),
        field("options", "Options", options),
    ];
    registry::Service {
        name: "registry2".into(),
        version: "latest".into(),
        endpoints: vec![registry::Endpoint {
            name: "Registry.GetService".into(),
            request: Some(field("GetRequest", "GetRequest", request)),
            ..registry::Endpoint::default()
        }],
        ..registry::Service::default()
    }
}

/// A terminal whose home is a folder of its own and whose proxy is the platform.
pub(crate) struct Terminal {
    home: TempDir,
    proxy: String,
}

/// What a command line came to.
pub(crate) struct Done {
    pub(crate) code: ExitCode,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Terminal {
    fn at(proxy: SocketAddr) -> Self {
        Self {
            home: tempfile::tempdir().unwrap(),
            proxy: proxy.to_string(),
        }
    }

    pub(crate) fn run(&self, words: &[&str]) -> Done {
        let args = ["micro"].iter().chain(words).map(OsString::from);
        let home = self.home.path().to_str().unwrap();
        let environment = Environment::of(&[("HOME", home), ("MICRO_PROXY", &self.proxy)], home);
        let (printer, out, err) = Printer::captured();
        let code = micro_cli::run_with(args, &environment, &printer, Input::of(""), |_| {
            ExitCode::FAILURE
        });
        Done {
            code,
            out: out.text(),
            err: err.text(),
        }
    }
}

/// The payload of an upload is noted in the order of its chunks.
fn note_upload(seen: &mut Seen, data: &Bytes) {
    seen.uploaded.extend_from_slice(data);
}
