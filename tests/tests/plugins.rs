//! Plugins as libraries: they pass the conformance suites through the loader, those of the project
//! and one that is written outside of it.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of tests fails as they do, by panicking"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use micro_loader::{LoadOptions, Loader, OPEN_DEADLINE};
use micro_plugin_api::{Code, Error, Host, Result};
use micro_plugin_conformance::{blob, registry, store};
use micro_tests::{environment, program};
use tempfile::TempDir;

/// A library that was loaded from a file.
struct Plugin {
    library: micro_loader::Library,
    folder: TempDir,
}

impl Plugin {
    fn load(path: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let loader = Loader::new(Vec::new(), folder.path().join("cache"));
        let library = loader.load(path, &LoadOptions::default()).unwrap();
        Self { library, folder }
    }

    /// A handle of a new instance.
    async fn open<H>(&self, module: impl Fn(&micro_loader::Instance) -> Option<H>) -> Result<H> {
        let host = Host::new(self.library.name(), self.folder.path(), self.folder.path());
        let instance = self.library.open("{}", host, OPEN_DEADLINE).await;
        let instance =
            instance.map_err(|error| Error::new(Code::UNAVAILABLE, error.to_string()))?;
        module(&instance).ok_or_else(|| Error::unsupported("the plugin lacks this module"))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_memory_plugin_passes_every_suite() {
    let plugin = Plugin::load(&program("libmicro_memory.so"));
    assert_eq!(plugin.library.name(), "memory");
    assert_eq!(
        plugin.library.manifest().modules,
        ["store", "blob", "registry"]
    );
    let report = store::suite()
        .run(async || plugin.open(|it| it.store()).await)
        .await;
    report.assert_passed();
    let report = blob::suite()
        .run(async || plugin.open(|it| it.blob()).await)
        .await;
    report.assert_passed();
    let report = registry::suite()
        .run(async || plugin.open(|it| it.registry()).await)
        .await;
    report.assert_passed();
}

#[tokio::test]
async fn the_memory_plugin_refuses_settings() {
    let plugin = Plugin::load(&program("libmicro_memory.so"));
    let host = Host::new("memory", plugin.folder.path(), plugin.folder.path());
    let opened = plugin
        .library
        .open(r#"{"path": "x"}"#, host, OPEN_DEADLINE)
        .await;
    let text = opened.unwrap_err().to_string();
    assert!(text.contains("memory") && text.contains("path"), "{text}");
}

/// How long a plugin that somebody would write may be, in lines that are not empty.
const AUTHOR_LINES: usize = 60;

const AUTHOR_CODE: &str = include_str!("../author/lib.rs");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_from_outside_of_the_workspace_passes_the_suite() {
    let lines = AUTHOR_CODE.lines().filter(|line| !line.trim().is_empty());
    assert!(lines.count() < AUTHOR_LINES);
    let folder = tempfile::tempdir().unwrap();
    let plugin = Plugin::load(&build_outside(folder.path()));
    assert_eq!(plugin.library.name(), "shelf");
    let report = store::suite()
        .run(async || plugin.open(|it| it.store()).await)
        .await;
    report.assert_passed();
}

/// Builds the author's crate in a folder that has nothing to do with the checkout.
fn build_outside(folder: &Path) -> PathBuf {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let api = checkout.join("plugin-api");
    let manifest = format!(
        r#"[package]
name = "shelf"
version = "0.1.0"
edition = "2024"

[lib]
crate-type = ["cdylib"]

[dependencies]
micro-plugin-api = {{ path = {api:?} }}
"#
    );
    fs::create_dir(folder.join("src")).unwrap();
    fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    fs::write(folder.join("src/lib.rs"), AUTHOR_CODE).unwrap();
    // The versions that the checkout was tested with, and that are downloaded already.
    fs::copy(checkout.join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    // Kept between runs, so that only the first one compiles the dependencies.
    let target = program("libmicro_memory.so").with_file_name("outside");
    let cargo = |args: &[&str]| {
        let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(args)
            .arg("--offline")
            .env_clear()
            .envs(environment(folder))
            .env("CARGO_TARGET_DIR", &target)
            .env("CARGO_PROFILE_DEV_DEBUG", "false")
            .current_dir(folder)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "cargo {args:?}: {said}");
    };
    cargo(&["build"]);
    let library = folder.join("libshelf.so");
    fs::copy(target.join("debug/libshelf.so"), &library).unwrap();
    // This folder's crate is another one to cargo than that of the last run.
    cargo(&["clean", "--package", "shelf"]);
    library
}
