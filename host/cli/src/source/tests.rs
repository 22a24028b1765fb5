//! Folders and files, packed and looked at again.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    fs,
    io::Read,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};

use futures::StreamExt;
use tempfile::TempDir;

use super::{Plan, archive::CHUNK};

fn folder(files: &[(&str, &str)]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    root
}

fn names(plan: &Plan) -> Vec<String> {
    plan.entries
        .iter()
        .map(|entry| entry.name.display().to_string())
        .collect()
}

fn error(path: &Path) -> String {
    Plan::new(path).unwrap_err().to_string()
}

#[test]
fn leaves_out_what_git_ignores_and_what_was_built() {
    let root = folder(&[
        (".gitignore", "*.log\n/secret\n!keep.log\n"),
        (".env", "X=1"),
        (".git/HEAD", "ref"),
        ("Cargo.toml", ""),
        ("target/debug/big", "0"),
        ("assets/target/arrow.svg", "<svg/>"),
        ("src/main.rs", "fn main() {}"),
        ("src/.gitignore", "gen\n"),
        ("src/gen/x.rs", ""),
        ("a.log", ""),
        ("keep.log", "k"),
        ("secret", ""),
        ("deep/secret", "s"),
    ]);
    let plan = Plan::new(root.path()).unwrap();
    assert_eq!(
        names(&plan),
        [
            ".env",
            ".gitignore",
            "Cargo.toml",
            "assets",
            "assets/target",
            "assets/target/arrow.svg",
            "deep",
            "deep/secret",
            "keep.log",
            "src",
            "src/.gitignore",
            "src/main.rs",
        ]
    );
    assert_eq!(plan.files, 8);
    assert_eq!(plan.bytes, 24 + 3 + 6 + 1 + 1 + 4 + 12);
}

#[test]
fn names_links_and_special_files() {
    let root = folder(&[("a", "x"), ("sub/b", "y")]);
    symlink("../outside", root.path().join("sub/link")).unwrap();
    symlink("sub", root.path().join("way")).unwrap();
    let pipe = root.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(root.path().join("sock")).unwrap();
    let plan = Plan::new(root.path()).unwrap();
    assert_eq!(names(&plan), ["a", "sub", "sub/b"]);
    let omitted: Vec<_> = plan.omitted.iter().map(ToString::to_string).collect();
    assert_eq!(
        omitted,
        [
            "pipe (named pipe)",
            "sock (socket)",
            "sub/link (link to ../outside)",
            "way (link to sub)"
        ]
    );
}

#[test]
fn a_single_file_must_be_something_to_run() {
    let root = folder(&[
        ("script", "#!/bin/sh\n"),
        ("data", "x"),
        ("prog", "\x7fELF"),
    ]);
    fs::set_permissions(root.path().join("prog"), fs::Permissions::from_mode(0o711)).unwrap();
    for (name, mode) in [("script", 0o744), ("prog", 0o711)] {
        let plan = Plan::new(&root.path().join(name)).unwrap();
        assert_eq!((names(&plan), plan.files), (vec![name.to_owned()], 1));
        assert_eq!(plan.entries[0].mode, mode, "{name}");
    }
    let data = error(&root.path().join("data"));
    assert!(
        data.ends_with("data is neither a program nor a script that begins with #!"),
        "{data}"
    );
}

#[test]
fn says_what_is_wrong() {
    let root = folder(&[(".gitignore", "*\n"), ("x", "")]);
    let text = error(root.path());
    assert!(text.contains("holds no files to run"), "{text}");
    let text = error(&root.path().join("nosuch"));
    assert!(text.ends_with("nosuch does not exist"), "{text}");
    let text = error(Path::new("/dev/null"));
    assert_eq!(text, "/dev/null is neither a folder nor a file");
    let folder = folder(&[("x", "x")]);
    fs::set_permissions(folder.path().join("x"), fs::Permissions::from_mode(0o000)).unwrap();
    // Root reads everything.
    if !nix::unistd::geteuid().is_root() {
        assert!(error(folder.path()).starts_with("cannot read "));
    }
}

#[tokio::test]
async fn the_archive_holds_the_files_as_they_are() {
    let long = format!("{}/file", "long-name".repeat(20));
    let big = "0123456789abcdef".repeat(200_000);
    let root = folder(&[("a.sh", "#!/bin/sh\n"), ("big", &big), (&long, "deep")]);
    fs::create_dir(root.path().join("empty")).unwrap();
    fs::set_permissions(root.path().join("a.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    let mut stream = Box::pin(Plan::new(root.path()).unwrap().archive());
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.unwrap();
        assert!(chunk.len() <= CHUNK);
        bytes.extend_from_slice(&chunk);
    }
    let mut archive = tar::Archive::new(bytes.as_slice());
    let mut found = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut content = String::new();
        entry.read_to_string(&mut content).unwrap();
        let mode = entry.header().mode().unwrap() & 0o100;
        found.push((
            entry.path().unwrap().display().to_string(),
            content,
            mode != 0,
        ));
    }
    let find = |name: &str| found.iter().find(|(found, ..)| found == name).unwrap();
    assert_eq!(find("big").1, big);
    assert_eq!(
        (find("a.sh").1.as_str(), find("a.sh").2),
        ("#!/bin/sh\n", true)
    );
    assert!(!find("big").2);
    assert_eq!(find(&long).1, "deep");
    find("empty");
}

#[tokio::test]
async fn a_file_that_shrank_meanwhile_is_named() {
    let root = folder(&[("a", "0123456789")]);
    let plan = Plan::new(root.path()).unwrap();
    fs::write(root.path().join("a"), "0").unwrap();
    let results: Vec<_> = plan.archive().collect().await;
    let error = results.last().unwrap().as_ref().unwrap_err().to_string();
    assert!(
        error.contains("/a changed while it was being packed"),
        "{error}"
    );
    // One that grew is packed as it was.
    let plan = Plan::new(root.path()).unwrap();
    fs::write(root.path().join("a"), "0123").unwrap();
    let results: Vec<_> = plan.archive().collect().await;
    assert!(results.iter().all(Result::is_ok));
}
