//! The servers of a run end with their owner, however that ends.

mod wait;

use std::{
    env, fs,
    io::{BufRead as _, BufReader},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use wait::wait_for;

/// The program that keeps the servers of a run, with a temporary folder of its own.
struct Owner {
    child: Child,
    addresses: Vec<SocketAddr>,
    temporary: tempfile::TempDir,
}

impl Owner {
    fn start() -> Self {
        let temporary = tempfile::tempdir().expect("a temporary folder");
        // The user that runs PostgreSQL has to get through.
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(temporary.path(), mode).expect("a mode can be set");
        let mut child = Command::new(env!("CARGO_BIN_EXE_micro-test-backends"))
            .env("TMPDIR", temporary.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program beside this test");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let lines: Vec<String> = output
            .lines()
            .map(|line| line.expect("lines of text"))
            .take_while(|line| line != "ready")
            .collect();
        let addresses = lines
            .iter()
            .filter_map(|line| {
                line.rsplit(['/', '@'])
                    .next()
                    .and_then(|address| address.parse().ok())
            })
            .collect();
        Self {
            child,
            addresses,
            temporary,
        }
    }

    fn assert_serves(&self) {
        assert_eq!(self.addresses.len(), 3);
        for address in &self.addresses {
            assert!(TcpStream::connect(address).is_ok(), "{address} is dead");
        }
        assert!(!processes(self.temporary.path()).is_empty());
    }

    async fn assert_nothing_left(&self) {
        let folder = self.temporary.path();
        wait_for("the servers to end", || processes(folder).is_empty()).await;
        wait_for("their folders to go", || {
            fs::read_dir(folder).expect("a folder").next().is_none()
        })
        .await;
    }
}

/// The processes that work below a folder.
fn processes(folder: &Path) -> Vec<PathBuf> {
    let works_there = |path: &PathBuf| {
        fs::read_link(path.join("cwd")).is_ok_and(|works_in| works_in.starts_with(folder))
    };
    fs::read_dir("/proc")
        .expect("a list of processes")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(works_there)
        .collect()
}

#[tokio::test]
async fn they_end_when_nothing_more_can_come_from_the_owner_of_their_owner() {
    let mut owner = Owner::start();
    owner.assert_serves();
    drop(owner.child.stdin.take());
    assert!(owner.child.wait().unwrap().success());
    owner.assert_nothing_left().await;
}

#[tokio::test]
async fn they_end_when_their_owner_is_killed() {
    let mut owner = Owner::start();
    owner.assert_serves();
    owner.child.kill().unwrap();
    owner.child.wait().unwrap();
    owner.assert_nothing_left().await;
}

#[test]
fn what_is_missing_is_said_with_the_line_to_type() {
    let nowhere = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_micro-test-backends"))
        .arg("missing")
        .env("PATH", nowhere.path())
        .output()
        .unwrap();
    let packages = String::from_utf8(output.stdout).unwrap();
    // Debian has nats-server and PostgreSQL where they are found without PATH.
    assert!(
        packages.lines().any(|line| line == "etcd-server"),
        "{packages}"
    );

    let error = micro_test_backends::Error::Missing(micro_test_backends::Program::Etcd);
    assert_eq!(
        error.to_string(),
        "etcd is not installed; install it with `sudo apt-get install --yes \
         --no-install-recommends etcd-server`, or put it on PATH"
    );
    assert!(env::var_os("PATH").is_some());
}
