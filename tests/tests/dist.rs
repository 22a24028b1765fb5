//! What `cargo xtask dist` packs runs where it is unpacked, and builds services and plugins there,
//! without the checkout.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use micro_tests::{Author, ServerBuilder, assert_shows, environment, example, program};

/// Packs the debug build and unpacks it in `folder` as somebody would whose files the group may
/// change; where it was unpacked.
fn install(folder: &Path) -> PathBuf {
    let run = |command: &mut Command| {
        let output = command.output().expect("a program that can be run");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command:?}: {said}");
    };
    let built = program("micro");
    let target = built.ancestors().nth(2).expect("a target folder");
    fs::create_dir_all(folder).expect("a folder can be made");
    run(Command::new(program("xtask"))
        .args(["dist", "--debug", "--output"])
        .arg(folder)
        .env_clear()
        .envs(environment(folder))
        .env("CARGO_TARGET_DIR", target)
        .current_dir(folder));
    let [archive] = &entries(folder)[..] else {
        panic!("one archive, not {:?}", entries(folder));
    };
    run(Command::new("sh")
        .args(["-c", "umask 002; exec tar -xzf \"$0\""])
        .arg(archive)
        .current_dir(folder));
    fs::remove_file(archive).expect("a file can be removed");
    let [prefix] = &entries(folder)[..] else {
        panic!("one folder, not {:?}", entries(folder));
    };
    prefix.clone()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .collect()
}

/// Everything below `folder`.
fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut all = entries(folder);
    let below: Vec<_> = all.iter().filter(|path| path.is_dir()).cloned().collect();
    all.extend(below.iter().flat_map(|folder| walk(folder)));
    all
}

/// Copies a folder out of the checkout.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder can be made");
    for path in entries(from) {
        let copied = to.join(path.file_name().expect("an entry has a name"));
        if path.is_dir() {
            copy(&path, &copied);
        } else {
            fs::copy(path, copied).expect("a file can be copied");
        }
    }
}

#[tokio::test]
async fn the_archive_runs_from_any_folder_and_builds_with_its_own_sdk() {
    // The same place every time: to cargo the sdk's crates elsewhere are other crates, and what is
    // built of them stays in the cache.
    let installed = program("micro").with_file_name("installed here");
    let _ = fs::remove_dir_all(&installed);
    let prefix = install(&installed);
    for path in walk(&prefix) {
        let mode = path.metadata().expect("an entry").permissions().mode();
        assert_eq!(mode & 0o022, 0, "{} may be changed", path.display());
    }

    builds_a_service(&prefix).await;
    builds_plugins(&prefix).await;
    fs::remove_dir_all(&installed).expect("a folder can be removed");
}

async fn builds_a_service(prefix: &Path) {
    let builder = ServerBuilder::new("local").installed(prefix.join("bin/micro"));
    let source = builder.home().join("my sources/helloworld");
    copy(Path::new(&example("helloworld")), &source);
    let mut server = builder.start().await;
    let log = server.log();
    let plugins = prefix.join("lib/micro/plugins");
    assert!(log.contains(&plugins.display().to_string()), "{log}");

    server.login().await;
    // No registry has the framework: it comes from the archive, or the build fails.
    server.run_source([&source]).await.success();
    assert_shows(
        &server.micro(["helloworld", "--name=John"]).await.success(),
        r#"{ "msg": "Hello John" }"#,
    );
    let named = ["--name".as_ref(), "other".as_ref(), source.as_os_str()];
    server.run_source(named).await.success();
    assert_shows(
        &server.micro(["other", "--name=John"]).await.success(),
        r#"{ "msg": "Hello John" }"#,
    );
    assert!(server.stop().await.success());
}

/// Made in an empty folder, plugins pass their suites, and a server keeps its accounts in one of
/// them, registers in another, and runs its services with a third.
async fn builds_plugins(prefix: &Path) {
    let micro = prefix.join("bin/micro");
    let builder = ServerBuilder::new("./mine.toml").installed(&micro);
    let folder = builder.home().join("author");
    let mut manifest = "extends = 'local'\n".to_owned();
    for module in ["store", "registry", "runtime"] {
        let name = format!("my-{module}");
        let author = Author::new(&micro, &folder, module, &name);
        if module == "store" {
            let written = fs::read_to_string(author.source().join("Cargo.toml"));
            let written = written.expect("a manifest");
            let sdk = prefix.join("share/micro/sdk/plugin-api");
            assert!(written.contains(&sdk.display().to_string()), "{written}");
            let tested = author.test();
            let passed = "test it_keeps_its_contract ... ok";
            assert!(tested.contains(passed), "{tested}");
        }
        let library = author.build();
        let tested = author.micro(&micro, &["plugin", "test", &library.display().to_string()]);
        assert!(tested.contains(" 0 failed, "), "{tested}");
        manifest.push_str(&format!(
            "[{module}]\nplugin = '{name}'\n[plugins.{name}]\npath = '{}'\n",
            library.display()
        ));
    }

    builder.write("mine.toml", &manifest);
    let source = builder.home().join("helloworld");
    copy(Path::new(&example("helloworld")), &source);
    let mut server = builder.start().await;
    server.login().await;
    assert_shows(&server.micro(["user"]).await.success(), "admin");
    for module in ["store", "registry", "runtime"] {
        let opened = format!("my-{module}");
        assert!(server.log().contains(&opened), "{}", server.log());
    }
    server.run_source([&source]).await.success();
    assert_shows(
        &server.micro(["helloworld", "--name=John"]).await.success(),
        r#"{ "msg": "Hello John" }"#,
    );
    let listed = server.micro(["services"]).await.success();
    assert!(listed.lines().any(|line| line == "helloworld"), "{listed}");
    server.micro(["kill", "helloworld"]).await.success();
    assert!(server.stop().await.success());
}
