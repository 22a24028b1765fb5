//! `micro new --plugin MODULE NAME`: the crate of a plugin that builds, passes its suite and serves.

mod name;

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::ValueEnum;

use crate::{
    commands::{Outcome, missing},
    context::Context,
    error::{CliError, Result},
    printer::Output,
    sdk,
};

/// What to make.
#[derive(Debug, clap::Args)]
#[command(rename_all = "snake_case")]
pub(crate) struct Args {
    /// The module that the plugin is to offer
    #[arg(long)]
    plugin: Option<Module>,
    /// Folder of micro's sources, which the plugin builds against
    #[arg(long)]
    sdk_path: Option<String>,
    /// The plugin's name, and that of its folder
    name: Option<String>,
}

/// A module that there is a beginning for.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Module {
    Store,
    Blob,
    Stream,
    Broker,
    Registry,
    Runtime,
}

impl Module {
    fn name(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Blob => "blob",
            Self::Stream => "stream",
            Self::Broker => "broker",
            Self::Registry => "registry",
            Self::Runtime => "runtime",
        }
    }

    /// The code, and the name that the plugin has in it.
    fn template(self) -> (&'static str, &'static str) {
        match self {
            Self::Store => (include_str!("../../templates/plugin/store.rs"), "shelf"),
            Self::Blob => (include_str!("../../templates/plugin/blob.rs"), "attic"),
            Self::Stream => (include_str!("../../templates/plugin/stream.rs"), "diary"),
            Self::Broker => (include_str!("../../templates/plugin/broker.rs"), "pigeons"),
            Self::Registry => (include_str!("../../templates/plugin/registry.rs"), "atlas"),
            Self::Runtime => (include_str!("../../templates/plugin/runtime.rs"), "nursery"),
        }
    }

    /// What the code depends on beside the contract, as lines of a manifest.
    fn dependencies(self) -> &'static str {
        match self {
            Self::Store | Self::Blob | Self::Broker | Self::Registry => "",
            Self::Stream => "uuid = { version = \"1\", features = [\"v7\"] }\n",
            Self::Runtime => {
                "nix = { version = \"0.31\", features = [\"signal\"] }\n\
                 tokio = { version = \"1\", features = [\"process\", \"time\"] }\n"
            }
        }
    }

    /// What its test depends on beside the suites.
    fn test_dependencies(self) -> &'static str {
        match self {
            Self::Runtime => "tempfile = \"3\"\n",
            _ => "",
        }
    }

    /// What the plugin is, and what would be the next thing to do about it.
    fn about(self) -> &'static str {
        match self {
            Self::Store => {
                "It keeps records in one sorted map, and lacks `store.watch`: `store::Watchers` tells those who\n\
                 watch of the commits that pass through this process. A backend that keeps what it is given\n\
                 promises `store.durable`."
            }
            Self::Blob => {
                "It keeps blobs in one sorted map. A backend that keeps what it is given promises\n\
                 `blob.durable`, and takes a body chunk by chunk instead of all at once."
            }
            Self::Stream => {
                "It keeps events in one list, and no group outlives the process. A backend that keeps what it is\n\
                 given promises `stream.durable`, and gives back the groups that `Consumers` told it of."
            }
            Self::Broker => {
                "It passes messages on within one process. One that passes them between servers promises\n\
                 `broker.shared`."
            }
            Self::Registry => {
                "`Catalog` has what is registered, lets nodes expire and tells those who watch. A backend of\n\
                 several servers is the one that `register` and `deregister` write to; what it then tells goes\n\
                 into the catalog, which answers `list` and `watch`. Such a one promises `registry.shared`."
            }
            Self::Runtime => {
                "It runs programs as child processes of the server. `Supervisor` keeps track of what `Launcher`\n\
                 starts, waits for and ends. `lacks` names what it does not do: it starts nothing again, does\n\
                 not follow logs, and does not find children that made themselves independent."
            }
        }
    }
}

const README: &str = include_str!("../../templates/plugin/README.md");

/// The version of our crates, as a manifest asks for it.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Makes the folder `NAME` in the working folder.
///
/// # Errors
/// No module or name, a name that no plugin can have, a folder that is there already, no sources of
/// ours, or a file that cannot be written.
pub(crate) fn run(context: &Context<'_>, args: Args) -> Result<Outcome> {
    let Some(module) = args.plugin else {
        return Err(missing("new", "--plugin MODULE").hint(
            "a service begins as a copy of one of the examples; `micro run FOLDER` runs it",
        ));
    };
    let name = args.name.ok_or_else(|| missing("new", "NAME"))?;
    name::check(&name)?;
    let here = context.environment.folder();
    let named = args.sdk_path.or_else(|| {
        let variable = context.environment.get("MICRO_SDK_PATH");
        variable.map(str::to_owned)
    });
    let sdk = sources(named.map(|path| here.join(path)))?;
    let folder = here.join(&name);
    if folder.exists() {
        return Err(CliError::plain(format!("{name} already exists")));
    }
    let lock = sdk.join("Cargo.lock");
    let lock = fs::read_to_string(&lock).map_err(|error| CliError::file("read", &lock, &error))?;
    let (code, placeholder) = module.template();
    let quoted = |name: &str| format!("{name:?}");
    let library = format!("target/release/lib{}.so", name.replace('-', "_"));
    let profile = profile(&name, module, &library);
    let readme = README
        .replace("ABOUT", module.about())
        .replace("NAME", &name)
        .replace("MODULE", module.name())
        .replace("LIBRARY", &library)
        .replace("PROFILE", &profile.join("\n    ").replace("    \n", "\n"));
    let files = [
        (".gitignore", "/target\n".to_owned()),
        // The versions that the contract was built and tested with.
        ("Cargo.lock", lock),
        ("Cargo.toml", manifest(&name, module, &sdk)),
        ("README.md", readme),
        (
            "src/lib.rs",
            code.replace(&quoted(placeholder), &quoted(&name)),
        ),
    ];
    write(&folder.join("src"), None)?;
    for (file, text) in &files {
        write(&folder.join(file), Some(text))?;
    }
    let mut lines = vec![
        format!("Creating plugin {name}"),
        String::new(),
        name.clone(),
    ];
    lines.extend(files.iter().enumerate().map(|(at, (file, _))| {
        let branch = if at + 1 == files.len() {
            "└──"
        } else {
            "├──"
        };
        format!("{branch} {file}")
    }));
    lines.extend([
        String::new(),
        "test it and build it:".to_owned(),
        String::new(),
        format!("cd {name}"),
        "cargo test".to_owned(),
        "cargo build --release".to_owned(),
        format!("micro plugin test {library}"),
        String::new(),
        "serve on it, with these lines as the file mine.toml in its folder:".to_owned(),
        String::new(),
    ]);
    lines.extend(profile);
    lines.extend([
        String::new(),
        "micro server --profile ./mine.toml".to_owned(),
    ]);
    Ok(Output::Lines(lines).into())
}

/// The sources of ours: in the folder that is named, or beside the program if none is.
fn sources(named: Option<PathBuf>) -> Result<PathBuf> {
    let (folder, missing) = match named {
        Some(folder) => {
            let missing = format!("{} has no plugin-api/Cargo.toml", folder.display());
            (Some(folder), missing)
        }
        None => {
            let missing = "The sources of micro-plugin-api are not beside this program";
            (sdk::beside_the_program(), missing.to_owned())
        }
    };
    let folder = folder.filter(|folder| folder.join("plugin-api/Cargo.toml").is_file());
    folder.ok_or_else(|| {
        CliError::plain(missing).hint(
            "name a checkout of micro, or PREFIX/share/micro/sdk, with --sdk_path or MICRO_SDK_PATH",
        )
    })
}

/// The lines of a profile that picks the plugin.
fn profile(name: &str, module: Module, library: &str) -> Vec<String> {
    vec![
        "extends = \"local\"".to_owned(),
        String::new(),
        format!("[{}]", module.name()),
        format!("plugin = {name:?}"),
        String::new(),
        format!("[plugins.{name}]"),
        format!("path = {library:?}"),
    ]
}

/// The manifest of the crate: a package of its own, which finds our crates in `sdk`.
fn manifest(name: &str, module: Module, sdk: &Path) -> String {
    let (dependencies, for_tests) = (module.dependencies(), module.test_dependencies());
    let module = module.name();
    let path = |folder: &str| toml::Value::from(sdk.join(folder).to_string_lossy().into_owned());
    let (api, conformance) = (path("plugin-api"), path("plugin-api/conformance"));
    format!(
        r#"[package]
name = "{name}"
description = "A {module} for micro."
version = "0.1.0"
edition = "2024"

[lib]
# The library that a server loads, and one that other programs and tests can link.
crate-type = ["cdylib", "rlib"]

[dependencies]
micro-plugin-api = "{VERSION}"
{dependencies}
[dev-dependencies]
micro-plugin-conformance = "{VERSION}"
{for_tests}tokio = {{ version = "1", features = ["macros", "rt-multi-thread"] }}

# No registry has these: they came with micro.
[patch.crates-io]
micro-plugin-api = {{ path = {api} }}
micro-plugin-conformance = {{ path = {conformance} }}

# A package of its own, wherever this folder lies.
[workspace]
"#
    )
}

/// Writes a file, or makes a folder.
fn write(path: &Path, text: Option<&str>) -> Result<()> {
    match text {
        Some(text) => fs::write(path, text),
        None => fs::create_dir_all(path),
    }
    .map_err(|error| CliError::file("write", path, &error))
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsString, process::ExitCode};

    use super::*;
    use crate::{Input, env::Environment, printer::Printer, run_with};

    #[test]
    fn every_template_bears_the_name_that_is_replaced_once() {
        for module in Module::value_variants() {
            let (code, name) = module.template();
            assert_eq!(code.matches(&format!("name: {name:?}")).count(), 1);
            assert_eq!(code.matches(&format!("{name:?}")).count(), 1);
        }
    }

    /// What an author has to read before it is theirs, the test of it included.
    #[test]
    fn a_store_a_registry_and_a_runtime_take_less_than_sixty_lines() {
        for module in [Module::Store, Module::Registry, Module::Runtime] {
            let (code, _) = module.template();
            let counted = match module {
                // It needs programs to run, which are half of its test.
                Module::Runtime => code.split("#[cfg(test)]").next().unwrap(),
                _ => code,
            };
            let lines = counted.lines().filter(|line| !line.trim().is_empty());
            let count = lines.count();
            assert!(count < 60, "{module:?}: {count}");
        }
    }

    /// Runs the command line in `folder`; the exit code, and what stands on stdout and stderr.
    fn micro(folder: &Path, sdk: &Path, words: &[&str]) -> (ExitCode, String, String) {
        let sdk = sdk.to_string_lossy();
        let environment = Environment::of(&[("MICRO_SDK_PATH", &sdk)], folder);
        let (printer, out, err) = Printer::captured();
        let words = ["micro", "new"].iter().chain(words).map(OsString::from);
        let input = Input::of("");
        let code = run_with(words, &environment, &printer, input, |_| ExitCode::SUCCESS);
        (code, out.text(), err.text())
    }

    #[test]
    fn a_crate_is_written_once_and_what_is_wrong_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR"))
            .ancestors()
            .nth(2)
            .unwrap();
        let refused = |sdk: &Path, words: &[&str], why: &str| {
            let (code, out, err) = micro(folder.path(), sdk, words);
            assert_eq!(code, ExitCode::FAILURE, "{words:?}: {out}");
            assert!(err.contains(why), "{words:?}: {err}");
        };
        refused(checkout, &["mine"], "needs --plugin MODULE");
        refused(checkout, &["--plugin", "store"], "needs NAME");
        refused(checkout, &["--plugin", "store", "../x"], "can be called");
        refused(
            checkout,
            &["--plugin", "store", "memory"],
            "a plugin of micro",
        );
        refused(
            checkout,
            &["--plugin", "stove", "mine"],
            "store, blob, stream, broker, registry, runtime",
        );
        let nowhere = folder.path().join("nowhere");
        let words = ["--plugin", "store", "mine"];
        let (_, _, err) = micro(folder.path(), &nowhere, &words);
        let told = format!("{} has no plugin-api/Cargo.toml", nowhere.display());
        assert!(err.contains(&told) && err.contains("--sdk_path"), "{err}");
        assert!(!folder.path().join("mine").exists());

        let (code, out, err) = micro(folder.path(), checkout, &["--plugin", "store", "mine"]);
        assert_eq!(code, ExitCode::SUCCESS, "{err}");
        assert!(out.starts_with("Creating plugin mine\n"), "{out}");
        let read = |file: &str| fs::read_to_string(folder.path().join("mine").join(file)).unwrap();
        assert!(read("src/lib.rs").contains("name: \"mine\""));
        let readme = read("README.md");
        let (_, profile) = out.split_once("mine.toml in its folder:\n\n").unwrap();
        let (profile, last) = profile.split_once("\n\nmicro server").unwrap();
        assert!(last.ends_with("--profile ./mine.toml\n"), "{out}");
        let library = "target/release/libmine.so";
        for text in [&out, &readme] {
            assert!(
                text.contains(&format!("micro plugin test {library}")),
                "{text}"
            );
        }
        let table: toml::Table = profile.parse().unwrap();
        assert_eq!(table["store"]["plugin"].as_str(), Some("mine"));
        let path = &table["plugins"]["mine"]["path"];
        assert_eq!(path.as_str(), Some(library));
        for line in profile.lines() {
            assert!(readme.contains(line), "{line:?}: {readme}");
        }
        assert!(read("Cargo.toml").contains("[lib]"));
        assert!(read("Cargo.lock").contains("abi_stable"));
        refused(
            checkout,
            &["--plugin", "store", "mine"],
            "mine already exists",
        );
    }

    #[test]
    fn no_plugin_has_the_name_of_what_it_depends_on() {
        for module in Module::value_variants() {
            let manifest = manifest("mine", *module, Path::new("/sdk"));
            let table: toml::Table = manifest.parse().unwrap();
            for section in ["dependencies", "dev-dependencies"] {
                for name in table[section].as_table().unwrap().keys() {
                    assert!(name::check(name).is_err(), "{name}");
                }
            }
        }
    }

    #[test]
    fn a_manifest_is_toml_whatever_the_folder_is_called() {
        for module in Module::value_variants() {
            let manifest = manifest("mine", *module, Path::new("/a \"b\"\\c"));
            let table: toml::Table = manifest.parse().unwrap();
            let patch = &table["patch"]["crates-io"]["micro-plugin-api"]["path"];
            assert_eq!(patch.as_str(), Some("/a \"b\"\\c/plugin-api"));
        }
    }
}
