//! What the tests share: the zoo's library, built once, its journal, and a private folder.
#![allow(dead_code, clippy::unwrap_used)] // Each test binary uses its part.

mod wait;

pub(crate) use wait::eventually;

use std::{
    fs,
    future::Future,
    path::{Path, PathBuf},
    sync::OnceLock,
    time::Duration,
};

use micro_loader::{Instance, Library, LoadOptions, Loader};
use micro_plugin_api::{Call, Host};
use tempfile::TempDir;

/// The library of the zoo, beside this test's own binary: `cargo xtask test` builds it first.
/// (Built from here it would be built again, with its dependencies, under other features.)
pub(crate) fn zoo() -> &'static Path {
    static ZOO: OnceLock<PathBuf> = OnceLock::new();
    ZOO.get_or_init(|| {
        let program = std::env::current_exe().unwrap();
        // TARGET/PROFILE/deps/PROGRAM
        let library = program.ancestors().nth(2).unwrap().join("libmicro_zoo.so");
        assert!(
            library.is_file(),
            "{} is missing: run `cargo build --workspace`, or `cargo xtask test`",
            library.display()
        );
        library
    })
}

/// A folder of one test: a loader with its cache, and the journals of its instances.
pub(crate) struct Place {
    pub(crate) folder: TempDir,
    pub(crate) loader: Loader,
}

impl Place {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let loader = Loader::new(vec![folder.path().to_owned()], folder.path().join("cache"));
        Self { folder, loader }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The zoo under another file name, with bytes of it changed.
    pub(crate) fn copy(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> PathBuf {
        let path = self.path(name);
        let mut bytes = fs::read(zoo()).unwrap();
        change(&mut bytes);
        fs::write(&path, bytes).unwrap();
        path
    }

    pub(crate) fn library(&self) -> Library {
        let path = self.copy("libmicro_zoo.so", |_| {});
        self.loader.load(&path, &LoadOptions::default()).unwrap()
    }

    pub(crate) fn host(&self) -> Host {
        Host::new("zoo", self.path("state"), self.path("logs"))
    }

    /// An instance with these settings and a journal.
    pub(crate) async fn open(&self, settings: serde_json::Value) -> Instance {
        self.library()
            .open(
                &self.settings(settings),
                self.host(),
                Duration::from_secs(20),
            )
            .await
            .unwrap()
    }

    pub(crate) fn settings(&self, mut settings: serde_json::Value) -> String {
        settings["journal"] = self.path("journal").to_str().unwrap().into();
        settings.to_string()
    }

    /// The lines of the journal so far.
    pub(crate) fn journal(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("journal")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Waits for a line in the journal.
    pub(crate) async fn expect(&self, line: &str) {
        eventually(&format!("{line:?} in the journal"), || {
            self.journal().iter().any(|found| found == line)
        })
        .await;
    }
}

/// What a future gives within a minute.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future)
        .await
        .expect("it takes too long")
}

pub(crate) fn call() -> Call {
    Call::new("test")
}

/// Replaces bytes by as many others.
pub(crate) fn replace(bytes: &mut [u8], from: &str, to: &str) {
    assert_eq!(from.len(), to.len());
    let at = bytes
        .windows(from.len())
        .position(|window| window == from.as_bytes())
        .unwrap_or_else(|| panic!("no {from}"));
    bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
}
