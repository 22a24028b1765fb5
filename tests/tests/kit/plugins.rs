//! `micro plugin`.

use std::{fs, os::unix::fs::PermissionsExt as _};

use micro_tests::program;
use serde_json::json;

use crate::home::Home;

#[test]
fn plugins_are_listed_with_why_one_is_not_loaded() {
    let home = Home::new();
    let folder = home.path().join("plugins");
    home.write("plugins/libbroken.so", "not a library");
    home.write("plugins/notes.txt", "not named as one");
    let zoo = fs::read(program("libmicro_zoo.so")).expect("the zoo");
    home.write("plugins/libmicro_zoo.so", &zoo);
    let ran = home.micro_with(
        &["plugin", "list", "--output=json"],
        &[("MICRO_PLUGIN_PATH", &folder.display().to_string())],
    );
    let all: serde_json::Value = serde_json::from_str(&ran.success()).expect("JSON");
    let named = |name: &str| {
        let all = all.as_array().expect("a list").iter();
        all.filter(|one| one["name"] == name).collect::<Vec<_>>()
    };
    let [broken] = named("broken")[..] else {
        panic!("{all}");
    };
    assert_eq!(broken["loadable"], false);
    let reason = broken["reason"].as_str().expect("a reason");
    assert!(reason.contains("is not a library"), "{reason}");
    let [first, second] = named("zoo")[..] else {
        panic!("{all}");
    };
    assert_eq!(first["loadable"], true);
    assert_eq!(first["api"], "1.0");
    assert_eq!(
        first["modules"],
        json!(["store", "blob", "stream", "broker", "registry", "runtime"])
    );
    assert_eq!(second["shadowed_by"], first["file"]);
    assert!(named("notes").is_empty());
}

#[test]
fn a_plugin_is_inspected_with_its_settings() {
    let home = Home::new();
    let shown = home.json(&["plugin", "inspect", "file"]);
    assert_eq!(shown["name"], "file");
    assert_eq!(shown["modules"], json!(["store", "blob", "stream"]));
    assert_eq!(shown["license"], "Apache-2.0");
    let settings = shown["settings"].as_array().expect("settings").iter();
    let cache = settings
        .clone()
        .find(|one| one["name"] == "cache_mb")
        .expect("a setting");
    assert_eq!(
        (&cache["type"], &cache["default"]),
        (&"integer".into(), &256.into())
    );
    let about = cache["description"].as_str().expect("a description");
    assert!(
        about.starts_with("Memory for parts of the store"),
        "{about}"
    );

    let file = program("libmicro_zoo.so").display().to_string();
    let table = home.micro(&["plugin", "inspect", &file]).success();
    let password = table.lines().find(|line| line.starts_with("password "));
    assert!(
        password.is_some_and(|line| line.contains(" secret ")),
        "{table}"
    );
    assert!(table.contains("store.durable"), "{table}");

    // What a default is that is no plain value, and who made it.
    let shown = home.json(&["plugin", "inspect", "postgres"]);
    assert_eq!(shown["authors"], json!(["The micro authors"]));
    assert_eq!(
        (&shown["run"], &shown["except"]),
        (&"hop".into(), &json!([]))
    );
    let mut settings = shown["settings"].as_array().expect("settings").iter();
    let idle = settings.find(|one| one["name"] == "idle_timeout");
    assert_eq!(idle.expect("a setting")["default"], "10m");
    let table = home.micro(&["plugin", "inspect", "memory"]).success();
    assert!(table.contains("on the thread of whoever calls"), "{table}");
}

#[test]
fn a_plugin_is_verified_without_being_run() {
    let home = Home::new();
    let file = program("libmicro_memory.so").display().to_string();
    let shown = home.json(&["plugin", "verify", &file]);
    let sha256 = shown["sha256"].as_str().expect("a hash").to_owned();
    let pinned = format!("--sha256={sha256}");
    let said = home.micro(&["plugin", "verify", &file, &pinned]).success();
    assert!(
        said.ends_with(&format!("sha256 = \"{sha256}\"\n")),
        "{said}"
    );
    let other = format!("--sha256={}", "0".repeat(64));
    let said = home.fails(&["plugin", "verify", &file, &other]);
    assert!(said.contains(&sha256), "{said}");
    assert!(
        said.contains("--sha256 says") && !said.contains("profile"),
        "{said}"
    );
    home.write("text.so", "no library");
    let said = home.fails(&["plugin", "verify", "./text.so"]);
    assert!(said.contains("is not a library"), "{said}");
    home.fails(&["plugin", "verify", "nowhere"]);
}

/// The same refusal from the command that looks and from the server that would load it.
#[test]
fn a_file_that_is_no_good_is_refused_with_what_to_do() {
    let zoo = fs::read(program("libmicro_zoo.so")).expect("the zoo");
    let api = b"\"api\":\"1.0\"";
    let at = zoo.windows(api.len()).position(|bytes| bytes == api);
    let mut another_api = zoo.clone();
    another_api[at.expect("the version") + 7] = b'9';
    let mut another_machine = zoo.clone();
    // Where ELF says for which machine the code is.
    another_machine[18] = 2;
    for (bytes, mode, words) in [
        (&zoo[..zoo.len() / 2], 0o644, "copy or build it again"),
        (&another_api, 0o644, "version 9.0"),
        (&another_machine, 0o644, "--target"),
        // What others could have written is not run either, to see which settings it has.
        (&zoo, 0o666, "chmod go-w"),
    ] {
        let home = Home::new();
        let file = home.write("plugins/libmicro_zoo.so", bytes);
        let mode = fs::Permissions::from_mode(mode);
        fs::set_permissions(&file, mode).expect("a file of ours");
        let path = file.display().to_string();
        for command in ["verify", "inspect", "test"] {
            let said = home.fails(&["plugin", command, &path]);
            assert!(said.contains(words), "{command}: {said}");
        }
        let profile =
            format!("extends = 'test'\n[blob]\nplugin = 'zoo'\n[plugins.zoo]\npath = '{path}'\n");
        let profile = home.write("bad.toml", profile).display().to_string();
        let doors = ["api", "proxy", "network"].map(|door| format!("--{door}_address=127.0.0.1:0"));
        let mut args = vec!["server", "--profile", &profile];
        args.extend(doors.iter().map(String::as_str));
        let said = home.fails(&args);
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn a_plugin_is_tested_in_a_process_of_its_own() {
    let home = Home::new();
    let filter = ["--module=store", "--filter=store.read"];
    let mut args = vec!["plugin", "test", "memory"];
    args.extend(filter);
    let ran = home.json(&args);
    assert_eq!(
        (&ran["failed"], &ran["skipped"]),
        (&0.into(), &0.into()),
        "{ran}"
    );
    let rules = ran["rules"].as_array().expect("rules");
    assert!(rules.len() >= 2, "{ran}");
    for rule in rules {
        let name = rule["name"].as_str().expect("a name");
        assert!(name.starts_with("store.read"), "{name}");
        assert_eq!(rule["outcome"], "passed", "{name}");
    }
    let table = home.micro(&args).success();
    assert!(
        table.ends_with(&format!("{} passed, 0 failed, 0 skipped\n", rules.len())),
        "{table}"
    );

    home.write("unknown.toml", "events_max_mb = 1\nspeed = 'high'\n");
    home.write("wrong.toml", "events_max_mb = 'many'\n");
    home.write("broken.toml", "events_max_mb =\n");
    for (args, complaint) in [
        (
            &["--settings=unknown.toml"] as &[&str],
            "unknown.toml:2: speed: ",
        ),
        (&["--settings=wrong.toml"], "wrong.toml:1: events_max_mb: "),
        (&["--settings=broken.toml"], "broken.toml:1: "),
        (
            &["--module=runtime"],
            "has no module `runtime`; it offers store",
        ),
        (
            &["--filter=nosuch"],
            "no rule has a name that contains \"nosuch\"",
        ),
        (&["--settings=missing.toml"], "Cannot read "),
        (
            &["--settings=/dev/null"],
            "Cannot read /dev/null: it is no regular file",
        ),
    ] {
        let mut all = vec!["plugin", "test", "memory"];
        all.extend(args);
        let said = home.fails(&all);
        assert!(said.contains(complaint), "{said}");
        // It is about the words of the command line, and no rule was tried.
        assert!(!said.contains("failed store."), "{said}");
    }
    for file in ["nowhere", "./nowhere.so", ".", "./unknown.toml"] {
        let said = home.fails(&["plugin", "test", file]);
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn a_plugin_that_ends_the_process_has_failed_the_rule() {
    let home = Home::new();
    home.write("abort.toml", "calls = 'abort'\ncage = 'sound'\n");
    let args = [
        "plugin",
        "test",
        "zoo",
        "--module=store",
        "--settings=abort.toml",
        "--filter=store.read.exact-key",
    ];
    let ran = home.json(&args);
    assert_eq!(ran["failed"], 1, "{ran}");
    assert_eq!(ran["rules"][0]["name"], "store.read.exact-key");
    let reason = ran["rules"][0]["reason"].as_str().expect("a reason");
    assert!(reason.contains("SIGABRT"), "{reason}");
    home.fails(&args);
}
