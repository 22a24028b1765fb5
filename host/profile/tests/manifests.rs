//! What a manifest may say, what comes of it, and how each mistake in one is reported.

use std::{fs, path::Path};

use micro_profile::{BUILTIN, Keys, Module, Profile, ProfileError, Search, load};
use serde_json::json;

/// A folder of manifests, searched by name.
struct Manifests(tempfile::TempDir);

impl Manifests {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("below the folder")).expect("a folder");
            fs::write(path, text).expect("a file");
        }
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn load(&self, name: &str) -> Result<Profile, ProfileError> {
        let env = |name: &str| (name == "SET").then(|| "from the environment".to_owned());
        load(name, &Search::new([self.path().to_owned()], env))
    }

    /// The error of loading `name`, with the folder written as `DIR`.
    fn error(&self, name: &str) -> String {
        let error = self.load(name).expect_err("a mistake").to_string();
        let folder = fs::canonicalize(self.path()).expect("the folder");
        error
            .replace(&folder.display().to_string(), "DIR")
            .replace(&self.path().display().to_string(), "DIR")
    }
}

/// The mistake in a manifest of this text.
#[track_caller]
fn refused(text: &str, expected: &str) {
    let manifests = Manifests::new(&[("mine.toml", text)]);
    let error = manifests.error("mine");
    assert_eq!(error, expected, "in:\n{text}");
    assert_eq!(error.lines().count(), 1, "one line");
}

#[test]
fn a_manifest_gives_each_module_its_plugin_and_settings() {
    let manifests = Manifests::new(&[(
        "mine.toml",
        r#"
[store]
plugin = "etcd"
endpoints = ["http://a:2379", "${SET}"]
timeout = 1.5
retries = 0x10
when = 2024-01-02T03:04:05Z
[store.tls]
ca = "${CA:-/etc/ca.pem}"
verify = true

[registry]
plugin = "memory"
"#,
    )]);
    let profile = manifests.load("mine").expect("a profile");
    assert_eq!(profile.name, "mine");
    let store = &profile.slots[&Module::Store];
    assert_eq!(store.plugin, "etcd");
    assert_eq!(
        serde_json::Value::Object(store.settings.clone()),
        json!({
            "endpoints": ["http://a:2379", "from the environment"],
            "timeout": 1.5,
            "retries": 16,
            "when": "2024-01-02T03:04:05Z",
            "tls": {"ca": "/etc/ca.pem", "verify": true},
        })
    );
    let line = |key| store.locate(key).line;
    assert_eq!(store.location.line, 2);
    assert_eq!(
        [
            line("plugin"),
            line("endpoints"),
            line("endpoints[1]"),
            line("tls.ca"),
            line("tls.missing"),
            line("missing"),
        ],
        [3, 4, 4, 9, 8, 2]
    );
    assert!(store.locate("tls.ca").to_string().ends_with("mine.toml:9"));
    assert!(!profile.slots.contains_key(&Module::Runtime));
    assert_eq!(profile.server.keys, Keys::File);
}

#[test]
fn settings_are_not_in_debug_output() {
    let manifests =
        Manifests::new(&[("mine.toml", "[store]\nplugin = 'a'\npassword = 'hunter2'\n")]);
    let shown = format!("{:?}", manifests.load("mine").expect("a profile"));
    assert!(
        shown.contains("password") && !shown.contains("hunter2"),
        "{shown}"
    );
}

#[test]
fn slots_are_inherited_whole_to_any_depth() {
    let manifests = Manifests::new(&[
        (
            "base.toml",
            "[store]\nplugin='one'\npath='p'\n[blob]\nplugin='one'\n[runtime]\nplugin='process'\n\
             [plugins.one]\npath='one.so'\n[plugins.two]\npath='base-two.so'\n[server]\nkeys='memory'\n",
        ),
        (
            "middle.toml",
            "extends='base'\n[store]\nplugin='two'\n[plugins.two]\npath='two.so'\n",
        ),
        ("top.toml", "extends='middle'\n[blob]\nplugin='three'\n"),
    ]);
    let profile = manifests.load("top").expect("a profile");
    let store = &profile.slots[&Module::Store];
    assert_eq!((store.plugin.as_str(), store.settings.len()), ("two", 0));
    assert!(store.location.to_string().ends_with("middle.toml:2"));
    let blob = &profile.slots[&Module::Blob];
    assert!(blob.location.to_string().ends_with("top.toml:2"));
    let runtime = &profile.slots[&Module::Runtime];
    assert!(runtime.location.to_string().ends_with("base.toml:6"));
    let path = |name: &str| profile.plugins[name].path.as_ref().expect("a path").clone();
    assert_eq!(path("one").to_str(), Some("one.so"));
    assert_eq!(path("two").to_str(), Some("two.so"));
    assert_eq!(profile.server.keys, Keys::Memory);
    let files: Vec<_> = profile.files.iter().map(|f| f.rsplit('/').next()).collect();
    assert_eq!(
        files,
        [Some("top.toml"), Some("middle.toml"), Some("base.toml")]
    );
}

#[test]
fn a_path_is_a_profile_and_extends_relative_to_itself() {
    let manifests = Manifests::new(&[
        ("sub/top.toml", "extends = './base.toml'\n"),
        ("sub/base.toml", "extends = '../lower.toml'\n"),
        (
            "lower.toml",
            "extends = 'local'\n[plugins.memory]\npath='lib/mine.so'\n",
        ),
    ]);
    let path = manifests.path().join("sub/top.toml");
    let profile = manifests
        .load(path.to_str().expect("UTF-8"))
        .expect("a profile");
    assert_eq!(profile.files.len(), 4);
    assert_eq!(&*profile.files[3], "built-in profile local");
    let folder = fs::canonicalize(manifests.path()).expect("the folder");
    assert_eq!(
        profile.plugins["memory"].path,
        Some(folder.join("lib/mine.so")),
        "a path with a folder in it stands below the manifest's"
    );
}

#[test]
fn a_file_on_the_search_path_comes_before_the_built_in_one() {
    let own = Manifests::new(&[("local.toml", "[store]\nplugin='mine'\n")]);
    assert_eq!(
        own.load("local").expect("own").slots[&Module::Store].plugin,
        "mine"
    );

    let first = Manifests::new(&[("a.toml", "[store]\nplugin='first'\n")]);
    let second = Manifests::new(&[("a.toml", "[store]\nplugin='second'\n")]);
    let path = ["".into(), first.path().into(), second.path().into()];
    let search = Search::standard(path, None, None);
    assert_eq!(
        load("a", &search).expect("a").slots[&Module::Store].plugin,
        "first"
    );
}

#[test]
fn the_standard_search_knows_home_and_prefix() {
    let text = "[store]\nplugin='x'\n";
    let places = Manifests::new(&[
        ("home/.micro/profiles/mine.toml", text),
        ("usr/share/micro/profiles/shared.toml", text),
    ]);
    let home = places.path().join("home");
    let program = places.path().join("usr/bin/micro");
    let search = Search::standard([], Some(&home), Some(&program));
    load("mine", &search).expect("in the home folder");
    load("shared", &search).expect("below the prefix");
}

#[test]
fn the_built_in_profiles_fill_every_module() {
    for (name, text) in BUILTIN {
        let profile = load(name, &Search::new([], |_| None)).expect("a profile");
        for module in Module::ALL {
            assert!(
                profile.slots.contains_key(&module),
                "{name} has no {module}"
            );
        }
        // A comment stands behind what it explains, or above it in the same paragraph.
        let mut is_explained = false;
        for line in text.lines() {
            is_explained = line.contains('#') || is_explained && !line.is_empty();
            assert!(
                is_explained || line.is_empty(),
                "{name}: not explained: {line}"
            );
        }
    }
    let keys = |name| {
        load(name, &Search::new([], |_| None))
            .expect("a profile")
            .server
            .keys
    };
    assert_eq!((keys("local"), keys("test")), (Keys::File, Keys::Memory));
}

#[test]
fn names_that_cannot_be_loaded() {
    let manifests = Manifests::new(&[]);
    for name in ["client", "service"] {
        assert_eq!(
            manifests.error(name),
            format!(
                "profile `{name}` is reserved for command lines and services, which load no \
                 plugins; start a server with another one, such as `local`"
            )
        );
    }
    assert_eq!(
        manifests.error("nowhere"),
        "profile `nowhere` not found; looked for nowhere.toml in DIR and among the built-in \
         profiles (local, test, staging, production)"
    );
    assert_eq!(
        manifests.error("./no/such.toml"),
        "profile ./no/such.toml: No such file or directory (os error 2)"
    );
    for name in ["", "a b", "..", "ü"] {
        assert!(
            manifests
                .error(name)
                .contains("is not the name of a profile"),
            "{name}"
        );
    }
}

#[test]
fn circles_are_refused_with_the_chain() {
    let manifests = Manifests::new(&[
        ("a.toml", "extends = 'b'\n"),
        ("b.toml", "\nextends = './c.toml'\n"),
        ("c.toml", "extends = 'b'\n"),
        ("self.toml", "extends = 'self'\n"),
    ]);
    assert_eq!(
        manifests.error("a"),
        "DIR/c.toml:1: profiles extend each other in a circle: b -> ./c.toml -> b"
    );
    assert_eq!(
        manifests.error("self"),
        "DIR/self.toml:1: profiles extend each other in a circle: self -> self"
    );
}

#[test]
fn a_missing_parent_is_reported_where_it_is_named() {
    refused(
        "\nextends = 'client'\n",
        "DIR/mine.toml:2: extends: profile `client` is reserved for command lines and services, \
         which load no plugins; start a server with another one, such as `local`",
    );
}

#[test]
fn a_missing_variable_names_file_line_key_and_variable() {
    refused(
        "[store]\nplugin='a'\n[store.tls]\nfiles = [\n 'x',\n '${NOT_SET}']\n",
        "DIR/mine.toml:6: store.tls.files[1]: environment variable NOT_SET is not set; set it, or \
         give a default as ${NOT_SET:-…}",
    );
    refused(
        "[store]\nplugin = '${'\n",
        "DIR/mine.toml:2: store.plugin: a `${` has no closing `}` (write `$${` for the characters \
         themselves)",
    );
}

#[test]
fn mistakes_are_one_line_with_file_line_and_key() {
    refused(
        "# hi\n[brokr]\nplugin='nats'\n",
        "DIR/mine.toml:2: unknown key `brokr`; a profile has extends, store, blob, stream, \
         broker, registry, runtime, plugins and server",
    );
    refused(
        "store = 'memory'\n",
        "DIR/mine.toml:1: store must be a table, not a string",
    );
    refused(
        "[store]\nplugin = 3\n",
        "DIR/mine.toml:2: store.plugin must be a string, not an integer",
    );
    refused(
        "[store]\npath = 'x'\n",
        "DIR/mine.toml:1: [store] names no `plugin`; a slot replaces the one it inherits whole, \
         so it names its plugin too",
    );
    refused(
        "[store]\nplugin = './libx.so'\n",
        "DIR/mine.toml:2: store.plugin: `./libx.so` is not the name of a plugin (letters, digits, \
         `-` and `_`); for a file of your own give it a name, and the file in [plugins.NAME] path",
    );
    refused(
        "extends = ['a', 'b']\n",
        "DIR/mine.toml:1: extends must be a string, not a list",
    );
    refused(
        "[plugins.a]\nfile = 'x'\n",
        "DIR/mine.toml:2: unknown key `plugins.a.file`; a plugin has path and sha256",
    );
    refused(
        "[plugins.a]\npath = 'https://me:hunter2@host/a.so'\n",
        "DIR/mine.toml:2: plugins.a.path is a URL; it names a file of this machine",
    );
    refused(
        "[plugins.a]\nsha256 = 'abc'\n",
        "DIR/mine.toml:2: plugins.a.sha256 is not a SHA-256: 64 hexadecimal digits, as `sha256sum \
         FILE` prints",
    );
    refused(
        "[plugins.'../a']\npath = 'x'\n",
        "DIR/mine.toml:1: `../a` is not the name of a plugin (letters, digits, `-` and `_`)",
    );
    refused(
        "[server]\nkeys = 'hunter2'\n",
        "DIR/mine.toml:2: server.keys says where keys come from; it may be `file`, `memory` or \
         `store`",
    );
    refused(
        "[server]\nport = 1\n",
        "DIR/mine.toml:2: unknown key `server.port`; [server] has keys and lease_seconds",
    );
    refused(
        "[server]\nlease_seconds = '15s'\n",
        "DIR/mine.toml:2: server.lease_seconds must be a number of seconds, not a string",
    );
    for seconds in ["1", "-5", "100000", "99999999999999999999"] {
        refused(
            &format!("[server]\nlease_seconds = {seconds}\n"),
            &format!("DIR/mine.toml:2: server.lease_seconds is {seconds}; it may be 2 to 3600"),
        );
    }
    refused(
        "[store]\nplugin = 'a'\nlimit = nan\n",
        "DIR/mine.toml:3: store.limit: a number that is not finite cannot be passed to a plugin",
    );
    refused(
        "[store]\nplugin = 'a'\nlimit = 9223372036854775808\n",
        "DIR/mine.toml:3: store.limit: an integer of more than 64 bits cannot be passed to a plugin",
    );
}

#[test]
fn what_is_not_toml_is_one_line_too() {
    for text in [
        "[store\n",
        "a = \n",
        "[store]\nplugin='a'\nplugin='b'\n",
        "\u{0}\u{1}",
    ] {
        let manifests = Manifests::new(&[("mine.toml", text)]);
        let error = manifests.error("mine");
        assert!(error.starts_with("DIR/mine.toml:"), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn all_mistakes_are_told() {
    let manifests = Manifests::new(&[
        (
            "mine.toml",
            "extends = 'base'\n[brokr]\n[store]\nplugin = 'nats://me:hunter2@host'\n[blob]\n\
             plugin = 'a'\nlimits = [nan, 1, nan]\npath = '${NOT_SET}'\n[server]\nkeys = 3\n",
        ),
        ("base.toml", "[stream]\n"),
    ]);
    let error = manifests.load("mine").expect_err("mistakes");
    let lines = error.lines();
    for (line, parts) in lines.iter().zip([
        ["/mine.toml:4: store.plugin: `nats://***@host` is not"],
        ["/mine.toml:7: blob.limits[0]: a number that is not finite"],
        ["/mine.toml:7: blob.limits[2]: a number that is not finite"],
        ["/mine.toml:8: blob.path: environment variable NOT_SET"],
        ["/mine.toml:2: unknown key `brokr`"],
        ["/mine.toml:10: server.keys must be a string, not an integer"],
        ["/base.toml:1: [stream] names no `plugin`"],
    ]) {
        for part in parts {
            assert!(
                lines.iter().any(|line| line.contains(part)),
                "{part}: {line}"
            );
        }
    }
    assert_eq!(lines.len(), 7, "{lines:?}");
    assert_eq!(error.to_string(), lines.join("; "));

    let manifests = Manifests::new(&[("mine.toml", "a = \n[store]\nplugin = 'x\nb = }\n")]);
    let error = manifests.load("mine").expect_err("mistakes");
    let places: Vec<_> = error
        .lines()
        .iter()
        .filter_map(|line| line.split(':').nth(1).map(str::to_owned))
        .collect();
    assert_eq!(places, ["1", "3", "4"], "{error}");
}

#[test]
fn what_is_not_utf_8_is_named_by_its_line() {
    let manifests = Manifests::new(&[]);
    let path = manifests.path().join("mine.toml");
    fs::write(&path, b"[store]\nplugin = 'a'\n# caf\xe9\n").expect("a file");
    let error = manifests.error("mine");
    assert!(error.starts_with("DIR/mine.toml:3: "), "{error}");
    assert!(error.contains("UTF-8"), "{error}");
}

#[test]
fn what_is_no_manifest_is_not_read_to_its_end() {
    let manifests = Manifests::new(&[("large.toml", &"#".repeat(300 * 1024))]);
    let endless = manifests.path().join("endless.toml");
    std::os::unix::fs::symlink("/dev/zero", &endless).expect("a link");
    for (name, reason) in [
        ("large.toml", "it is larger than 256 KiB"),
        ("endless.toml", "it is no regular file"),
    ] {
        let path = manifests.path().join(name);
        let error = manifests.error(path.to_str().expect("a path"));
        assert!(error.ends_with(reason), "{error}");
    }
}
