//! The manifest of a server, and the libraries of the plugins that it names: to be changed while the
//! server runs.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use micro_tests::program;

use crate::replace;

/// Those that may be built again: each has a library of the test's own.
const PLUGINS: [&str; 5] = ["memory", "file", "etcd", "nats", "postgres"];

/// What stands in the manifest over the profile `local`.
pub(super) struct Manifest {
    home: PathBuf,
    slots: BTreeMap<&'static str, String>,
}

impl Manifest {
    pub(super) fn new() -> Self {
        Self {
            home: PathBuf::new(),
            slots: BTreeMap::new(),
        }
    }

    /// With this choice for a slot.
    pub(super) fn with(mut self, slot: &'static str, choice: &str) -> Self {
        self.slots.insert(slot, choice.to_owned());
        self
    }

    /// Puts it, and the libraries, into a folder. Gives its path.
    pub(super) fn settle(&mut self, home: &Path) -> PathBuf {
        home.clone_into(&mut self.home);
        for plugin in PLUGINS {
            fs::copy(program(&file(plugin)), home.join(file(plugin))).unwrap();
        }
        self.write()
    }

    /// Makes another choice for a slot.
    pub(super) fn set(&mut self, slot: &'static str, choice: &str) {
        self.slots.insert(slot, choice.to_owned());
        self.write();
    }

    /// Puts a new build of a plugin in the place of its library.
    pub(super) fn rebuild(&self, plugin: &str) {
        let path = self.home.join(file(plugin));
        replace::with_new_build(&path);
    }

    fn write(&self) -> PathBuf {
        let mut text = "extends = \"local\"\n".to_owned();
        for (slot, choice) in &self.slots {
            writeln!(text, "[{slot}]\n{choice}").unwrap();
        }
        for plugin in PLUGINS {
            let path = self.home.join(file(plugin));
            writeln!(text, "[plugins.{plugin}]\npath = {path:?}").unwrap();
        }
        let path = self.home.join("own.toml");
        replace::with_text(&path, &text);
        path
    }
}

fn file(plugin: &str) -> String {
    format!("libmicro_{plugin}.so")
}
