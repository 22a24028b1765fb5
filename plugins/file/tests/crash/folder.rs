//! The folder: one owner, one format, and nobody else's business.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use micro_file::Directory;
use micro_plugin_api::Code;

use crate::hammer::{open, other_process, put, read, runtime};

/// Another process: it owns the folder until it is killed.
pub(crate) fn hold(folder: &Path) {
    let _directory = Directory::open(folder).expect("a folder that opens");
    let mut out = std::io::stdout();
    out.write_all(b"open\n").expect("somebody reads");
    // Until the test ends, whose end of the pipe is the input.
    let _ = std::io::stdin().lines().next();
}

pub(crate) fn second_owner() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = other_process("hold", folder.path());
    let mut owner = command
        .stdin(std::process::Stdio::piped())
        .spawn()
        .expect("a process");
    let said = BufReader::new(owner.stdout.take().expect("a pipe"))
        .lines()
        .next();
    assert_eq!(said.and_then(Result::ok).as_deref(), Some("open"));

    let error = open(folder.path()).err().expect("it has an owner");
    assert_eq!(error.code(), Code::UNAVAILABLE);
    let text = error.message();
    let path = folder.path().display().to_string();
    for part in [&path, &format!("process {} on ", owner.id()), ", since 2"] {
        assert!(text.contains(part), "{text}");
    }
    owner.kill().expect("it can be killed");
    owner.wait().expect("it has ended");
    let first = Directory::open(folder.path()).expect("the owner is gone");
    let again = Directory::open(folder.path()).expect("one process may open it again");
    assert_eq!(first.platform(), again.platform());
}

pub(crate) fn newer_format() {
    let folder = tempfile::tempdir().expect("a folder");
    let platform = Directory::open(folder.path()).expect("a folder").platform();
    let again = Directory::open(folder.path()).expect("a folder").platform();
    assert_eq!(platform, again, "the platform's id is made once");

    let path = folder.path().join("FORMAT");
    fs::write(&path, r#"{"format": 2, "what": "nobody knows yet"}"#).expect("it can be written");
    let error = Directory::open(folder.path()).expect_err("a newer format");
    assert_eq!(error.code(), Code::UNSUPPORTED);
    assert!(error.message().contains("format 2"), "{error}");

    fs::write(&path, "{").expect("it can be written");
    let error = Directory::open(folder.path()).expect_err("a damaged file");
    assert!(error.message().contains("FORMAT is damaged"), "{error}");
}

pub(crate) fn foreign() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("letter.txt"), "dear").expect("it can be written");
    let error = Directory::open(folder.path()).expect_err("somebody else's");
    assert_eq!(error.code(), Code::INVALID);
    assert!(error.message().contains("letter.txt"), "{error}");
}

pub(crate) fn private() {
    let parent = tempfile::tempdir().expect("a folder");
    let folder = parent.path().join("a/b");
    runtime().block_on(async {
        let store = open(&folder).expect("a store");
        put(&store, "k", "v").await.expect("a write");
        assert!(read(&store, "k").await.expect("a read").is_some());
    });
    let mode = fs::metadata(&folder)
        .expect("a folder")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700);
}
