//! One platform of several real servers of the profile `production`, on real backends.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use micro::Client;
use micro_test_backends::unique;
use micro_tests::{Server, ServerBuilder, program, wait_for};
use nix::{errno::Errno, sys::signal::kill, unistd::Pid};

/// What its servers have in common.
pub(crate) struct Platform {
    place: String,
    folder: tempfile::TempDir,
}

impl Platform {
    pub(crate) fn new() -> Self {
        Self {
            place: unique("several"),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// One more server, with a home of its own.
    pub(crate) fn server(&self) -> ServerBuilder {
        let builder = ServerBuilder::new("production")
            .env("MICRO_LOG_LEVEL", "info")
            .env("MICRO_CONFIG_SECRET_KEY", STANDARD.encode([7; 32]));
        let places = [
            "MICRO_ETCD_PREFIX",
            "MICRO_NATS_PREFIX",
            "MICRO_POSTGRES_SCHEMA",
        ];
        places
            .into_iter()
            .fold(builder, |builder, name| builder.env(name, &self.place))
    }

    /// Two that are ready, and whose command lines are logged in.
    pub(crate) async fn two_servers(&self) -> (Server, Server) {
        let (one, two) = tokio::join!(self.server().start(), self.server().start());
        tokio::join!(one.login(), two.login());
        (one, two)
    }

    /// A source that needs no build: it notes the process of each start, and becomes the service
    /// that tests call.
    pub(crate) fn source(&self) -> String {
        let path = self.folder.path().join("hello");
        let (pids, service) = (self.pids_file(), program("micro-test-service"));
        let text = format!(
            "#!/bin/sh\necho $$ >> {}\necho begun\nexec {}\n",
            pids.display(),
            service.display()
        );
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path.display().to_string()
    }

    fn pids_file(&self) -> PathBuf {
        self.folder.path().join("pids")
    }

    /// The processes that were started of it, the first one first.
    pub(crate) fn pids(&self) -> Vec<i32> {
        let text = fs::read_to_string(self.pids_file()).unwrap_or_default();
        // A line is written at once, and read by then or not at all.
        text.lines().map(|line| line.parse().unwrap()).collect()
    }

    /// The process of the start with this number, as soon as there is one.
    pub(crate) async fn start_number(&self, number: usize) -> i32 {
        wait_for(format!("start {number} of the service"), || async {
            self.pids().get(number - 1).copied()
        })
        .await
    }
}

pub(crate) fn is_alive(pid: i32) -> bool {
    // One that nobody has waited for yet is dead all the same.
    let stat = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
    let is_zombie = stat.is_ok_and(|stat| stat.contains(") Z "));
    !is_zombie && kill(Pid::from_raw(pid), None) != Err(Errno::ESRCH)
}

/// A client of this server on the first account.
pub(crate) fn client(server: &Server) -> Client {
    let builder = Client::builder().address(server.proxy().to_string());
    builder.account("admin", "micro").build().unwrap()
}

/// Waits until a service can be called through this server.
pub(crate) async fn answers(server: &Server, name: &str) {
    let path = format!("/{name}/kinds/one");
    wait_for(format!("{name} to answer"), || async {
        let answer = server.post(&path, r#"{"text": "hi"}"#).await;
        (answer.status == 200 && answer.json().ok()?["text"] == "hi").then_some(())
    })
    .await;
}
