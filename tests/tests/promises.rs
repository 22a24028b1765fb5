//! The page on what each plugin promises is written from the rules and from what the libraries
//! declare.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{collections::BTreeMap, env, fmt::Write as _, fs, path::Path};

use micro_loader::Loader;
use micro_plugin_api::Capabilities;
use micro_plugin_conformance::{Suite, blob, broker, registry, runtime, store, stream};
use micro_tests::program;

/// What the plugins of the checkout declare, by name; those alone that offer `module`.
fn plugins(module: &str) -> BTreeMap<String, Capabilities> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins");
    let mut plugins = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if !entry.path().join("Cargo.toml").is_file() {
            continue;
        }
        let name = entry.file_name().into_string().unwrap();
        let library = program(&format!("libmicro_{}.so", name.replace('-', "_")));
        let manifest = Loader::inspect(&library).unwrap();
        if manifest.modules.iter().any(|offered| offered == module) {
            plugins.insert(name, manifest.capabilities);
        }
    }
    plugins
}

/// The table of one module: a row for each rule, a column for each plugin.
fn table<H: micro_plugin_conformance::Module>(page: &mut String, module: &str, suite: &Suite<H>) {
    let plugins = plugins(module);
    let names: Vec<_> = plugins.keys().map(String::as_str).collect();
    writeln!(page, "\n## {module}\n\n| rule | {} |", names.join(" | ")).unwrap();
    writeln!(page, "|---|{}", "---|".repeat(names.len())).unwrap();
    for case in suite.cases() {
        let promised = plugins.values().map(|it| it.without(case.name()).is_none());
        let cells: Vec<_> = promised.map(|it| if it { "yes" } else { "no" }).collect();
        let rule = case.rule().trim_end_matches('.').replace('|', "\\|");
        let name = case.name();
        writeln!(page, "| `{name}`: {rule} | {} |", cells.join(" | ")).unwrap();
    }
    for (plugin, capabilities) in &plugins {
        assert_eq!(suite.unknown(capabilities), [""; 0], "{plugin} declares");
    }
}

#[test]
fn the_page_on_what_plugins_promise_is_up_to_date() {
    let mut expected = String::from(
        "# What each plugin promises\n\n\
         A rule is a promise of the module's contract, and of those beyond it (`durable`, `shared`) that\n\
         not every backend can make. `no` is what the plugin declares not to promise; everything else is\n\
         tested by running the rule against the plugin. This page is written from the rules and from what the\n\
         libraries declare:\n\
         `UPDATE_DOCS=1 cargo test -p micro-tests --test promises`.\n",
    );
    table(&mut expected, "store", &store::suite());
    table(&mut expected, "blob", &blob::suite());
    table(&mut expected, "stream", &stream::suite());
    table(&mut expected, "broker", &broker::suite());
    table(&mut expected, "registry", &registry::suite());
    table(&mut expected, "runtime", &runtime::suite());
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/promises.md");
    if env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&page, &expected).unwrap();
    }
    let found = fs::read_to_string(&page).unwrap_or_default();
    assert!(
        found == expected,
        "docs/promises.md is out of date: \
         UPDATE_DOCS=1 cargo test -p micro-tests --test promises"
    );
}
