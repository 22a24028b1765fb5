//! A disk that takes no more: writes say so, reads go on, and writing works again with space.

use std::{fs, path::Path, process::Command};

use micro_file::{FileStore, Settings};
use micro_plugin_api::{Code, Error};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::{
    ROLE,
    hammer::{host, open, put, read, runtime, settings},
};

/// More than the largest file that the limited process may write.
const VALUE: usize = 64 << 10;

/// Runs this program in a role, through a shell that prepares for it.
fn run(role: &str, folder: &Path, script: &str, wrapper: &[&str]) {
    let program = std::env::current_exe().expect("this program");
    let mut command = match wrapper {
        [] => Command::new("sh"),
        [first, rest @ ..] => {
            let mut command = Command::new(first);
            command.args(rest).arg("sh");
            command
        }
    };
    let status = command
        .arg("-c")
        .arg(script)
        .arg(program)
        .arg(folder)
        .env(ROLE, role)
        .status();
    assert!(status.expect("a shell").success(), "{role} failed");
}

/// A write that the system refuses half way: the engine is recovered from what is on disk.
pub(crate) fn failed_write() {
    let folder = tempfile::tempdir().expect("a folder");
    // Ignored, the signal of a file that grows too large becomes an error of the write.
    run(
        "limited",
        folder.path(),
        "trap '' XFSZ; exec \"$0\" \"$1\"",
        &[],
    );
}

pub(crate) fn limited(folder: &Path) {
    runtime().block_on(async {
        let store = open(folder).expect("a store");
        put(&store, "before", "1").await.expect("a write");
        let (_, hard) = getrlimit(Resource::RLIMIT_FSIZE).expect("a limit");
        setrlimit(Resource::RLIMIT_FSIZE, 1 << 20, hard).expect("a lower limit");
        let error = until_refused(&store).await;
        assert!(
            error.message().contains(&folder.display().to_string()),
            "{error}"
        );
        assert_eq!(error.code(), Code::UNAVAILABLE);
        still_reads(&store).await;
        setrlimit(Resource::RLIMIT_FSIZE, hard, hard).expect("the old limit");
        writes_again(&store).await;
        drop(store);
        let store = open(folder).expect("a store that is whole");
        still_reads(&store).await;
    });
}

/// A disk of a few hundred MiB: there is a reserve that writes do not touch.
pub(crate) fn full_disk() {
    let wrapper = ["unshare", "--user", "--map-root-user", "--mount"];
    let allowed = Command::new(wrapper[0])
        .args(&wrapper[1..])
        .arg("true")
        .status();
    if !allowed.is_ok_and(|status| status.success()) {
        eprintln!("this system lets nobody mount a small disk: not tested");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let script = "mount -t tmpfs -o size=200m none \"$1\" && exec \"$0\" \"$1\"";
    run("small", folder.path(), script, &wrapper);
}

pub(crate) fn small(folder: &Path) {
    runtime().block_on(async {
        let filler = folder.join("filler");
        let folder = folder.join("state");
        let settings = Settings {
            reserve_mb: 1 << 20,
            ..settings()
        };
        let store = FileStore::open(settings, host(&folder)).expect("a store");
        put(&store, "before", "1").await.expect("a write");
        fs::write(&filler, vec![0; 100 << 20]).expect("there is room");
        let error = until_refused(&store).await;
        assert_eq!(error.code(), Code::UNAVAILABLE);
        for part in ["is full", "MiB are free", &folder.display().to_string()] {
            assert!(error.message().contains(part), "{error}");
        }
        still_reads(&store).await;
        fs::remove_file(filler).expect("it is there");
        writes_again(&store).await;
    });
}

/// Writes until that fails.
async fn until_refused(store: &FileStore) -> Error {
    let value = "x".repeat(VALUE);
    for i in 0..10_000 {
        if let Err(error) = put(store, &format!("k{i}"), &value).await {
            return error;
        }
    }
    panic!("more was written than there is room for");
}

async fn still_reads(store: &FileStore) {
    for key in ["before", "k0", "k1"] {
        let record = read(store, key).await.expect("reading goes on");
        assert!(record.is_some(), "{key}");
    }
}

/// Writing works again after a while: the store looks now and then.
async fn writes_again(store: &FileStore) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while let Err(error) = put(store, "after", "2").await {
        assert!(std::time::Instant::now() < deadline, "{error}");
        tokio::task::yield_now().await;
    }
    assert!(read(store, "after").await.expect("a read").is_some());
    still_reads(store).await;
}
