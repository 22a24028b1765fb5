//! A plugin as somebody outside of this repository would write and build it.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{environment, program};

const CODE: &str = include_str!("../author/lib.rs");

/// How long a plugin that somebody would write may be, in lines that are not empty.
const LINES: usize = 60;

/// Builds the author's crate, `shelf`, a store, in `folder`, which has nothing to do with the
/// checkout; the library, `libshelf.so` in `folder`.
///
/// # Panics
/// If it does not compile, or is longer than a plugin has to be.
pub fn author_plugin(folder: &Path) -> PathBuf {
    let lines = CODE.lines().filter(|line| !line.trim().is_empty());
    assert!(lines.count() < LINES, "a store takes too many lines");
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests is a folder of the checkout");
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
    let source = folder.join("shelf");
    let done = "the temporary folder can be written";
    fs::create_dir_all(source.join("src")).expect(done);
    fs::write(source.join("Cargo.toml"), manifest).expect(done);
    fs::write(source.join("src/lib.rs"), CODE).expect(done);
    // The versions that the checkout was tested with, and that are downloaded already.
    fs::copy(checkout.join("Cargo.lock"), source.join("Cargo.lock")).expect(done);
    // Kept between runs, so that only the first one compiles the dependencies.
    let target = program("libmicro_memory.so").with_file_name("outside");
    fs::create_dir_all(&target).expect("the target folder can be written");
    // Every folder's crate makes a library of the same name there: one after the other.
    let lock = fs::File::create(target.join("lock")).expect("a lock can be made");
    lock.lock().expect("a lock can be taken");
    let cargo = |args: &[&str]| {
        let output = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(args)
            .arg("--offline")
            .env_clear()
            .envs(environment(folder))
            .env("CARGO_TARGET_DIR", &target)
            .env("CARGO_PROFILE_DEV_DEBUG", "false")
            .current_dir(&source)
            .output()
            .expect("cargo can be run");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "cargo {args:?}: {said}");
    };
    cargo(&["build"]);
    let library = folder.join("libshelf.so");
    fs::copy(target.join("debug/libshelf.so"), &library).expect(done);
    // This folder's crate is another one to cargo than that of the last run.
    cargo(&["clean", "--package", "shelf"]);
    library
}
