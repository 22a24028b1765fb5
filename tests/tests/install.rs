//! What `cargo xtask install` puts below a home folder is a server that needs nothing else, and nothing
//! of the user's is lost for it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use micro_tests::{ServerBuilder, assert_shows, environment, program};
use sha2::{Digest as _, Sha256};

/// Installs the debug build for the user whose home folder this is; what it prints.
fn install(home: &Path, more: &[&str]) -> String {
    let built = program("micro");
    let target = built.ancestors().nth(2).expect("a target folder");
    let output = Command::new(program("xtask"))
        .args(["install", "--debug"])
        .args(more)
        .env_clear()
        .envs(environment(home))
        .env("CARGO_INSTALL_ROOT", home.join(".cargo"))
        .env("CARGO_TARGET_DIR", target)
        .current_dir(home)
        .output()
        .expect("a program that can be run");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{complaints}");
    said
}

/// Every file below a folder, with its hash.
fn files(folder: &Path) -> BTreeMap<PathBuf, String> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            all.extend(files(&path));
        } else {
            let hash = sha256(fs::read(&path).expect("a file"));
            all.insert(path, hash);
        }
    }
    all
}

/// A profile of the user's own, and a library; both have the names of ours.
const OWN: [(&str, &str); 4] = [
    (
        "profiles/staging.toml",
        "extends = 'local'\n[store]\nplugin = 'memory'\n",
    ),
    ("profiles/mine.toml", "extends = 'staging'\n"),
    ("plugins/libmicro_etcd.so", "an experiment"),
    ("id_ed25519", "a key"),
];

#[tokio::test]
async fn an_installed_server_runs_from_its_home() -> anyhow::Result<()> {
    // A server that has run before has left its keys and its state there, too.
    let builder = ServerBuilder::new("mine");
    let home = builder.home().to_owned();
    let micro = home.join(".micro");
    for (name, text) in &OWN[..3] {
        builder.write(&format!(".micro/{name}"), text);
    }
    let said = install(&home, &[]);
    assert!(said.contains("is not in PATH"), "{said}");
    for (name, text) in &OWN[..3] {
        assert_eq!(fs::read_to_string(micro.join(name))?, *text);
        let line = said.lines().find(|line| line.contains(name));
        let is_told = line.is_some_and(|line| line.contains("left alone"));
        assert_eq!(is_told, *name != "profiles/mine.toml", "{said}");
    }
    let kept: Vec<_> = fs::read_dir(micro.join("profiles"))?.collect();
    assert_eq!(kept.len(), 5, "{kept:?}");

    let sdk = home.join(".cargo/share/micro/sdk");
    for package in ["framework", "plugin-api/conformance"] {
        assert!(sdk.join(package).join("Cargo.toml").is_file(), "{said}");
    }

    // Moved away from what it was built beside: plugins and profiles are the home's, and the
    // user's own profile is the one that counts.
    let builder = builder.installed(home.join(".cargo/bin/micro"));
    let mut server = builder.start().await;
    server.login().await;
    assert_shows(&server.micro(["user"]).await.success(), "admin");
    assert!(server.log().contains(".micro/plugins"), "{}", server.log());
    let profiles = server.micro(["profile", "show", "staging"]).await.success();
    assert!(profiles.contains("memory"), "{profiles}");
    assert!(server.stop().await.success());
    Ok(())
}

#[test]
fn an_upgrade_replaces_what_an_installation_put_there_and_a_prefix_needs_no_home() {
    let folder = tempfile::tempdir().expect("a folder");
    let home = folder.path();
    install(home, &[]);
    let micro = home.join(".micro");
    let first = files(&micro);
    // An older installation's, known by its record.
    let (staging, test) = (
        micro.join("profiles/staging.toml"),
        micro.join("profiles/test.toml"),
    );
    let older = "# of an older micro\n";
    fs::write(&staging, older).expect("a file");
    fs::write(&test, "# edited\n").expect("a file");
    let record = micro.join("installed");
    let mut known = fs::read_to_string(&record).expect("a record");
    known.push_str(&format!("{}  profiles/staging.toml\n", sha256(older)));
    fs::write(&record, known).expect("a file");
    for (name, text) in OWN.iter().filter(|(name, _)| !name.contains("staging")) {
        fs::write(micro.join(name), text).expect("a file");
    }

    install(home, &[]);
    let now = files(&micro);
    for (path, hash) in &first {
        let is_own = *path == test || path.ends_with("libmicro_etcd.so");
        if !is_own && *path != record {
            assert_eq!(now.get(path), Some(hash), "{}", path.display());
        }
    }
    assert_eq!(now[&test], sha256("# edited\n"));
    for (name, text) in OWN.iter().filter(|(name, _)| !name.contains("staging")) {
        let there = fs::read_to_string(micro.join(name)).expect("a file");
        assert_eq!(there, *text, "{name}");
    }

    let before = files(&micro);
    let prefix = home.join("opt");
    install(home, &["--prefix=opt"]);
    for file in [
        "bin/micro",
        "lib/micro/plugins/libmicro_etcd.so",
        "share/micro/profiles/staging.toml",
        "share/micro/sdk/plugin-api/Cargo.toml",
    ] {
        assert!(prefix.join(file).is_file(), "{file}");
    }
    assert!(files(&micro) == before, "the home folder was touched");
    let listed = Command::new(prefix.join("bin/micro"))
        .args(["profile", "list"])
        .env_clear()
        .envs(environment(folder.path()))
        .output()
        .expect("a program that can be run");
    let listed = String::from_utf8_lossy(&listed.stdout);
    assert!(
        listed.contains("opt/share/micro/profiles/staging.toml"),
        "{listed}"
    );
}

fn sha256(content: impl AsRef<[u8]>) -> String {
    hex::encode(Sha256::digest(content))
}
