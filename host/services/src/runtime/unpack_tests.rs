//! Archives as an attacker writes them, each refused with its reason, and honest ones.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};

use tar::{Builder, EntryType, Header};
use tempfile::TempDir;

use super::unpack::{Limits, unpack};

/// An entry of a test: its type, name and mode, and its content or what it links to.
type Part<'a> = (EntryType, &'a str, u32, &'a str);

const FILE: EntryType = EntryType::Regular;
const FOLDER: EntryType = EntryType::Directory;
const LINK: EntryType = EntryType::Symlink;
const HARD: EntryType = EntryType::Link;

/// Writes names into the header as they are: the library's own functions refuse the bad ones.
fn archive(parts: &[Part<'_>]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (kind, name, mode, content) in parts {
        let mut header = Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(*mode);
        let old = header.as_old_mut();
        old.name[..name.len()].copy_from_slice(name.as_bytes());
        let is_link = matches!(*kind, LINK | HARD);
        if is_link {
            old.linkname[..content.len()].copy_from_slice(content.as_bytes());
        }
        let data = if is_link { "" } else { content };
        header.set_size(data.len() as u64);
        header.set_cksum();
        builder.append(&header, data.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

const LIMITS: Limits = Limits {
    bytes: 1000,
    entries: 10,
};

fn try_bytes(bytes: &[u8]) -> (TempDir, Result<(), String>) {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("a/folder");
    fs::create_dir_all(&folder).unwrap();
    let result = unpack(bytes, &folder, LIMITS).map_err(|error| error.to_string());
    (root, result)
}

/// Everything that lies in `folder`, by name.
fn found(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn attacks_are_refused_and_nothing_lands_outside() {
    let attacks: &[(&[Part<'_>], &str)] = &[
        (
            &[(FILE, "../evil", 0o644, "x")],
            "\"../evil\" in the source lies outside its folder",
        ),
        (
            &[(FILE, "a/../../evil", 0o644, "x")],
            "lies outside its folder",
        ),
        (
            &[(FILE, "/tmp/evil", 0o644, "x")],
            "\"/tmp/evil\" in the source lies outside",
        ),
        (
            &[(FOLDER, "../evil/", 0o755, "")],
            "lies outside its folder",
        ),
        (
            &[(LINK, "l", 0o777, "/etc/passwd")],
            "the link \"l\" in the source leads outside its folder, to \"/etc/passwd\"",
        ),
        (&[(LINK, "l", 0o777, "../evil")], "leads outside"),
        (&[(LINK, "a/l", 0o777, "../../evil")], "leads outside"),
        (&[(LINK, "l", 0o777, "a/../../evil")], "leads outside"),
        (&[(HARD, "l", 0o644, "/etc/passwd")], "leads outside"),
        (&[(HARD, "l", 0o644, "../evil")], "leads outside"),
        (&[(HARD, "l", 0o644, "nosuch")], "leads outside"),
        (
            &[(LINK, "l", 0o777, "d"), (FILE, "l/evil", 0o644, "x")],
            "\"l/evil\" in the source lies behind a link",
        ),
        (
            &[
                (FOLDER, "d", 0o755, ""),
                (LINK, "l", 0o777, "d"),
                (LINK, "l/m", 0o777, ".."),
            ],
            "behind a link",
        ),
        (
            &[
                (FILE, "d/f", 0o644, "x"),
                (LINK, "l", 0o777, "d"),
                (HARD, "h", 0o644, "l/f"),
            ],
            "behind a link",
        ),
        (
            &[(LINK, "l", 0o777, "f"), (FILE, "l", 0o644, "x")],
            "\"l\" is in the source twice",
        ),
        (
            &[(FILE, "f", 0o644, "x"), (FILE, "./f", 0o644, "y")],
            "\"f\" is in the source twice",
        ),
        (
            &[(FILE, "f", 0o644, "x"), (FILE, "f/g", 0o644, "y")],
            "below a file",
        ),
        (
            &[(FILE, "f", 0o644, "x"), (FOLDER, "f", 0o755, "")],
            "twice",
        ),
        (
            &[(EntryType::Char, "dev", 0o644, "")],
            "\"dev\" in the source is neither a file nor a folder nor a link",
        ),
        (&[(EntryType::Block, "dev", 0o644, "")], "neither a file"),
        (&[(EntryType::Fifo, "pipe", 0o644, "")], "neither a file"),
        (&[(FILE, ".", 0o644, "x")], "neither a file"),
    ];
    for (parts, expected) in attacks {
        let (root, result) = try_bytes(&archive(parts));
        let error = result.unwrap_err();
        assert!(error.contains(expected), "{parts:?}: {error}");
        assert_eq!(found(root.path()), ["a"], "{parts:?}");
        assert_eq!(found(&root.path().join("a")), ["folder"], "{parts:?}");
    }
    assert!(!Path::new("/tmp/evil").exists());
}

#[test]
fn there_are_limits() {
    let big = "x".repeat(600);
    let (_root, result) = try_bytes(&archive(&[
        (FILE, "a", 0o644, &big),
        (FILE, "b", 0o644, &big),
    ]));
    assert_eq!(result.unwrap_err(), "the source holds more than 1000 bytes");
    let names: Vec<_> = (0..11).map(|number| number.to_string()).collect();
    let many: Vec<Part<'_>> = names
        .iter()
        .map(|name| (FILE, name.as_str(), 0o644, ""))
        .collect();
    let (_root, result) = try_bytes(&archive(&many));
    assert_eq!(
        result.unwrap_err(),
        "the source holds more than 10 files and folders"
    );
    // A size that promises more than there is.
    let mut lying = archive(&[(FILE, "a", 0o644, &big)]);
    lying.truncate(800);
    assert!(try_bytes(&lying).1.is_err());
}

#[test]
fn what_is_no_archive_is_said() {
    for bytes in [
        &b"#!/bin/sh\necho not a tar\n".repeat(40)[..],
        b"\x1f\x8b gzip".repeat(100).as_slice(),
    ] {
        let error = try_bytes(bytes).1.unwrap_err();
        assert!(
            error.starts_with("the source is not a tar archive: "),
            "{error}"
        );
    }
    assert_eq!(
        try_bytes(&archive(&[])).1.unwrap_err(),
        "the source is empty"
    );
    assert_eq!(try_bytes(b"").1.unwrap_err(), "the source is empty");
}

#[test]
fn an_honest_archive_is_unpacked() {
    let (root, result) = try_bytes(&archive(&[
        (FOLDER, "./", 0o755, ""),
        (FILE, "deep/er/file", 0o4755, "run me"),
        (FOLDER, "deep", 0o700, ""),
        (FILE, "plain", 0o666, "text"),
        (LINK, "deep/er/up", 0o777, "../../plain"),
        (LINK, "there", 0o777, "deep/er"),
        (HARD, "same", 0o644, "plain"),
    ]));
    assert_eq!(result, Ok(()));
    let folder = root.path().join("a/folder");
    let mode = |name: &str| {
        fs::metadata(folder.join(name))
            .unwrap()
            .permissions()
            .mode()
            & 0o7777
    };
    assert_eq!(
        fs::read_to_string(folder.join("there/file")).unwrap(),
        "run me"
    );
    assert_eq!(
        fs::read_to_string(folder.join("deep/er/up")).unwrap(),
        "text"
    );
    assert_eq!(fs::read_to_string(folder.join("same")).unwrap(), "text");
    // Never set-user-id, never writable by others.
    assert_eq!(
        (mode("deep/er/file"), mode("plain"), mode("deep")),
        (0o700, 0o600, 0o700)
    );
}

/// The folder itself is not trusted to be free of links that were put there meanwhile.
#[test]
fn a_link_in_the_way_is_not_followed() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("folder");
    fs::create_dir(&folder).unwrap();
    symlink(root.path(), folder.join("l")).unwrap();
    let bytes = archive(&[(FILE, "l/evil", 0o644, "x")]);
    assert!(unpack(bytes.as_slice(), &folder, LIMITS).is_err());
    assert_eq!(found(root.path()), ["folder"]);
}
