//! The contract can grow: a plugin that was built against an older set of interfaces and one that was
//! built against a newer one both load, and serve what this host knows.
//!
//! The two sets are made of the sources of today: one interface and a part of the metadata less, and
//! some that nobody knows yet.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use micro_loader::{Library, LoadOptions, Loader, OPEN_DEADLINE};
use micro_plugin_api::{Call, Code, Error, Host, StoreHandle, store::Table};
use micro_plugin_conformance::{Outcome, store};
use micro_tests::{Author, ServerBuilder, assert_shows, program};
use tempfile::TempDir;

/// A text of a source file, and what stands in its place.
type Edit = (&'static str, &'static str, &'static str);

/// Before stores could be watched, and before plugins declared capabilities.
const OLDER: &[Edit] = &[
    (
        "src/abi/plugin/describe.rs",
        "StoreWatchTable::NAME => RSome(InterfaceRecord::new(&store::WATCH)),",
        "",
    ),
    (
        "src/abi/plugin/describe.rs",
        r#"self.raw(",\"micro.store.watch/1\"");"#,
        "",
    ),
    (
        "src/abi/plugin/describe.rs",
        r#"        self.raw(",\"capabilities\":{\"promises\":");
        self.texts(facts.promises);
        self.raw(",\"lacks\":");
        self.texts(facts.lacks);
        self.raw("},\"description\":");"#,
        r#"self.raw(",\"description\":");"#,
    ),
];

/// A later minor version, whose stores have one more interface, whose metadata says more, and which
/// asks its host for what this one has not got.
const NEWER: &[Edit] = &[
    (
        "src/abi/manifest.rs",
        r#"API_VERSION: &str = "1.0""#,
        r#"API_VERSION: &str = "1.7""#,
    ),
    (
        "src/abi/plugin/describe.rs",
        "StoreWatchTable::NAME =>",
        r#""micro.store.scan/1" => RSome(InterfaceRecord::new(&ScanTable { scan })),
        StoreWatchTable::NAME =>"#,
    ),
    (
        "src/abi/plugin/describe.rs",
        "extern \"C\" fn query<E",
        r#"#[repr(C)]
#[derive(abi_stable::StableAbi)]
struct ScanTable {
    scan: extern "C" fn(from: u64, rows: &mut u64) -> bool,
}

impl Interface for ScanTable {
    const NAME: &'static str = "micro.store.scan/1";
}

extern "C" fn scan(from: u64, rows: &mut u64) -> bool {
    *rows = from;
    true
}

extern "C" fn query<E"#,
    ),
    (
        "src/abi/plugin/describe.rs",
        r#"",\"micro.store.watch/1\"""#,
        r#"",\"micro.store.watch/1\",\"micro.store.scan/1\"""#,
    ),
    (
        "src/abi/plugin/describe.rs",
        r#"self.raw("},\"description\":");"#,
        r#"self.raw("},\"quotas\":{\"records\":7},\"description\":");"#,
    ),
    (
        "src/abi/plugin/open.rs",
        "logs::forward(E::NAME, E::MODULE, services);",
        r#"logs::forward(E::NAME, E::MODULE, services);
        if (services.query)("micro.quota/1".into()).is_some() {
            return Err(Error::internal("this host is of a time that was not yet"));
        }"#,
    ),
];

/// The sources of a time, in a folder that stays, so that they are compiled once.
fn sources(name: &str, edits: &[Edit]) -> PathBuf {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let sdk = program("micro").with_file_name("outside").join(name);
    let manifest = fs::read_to_string(checkout.join("Cargo.toml")).unwrap();
    let (before, rest) = manifest.split_once("members = [").unwrap();
    let (_, after) = rest.split_once(']').unwrap();
    let members = "members = [\"plugin-api\", \"plugin-api/conformance\"]";
    // Of our own packages only those are there.
    let ours = |line: &&str| !line.contains("{ path = ") || line.contains("\"plugin-api");
    let after: Vec<_> = after.lines().filter(ours).collect();
    let manifest = format!("{before}{members}{}\n", after.join("\n"));
    put(&sdk.join("Cargo.toml"), &manifest);
    let lock = fs::read_to_string(checkout.join("Cargo.lock")).unwrap();
    put(&sdk.join("Cargo.lock"), &lock);
    let api = checkout.join("plugin-api");
    let mut edited = 0;
    for file in files(&api) {
        let relative = file.strip_prefix(&api).unwrap();
        let mut text = fs::read_to_string(&file).unwrap();
        for (path, old, new) in edits {
            if relative == Path::new(path) {
                assert_eq!(text.matches(old).count(), 1, "{path}: {old}");
                text = text.replace(old, new);
                edited += 1;
            }
        }
        put(&sdk.join("plugin-api").join(relative), &text);
    }
    assert_eq!(edited, edits.len());
    sdk
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let below = |path: PathBuf| {
        if path.is_dir() {
            files(&path)
        } else {
            vec![path]
        }
    };
    paths.flat_map(below).collect()
}

/// Writes a file unless it says so already: cargo goes by times.
fn put(path: &Path, text: &str) {
    if fs::read_to_string(path).is_ok_and(|found| found == text) {
        return;
    }
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// A store of that time, as a file.
fn plugin(name: &str, edits: &[Edit], folder: &Path) -> PathBuf {
    let sdk = sources(name, edits);
    let micro = program("micro");
    let author = Author::against(Some(&sdk), &micro, folder, "store", "shelf");
    author.build()
}

/// The library, loaded, and the folder of what it keeps.
fn load(path: &Path) -> (Library, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let loader = Loader::new(Vec::new(), folder.path().join("cache"));
    (loader.load(path, &LoadOptions::default()).unwrap(), folder)
}

async fn open(library: &Library, folder: &Path) -> micro_plugin_api::Result<StoreHandle> {
    let host = Host::new(library.name(), folder, folder);
    let opened = library.open("{}", host, OPEN_DEADLINE).await;
    let instance = opened.map_err(|error| Error::internal(error.to_string()))?;
    Ok(instance.store().unwrap())
}

/// A server keeps everything of its own in the store.
async fn serves(library: &Path) {
    let builder = ServerBuilder::new("./mine.toml");
    let manifest = format!(
        "extends = 'local'\n[store]\nplugin = 'shelf'\n[plugins.shelf]\npath = '{}'\n",
        library.display()
    );
    builder.write("mine.toml", &manifest);
    let mut server = builder.start().await;
    server.login().await;
    assert_shows(&server.micro(["user"]).await.success(), "admin");
    assert!(server.stop().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_of_an_older_interface_set_serves_what_it_has() {
    let home = tempfile::tempdir().unwrap();
    let path = plugin("older", OLDER, home.path());
    let (library, folder) = load(&path);
    let manifest = library.manifest();
    assert_eq!(manifest.interfaces, ["micro.plugin/1", "micro.store/1"]);
    assert_eq!(manifest.capabilities, Default::default());

    let report = store::suite()
        .run(async || open(&library, folder.path()).await)
        .await;
    let names: Vec<_> = report.failed().map(|case| case.name).collect();
    assert!(!names.is_empty(), "{report}");
    assert!(
        names.iter().all(|name| name.starts_with("store.watch.")),
        "{report}"
    );
    // What it has not got is said, with the way out.
    let store = open(&library, folder.path()).await.unwrap();
    let watched = store
        .watch(&Call::default(), Table::new("d", "t"), "")
        .await;
    let refused = watched.map(drop).unwrap_err();
    assert_eq!(refused.code(), Code::UNSUPPORTED);
    assert!(
        refused.message().contains("newer micro-plugin-api"),
        "{refused}"
    );
    serves(&path).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_of_a_newer_interface_set_serves_what_the_host_knows() {
    let home = tempfile::tempdir().unwrap();
    let path = plugin("newer", NEWER, home.path());
    let (library, folder) = load(&path);
    let manifest = library.manifest();
    assert_eq!(manifest.api, "1.7");
    let unknown = "micro.store.scan/1".to_owned();
    assert!(manifest.interfaces.contains(&unknown), "{manifest:?}");

    let suite = store::suite().of(&manifest.capabilities);
    let report = suite
        .run(async || open(&library, folder.path()).await)
        .await;
    report.assert_passed();
    let outcome = report.outcome("store.watch.order");
    assert!(matches!(outcome, Some(Outcome::Skipped(_))), "{report}");
    serves(&path).await;
}
