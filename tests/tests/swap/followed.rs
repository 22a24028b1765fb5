//! Modules in this process that follow a profile, with the real libraries of the plugins.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use micro_modules::{Module, Modules, Places, Progress, ReloadOptions, Reloader, Swapped};
use micro_plugin_api::{
    Call,
    store::{Commit, Precondition, Put, Table},
};
use micro_profile::Search;
use micro_tests::program;
use tempfile::TempDir;

use crate::replace;

/// A table of a user.
pub(crate) const TABLE: Table<'static> = Table::new("micro", "things");

/// A call that may take as long as a busy machine needs.
pub(crate) fn call() -> Call {
    Call::new("micro").with_timeout(Duration::from_secs(60))
}

/// The commit that writes one text.
pub(crate) fn put(key: &str, value: &str) -> Commit {
    let put = Put {
        value: value.as_bytes().to_vec().into(),
        ..Put::default()
    };
    Commit::new().put(TABLE, key, Precondition::Any, put)
}

/// Modules that follow a profile, which the test changes.
pub(crate) struct Followed {
    pub(crate) modules: Arc<Modules>,
    pub(crate) reloader: Arc<Reloader>,
    slots: BTreeMap<&'static str, String>,
    folder: TempDir,
}

impl Followed {
    /// Everything in files, but what no file could hold; with these slots instead.
    pub(crate) async fn start(slots: &[(&'static str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut all: BTreeMap<_, _> = ["store", "blob", "stream"]
            .map(|slot| (slot, "plugin = \"file\"".to_owned()))
            .into();
        all.extend(["broker", "registry"].map(|slot| (slot, "plugin = \"memory\"".to_owned())));
        all.insert("runtime", "plugin = \"process\"".to_owned());
        for (slot, text) in slots {
            all.insert(slot, (*text).to_owned());
        }
        for plugin in ["memory", "file"] {
            let file = format!("libmicro_{plugin}.so");
            fs::copy(program(&file), folder.path().join(&file)).unwrap();
        }
        let search = vec![
            folder.path().to_owned(),
            beside(&program("libmicro_process.so")),
        ];
        let places = Places {
            search,
            state: folder.path().join("state"),
        };
        let path = folder.path().join("own.toml");
        write(&path, &all);
        let profiles = Search::new([], |_| None);
        let profile = micro_profile::load(path.to_str().unwrap(), &profiles).unwrap();
        let modules = Modules::open(&profile, &places).await.unwrap();
        let reloader = Reloader::new(modules.clone(), profile, profiles, places);
        Self {
            modules,
            reloader,
            slots: all,
            folder,
        }
    }

    /// The manifest.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("own.toml")
    }

    /// Writes another choice for a slot into the manifest.
    pub(crate) fn set(&mut self, slot: &'static str, text: &str) {
        self.slots.insert(slot, text.to_owned());
        write(&self.path(), &self.slots);
    }

    /// Puts a new build of a plugin in the place of its library.
    pub(crate) fn rebuild(&self, plugin: &str) {
        let path = self.folder.path().join(format!("libmicro_{plugin}.so"));
        replace::with_new_build(&path);
    }

    /// Applies the profile as it is now.
    pub(crate) async fn reload(&self, copy: bool) -> Vec<Swapped> {
        self.reload_telling(copy).await.0
    }

    /// Applies the profile, and tells how it went on.
    pub(crate) async fn reload_telling(&self, copy: bool) -> (Vec<Swapped>, Vec<Progress>) {
        let told = Mutex::new(Vec::new());
        let options = ReloadOptions {
            copy,
            progress: &|progress| told.lock().unwrap().push(progress),
        };
        let outcome = self.reloader.reload(&options).await.unwrap();
        (outcome, told.into_inner().unwrap())
    }

    /// Applies the profile; every module that has changed must be swapped.
    pub(crate) async fn reload_well(&self, copy: bool, modules: &[Module]) {
        let outcome = self.reload(copy).await;
        for swapped in &outcome {
            assert!(swapped.error.is_none(), "{swapped:?}");
        }
        let swapped: Vec<_> = outcome.iter().map(|swapped| swapped.module).collect();
        assert_eq!(swapped, modules);
        assert_eq!(self.reloader.status().problems().next(), None);
    }

    /// Why the one module that has changed keeps its plugin.
    pub(crate) async fn reload_badly(&self, copy: bool, module: Module) -> String {
        let outcome = self.reload(copy).await;
        let [swapped] = &outcome[..] else {
            panic!("{outcome:?}");
        };
        assert_eq!(swapped.module, module);
        let error = swapped.error.as_ref().unwrap().to_string();
        let status = self.reloader.status();
        assert_eq!(status.problems().collect::<Vec<_>>(), [&error]);
        error
    }

    /// The plugin that serves a module.
    pub(crate) fn plugin(&self, module: Module) -> String {
        let modules = self.reloader.status().modules;
        let of = modules.into_iter().find(|status| status.module == module);
        of.unwrap().plugin
    }

    /// Ends it.
    pub(crate) async fn end(self) {
        self.modules.shutdown().await;
    }
}

fn beside(path: &Path) -> PathBuf {
    path.parent().unwrap().to_owned()
}

fn write(path: &Path, slots: &BTreeMap<&'static str, String>) {
    let mut text = String::new();
    for (slot, choice) in slots {
        writeln!(text, "[{slot}]\n{choice}\n").unwrap();
    }
    replace::with_text(path, &text);
}
