//! Bits that flip on disk: an error that names what is damaged and where, and never an answer.

use std::{
    fs,
    path::{Path, PathBuf},
};

use futures::{StreamExt as _, stream};
use micro_file::{FileBlob, FileStore};
use micro_plugin_api::{
    Blob as _, Call, Code, Error, Store as _,
    blob::{BlobKey, BlobMeta, BlobQuery},
    store::ListQuery,
};

use crate::hammer::{TABLE, host, open, put, read, runtime, settings};

/// A text that nothing shortens.
fn noise(seed: u64) -> String {
    let mut state = seed;
    let mut letter = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        char::from(b'!' + u8::try_from((state >> 33) % 90).unwrap_or_default())
    };
    std::iter::repeat_with(&mut letter).take(2_000).collect()
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// Flips a bit in the middle of `text`, in the file that holds it.
fn flip(folder: &Path, text: &str) {
    let mut flipped = 0;
    for path in files(folder) {
        let mut bytes = fs::read(&path).expect("a file");
        let found = bytes
            .windows(text.len())
            .position(|window| window == text.as_bytes());
        if let Some(at) = found {
            bytes[at + text.len() / 2] ^= 4;
            fs::write(&path, bytes).expect("it can be written");
            flipped += 1;
        }
    }
    assert_eq!(flipped, 1, "the text stands in one file");
}

#[track_caller]
fn names(error: &Error, parts: &[&str]) {
    assert_eq!(error.code(), Code::INTERNAL, "{error}");
    for part in parts {
        assert!(error.message().contains(part), "{part:?} in: {error}");
    }
}

/// The file of the newest journal.
fn newest_journal(folder: &Path) -> PathBuf {
    let journals = files(folder).into_iter();
    let journals = journals.filter(|path| path.extension().is_some_and(|name| name == "jnl"));
    journals.max().expect("a journal")
}

/// Puts what the store's journal holds into files of the tree, as it happens after enough writes.
fn flush(folder: &Path) {
    let path = folder.join("store/engine");
    let database = fjall::Database::builder(path).open().expect("the engine");
    let tree = database
        .keyspace("store", fjall::KeyspaceCreateOptions::default)
        .expect("the tree");
    tree.rotate_memtable_and_wait().expect("a flush");
}

async fn write(store: &FileStore) {
    for i in 0..20 {
        put(store, &format!("k{i:02}"), &noise(i))
            .await
            .expect("a write");
    }
}

pub(crate) fn stored_value() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().display().to_string();
    runtime().block_on(async {
        write(&open(folder.path()).expect("a store")).await;
        flush(folder.path());
        flip(&folder.path().join("store/engine/keyspaces"), &noise(7));

        let store = open(folder.path()).expect("the rest is whole");
        let error = read(&store, "k07").await.expect_err("it is damaged");
        names(
            &error,
            &[
                "damaged record",
                "\"k07\"",
                "\"table\"",
                "\"database\"",
                &path,
            ],
        );
        let error = store
            .list(&Call::default(), TABLE, &ListQuery::default())
            .await;
        names(
            &error.expect_err("a part of it is damaged"),
            &["damaged record", "\"table\"", &path],
        );
        for i in [0, 19] {
            let record = read(&store, &format!("k{i:02}"))
                .await
                .expect("it is whole");
            assert_eq!(record.expect("it is there").value, noise(i));
        }
        let query = ListQuery {
            prefix: "k1",
            ..ListQuery::default()
        };
        let page = store
            .list(&Call::default(), TABLE, &query)
            .await
            .expect("these are whole");
        assert_eq!(page.records.len(), 10);
    });
}

pub(crate) fn journal() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().display().to_string();
    runtime().block_on(async { write(&open(folder.path()).expect("a store")).await });
    flip(folder.path(), &noise(7));
    for _ in 0..2 {
        let error = open(folder.path()).err().expect("it is damaged");
        names(&error, &["damaged", &path, "backup"]);
    }
}

/// The damage that the engine takes for a torn end, in the middle: it drops what is behind it.
pub(crate) fn cut_journal() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().display().to_string();
    runtime().block_on(async { write(&open(folder.path()).expect("a store")).await });
    let journal = newest_journal(folder.path());
    let mut bytes = fs::read(&journal).expect("a journal");
    let text = noise(7);
    let at = bytes
        .windows(text.len())
        .position(|window| window == text.as_bytes());
    // What stands between two commits is no entry any more.
    let end = at.expect("the journal holds it") + text.len();
    bytes[end..end + 40].fill(0xee);
    fs::write(&journal, bytes).expect("it can be written");
    for _ in 0..2 {
        let error = open(folder.path()).err().expect("commits are lost");
        names(&error, &["lost acknowledged commits", &path, "DAMAGED"]);
    }
    // A person decides to go on with what is left.
    fs::remove_file(folder.path().join("store/DAMAGED")).expect("it says what is lost");
    fs::remove_file(folder.path().join("store/ACKNOWLEDGED")).expect("it is there");
    runtime().block_on(async {
        let store = open(folder.path()).expect("a store");
        assert!(read(&store, "k06").await.expect("a read").is_some());
        assert!(read(&store, "k08").await.expect("a read").is_none());
        put(&store, "k08", "again").await.expect("a write");
    });
}

pub(crate) fn blob() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().display().to_string();
    runtime().block_on(async {
        let blobs = FileBlob::open(settings(), host(folder.path())).expect("blobs");
        let call = Call::default();
        for i in 0..3 {
            let body = stream::iter((0..100).map(move |part| Ok(noise(i * 1_000 + part).into())));
            let name = format!("b{i}");
            let key = BlobKey::new("ns", &name);
            let written = blobs
                .write(&call, key, &BlobMeta::default(), body.boxed())
                .await;
            assert_eq!(written.expect("a write").size, 200_000);
        }
        flip(folder.path(), &noise(1_080));
        let read = async |name| {
            let (_, mut body) = blobs.read(&call, BlobKey::new("ns", name)).await?;
            let mut bytes = Vec::new();
            while let Some(chunk) = body.next().await {
                bytes.extend_from_slice(&chunk?);
            }
            Ok::<_, Error>(bytes)
        };
        let error = read("b1").await.expect_err("it is damaged");
        names(&error, &["damaged blob", "\"b1\"", "\"ns\"", &path]);
        assert_eq!(read("b2").await.expect("it is whole").len(), 200_000);
        let query = BlobQuery {
            namespace: "ns",
            ..BlobQuery::default()
        };
        let page = blobs
            .list(&call, &query)
            .await
            .expect("what is said of it is whole");
        assert_eq!(page.blobs.len(), 3);
    });
}
