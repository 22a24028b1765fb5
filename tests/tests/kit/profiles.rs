//! `micro profile` and `micro init`.

use std::fs;

use micro_tests::{ServerBuilder, program};

use crate::home::Home;

#[test]
fn profiles_are_listed_and_ones_own_comes_first() {
    let home = Home::new();
    home.write(".micro/profiles/staging.toml", "extends = 'test'\n");
    let listed = home.json(&["profile", "list"]);
    let shown: Vec<_> = listed
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| (one["name"].as_str().expect("a name"), &one["shadowed"]))
        .collect();
    let (own, shadowed) = (&false.into(), &true.into());
    assert_eq!(
        shown,
        [
            ("staging", own),
            ("local", own),
            ("test", own),
            ("staging", shadowed),
            ("production", own),
        ]
    );
    let table = home.micro(&["profile", "list"]).success();
    assert!(
        table.contains("built-in profile staging   shadowed\n"),
        "{table}"
    );
}

#[test]
fn a_profile_is_shown_with_where_each_line_stands() {
    let home = Home::new();
    home.write(
        "mine.toml",
        "extends = 'test'\n[store]\nplugin = 'file'\ncache_mb = ${CACHE}\n"
            .replace("${CACHE}", "64"),
    );
    let shown = home
        .micro(&["profile", "show", "./mine.toml", "--resolved"])
        .success();
    let lines: Vec<_> = shown
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    for line in [
        "# ./mine.toml: ./mine.toml, over built-in profile test",
        "[store] # ./mine.toml:2",
        "plugin = \"file\" # ./mine.toml:3",
        "cache_mb = 64 # ./mine.toml:4",
        "[runtime] # built-in profile test:19",
        "keys = \"memory\"",
    ] {
        assert!(lines.iter().any(|shown| shown == line), "{line}: {shown}");
    }
    let json = home.json(&["profile", "show", "./mine.toml", "--resolved"]);
    let cache = &json["sections"]["store"]["keys"]["cache_mb"];
    assert_eq!(cache["value"], 64);
    assert_eq!(cache["from"], "./mine.toml:4");
    // As it stands in its file, without what it extends.
    let text = home.micro(&["profile", "show", "./mine.toml"]).success();
    assert_eq!(
        text,
        fs::read_to_string(home.path().join("mine.toml")).expect("the file")
    );
}

#[test]
fn a_secret_is_never_printed() {
    let home = Home::new();
    let manifest =
        |password: &str| format!("[store]\nplugin = 'zoo'\nslow_ms = 1\npassword = {password}\n");
    home.write("literal.toml", manifest("'hunter2'"));
    home.write("variable.toml", manifest("'${THE_PASSWORD:-hunter2}'"));
    home.write("wrong.toml", manifest("['hunter2']"));
    home.write(
        "unknown.toml",
        manifest("'hunter2'").replace("zoo", "nowhere"),
    );
    home.write("base.toml", "[store]\nplugin = 'zoo'\n");
    for file in ["literal", "variable", "wrong", "unknown"] {
        let file = format!("./{file}.toml");
        for args in [
            &["profile", "show", &file] as &[&str],
            &["profile", "show", &file, "--output=json"],
            &["profile", "show", &file, "--resolved"],
            &["profile", "show", &file, "--resolved", "--output=json"],
            &["profile", "diff", "./base.toml", &file],
            &["profile", "diff", &file, "./base.toml", "--output=json"],
            &["profile", "check", &file],
        ] {
            let ran = home.micro_with(args, &[("THE_PASSWORD", "hunter2")]);
            let all = format!("{}{}", ran.stdout, ran.stderr);
            assert!(!all.contains("hunter2"), "{args:?}: {all}");
            if args[1] != "check" {
                assert_eq!(ran.code, Some(0), "{args:?}: {all}");
                assert!(ran.stdout.contains("(secret)"), "{args:?}: {all}");
            }
        }
    }
    // What is no secret is shown, unless nobody can say that it is none.
    let shown = home.micro(&["profile", "show", "./literal.toml"]).success();
    assert!(shown.contains("slow_ms = 1\n"), "{shown}");
    let ran = home.micro(&["profile", "show", "./unknown.toml"]);
    assert!(ran.stdout.contains("slow_ms = \"(secret)\""), "{ran:?}");
    assert!(ran.stderr.contains("plugin nowhere: not found"), "{ran:?}");
}

#[test]
fn a_profile_is_checked_without_being_started() {
    let home = Home::new();
    for name in ["local", "test"] {
        let table = home.micro(&["profile", "check", name]).success();
        assert_eq!(table.matches("   ok\n").count(), 6, "{table}");
    }
    home.write(
        "wrong.toml",
        "extends = 'test'\n\n[store]\nplugin = 'zoo'\nslow_ms = 'long'\ncolour = 1\n\n\
         [blob]\nplugin = 'nowhere'\n\n[runtime]\nplugin = 'memory'\n",
    );
    let said = home.fails(&["profile", "check", "./wrong.toml"]);
    for line in [
        "./wrong.toml:5: store.slow_ms: must be an integer, not a string",
        "./wrong.toml:6: store.colour: unknown setting; there are open, ",
        "./wrong.toml:9: blob: plugin nowhere: not found; ",
        "./wrong.toml:12: plugin memory has no module `runtime`; it offers store, ",
    ] {
        assert!(
            said.lines().any(|said| said.starts_with(line)),
            "{line}: {said}"
        );
    }
    let found = home.json(&["profile", "check", "./wrong.toml"]);
    assert_eq!(found["ok"], false);

    home.write("half.toml", "[store]\nplugin = 'memory'\n");
    let said = home.fails(&["profile", "check", "./half.toml"]);
    assert!(
        said.contains("./half.toml: no plugin for the module `runtime`; add `[runtime]`"),
        "{said}"
    );
    let pinned = format!(
        "extends = 'test'\n[plugins.process]\nsha256 = '{}'\n",
        "0".repeat(64)
    );
    home.write("pinned.toml", pinned);
    let said = home.fails(&["profile", "check", "./pinned.toml"]);
    assert!(
        said.starts_with("built-in profile test:20: runtime: plugin process: the sha256 of "),
        "{said}"
    );
}

#[test]
fn a_check_tells_all_that_is_wrong() {
    let home = Home::new();
    home.write(
        "wrong.toml",
        "extends = 'test'\ncolour = 1\n[store]\nplugin = 'zoo'\nslow_ms = '${NOT_SET}'\n\
         password = 3\n[server]\nkeys = 'hunter2'\n",
    );
    let said = home.fails(&["profile", "check", "./wrong.toml"]);
    for line in [
        "./wrong.toml:2: unknown key `colour`; a profile has extends, ",
        "./wrong.toml:5: store.slow_ms: environment variable NOT_SET is not set",
        "./wrong.toml:6: store.password: must be a string, not an integer",
        "./wrong.toml:8: server.keys says where keys come from",
    ] {
        let told = said.lines().filter(|said| said.starts_with(line)).count();
        assert_eq!(told, 1, "{line}: {said}");
    }
    // Nothing follows from what cannot be read.
    assert_eq!(said.matches("store.slow_ms").count(), 1, "{said}");
    assert!(!said.contains("hunter2"), "{said}");
    let found = home.json(&["profile", "check", "./wrong.toml"]);
    assert_eq!(found["ok"], false);
    assert_eq!(found["problems"].as_array().map(Vec::len), Some(3));

    home.write("bytes.toml", b"extends = 'test'\n# caf\xe9\n");
    let said = home.fails(&["profile", "check", "./bytes.toml"]);
    assert!(said.starts_with("./bytes.toml:2: "), "{said}");
}

#[test]
fn two_profiles_are_compared() {
    let home = Home::new();
    home.write(
        "one.toml",
        "extends = 'test'\n[store]\nplugin = 'file'\ncache_mb = 1\n",
    );
    home.write(
        "two.toml",
        "extends = 'test'\n[store]\nplugin = 'file'\ncache_mb = 2\n",
    );
    let shown = home
        .micro(&["profile", "diff", "./one.toml", "./two.toml"])
        .success();
    assert_eq!(shown, "[store]\n- cache_mb = 1\n+ cache_mb = 2\n");
    let json = home.json(&["profile", "diff", "test", "./one.toml"]);
    assert_eq!(json["store"]["one"]["plugin"], "memory");
    assert_eq!(json["store"]["other"]["cache_mb"], 1);
    assert_eq!(json.as_object().expect("sections").len(), 1);
    let same = home.micro(&["profile", "diff", "test", "test"]).success();
    assert_eq!(same, "");
}

#[tokio::test]
async fn a_profile_of_ones_own_is_begun_and_served() {
    let builder = ServerBuilder::new("staging");
    let home = Home::new();
    let text = home.micro(&["init", "--profile=staging"]).success();
    let file = home.path().join("profiles/staging.toml");
    let to = file.display().to_string();
    let ran = home.micro(&["init", "--profile=staging", "--output", &to]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(fs::read_to_string(&file).expect("the file"), text);
    // What somebody wrote stays.
    let said = home.fails(&["init", "--profile=staging", "--output", &to]);
    assert!(said.contains("is there already"), "{said}");
    for name in ["client", "a b", "../x"] {
        home.fails(&["init", &format!("--profile={name}")]);
    }
    let copy = home
        .micro(&["init", "--profile=mine", "--from=production"])
        .success();
    assert!(copy.contains("${MICRO_POSTGRES_URL:-"), "{copy}");

    // It shadows the profile that ships with micro: no etcd, no NATS.
    builder.write(".micro/profiles/staging.toml", &text);
    let resolved = home
        .micro_with(
            &["profile", "show", "staging", "--resolved"],
            &[("HOME", &builder.home().display().to_string())],
        )
        .success();
    assert!(resolved.contains("plugin = \"memory\""), "{resolved}");
    assert!(program("libmicro_memory.so").is_file());
    let mut server = builder.start().await;
    server.login().await;
    assert!(server.stop().await.success());
}
