//! Every refusal, on a real file: one line that names the plugin, the reason and the remedy.
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    fs,
    os::unix::fs::{FileExt, MetadataExt, PermissionsExt},
    path::Path,
    time::Duration,
};

use common::{Place, replace, soon, zoo};
use micro_loader::{LoadError, LoadOptions, Loader};
use micro_plugin_api::{Call, store::Table};
use serde_json::json;

/// Loads what must be refused; the refusal is one line with all of `parts`.
fn refused(place: &Place, path: &Path, options: &LoadOptions, parts: &[&str]) -> LoadError {
    let error = place.loader.load(path, options).unwrap_err();
    one_line(&error, parts);
    error
}

fn one_line(error: &LoadError, parts: &[&str]) {
    let text = error.to_string();
    assert!(!text.contains('\n'), "{text}");
    assert!(text.starts_with("plugin "), "{text}");
    for part in parts {
        assert!(text.contains(part), "no {part:?} in: {text}");
    }
}

fn named() -> LoadOptions {
    LoadOptions::named("bear")
}

#[test]
fn not_found() {
    let place = Place::new();
    let folder = place.folder.path().to_str().unwrap();
    let error = place.loader.find("bear").unwrap_err();
    let parts = [
        "bear",
        "libmicro_bear.so and libbear.so",
        folder,
        "plugins.bear.path",
    ];
    one_line(&error, &parts);
    let missing = place.path("libmicro_bear.so");
    let parts = [
        "bear",
        "libmicro_bear.so",
        "No such file",
        "correct the path",
    ];
    assert!(matches!(
        refused(&place, &missing, &LoadOptions::default(), &parts),
        LoadError::Unreadable { .. }
    ));
}

#[test]
fn not_a_regular_file() {
    let place = Place::new();
    let parts = ["bear", "not a regular file", "name the library itself"];
    refused(&place, place.folder.path(), &named(), &parts);
    let pipe = place.path("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    refused(&place, &pipe, &named(), &parts);
}

#[test]
fn not_a_library() {
    let place = Place::new();
    for (name, bytes) in [
        ("empty", &b""[..]),
        (
            "text",
            b"hello, this is text and no library at all, however long it may be",
        ),
        ("zeros", &[0; 4096]),
    ] {
        let path = place.path(name);
        fs::write(&path, bytes).unwrap();
        let parts = ["bear", "is not a library", "cdylib"];
        assert!(matches!(
            refused(&place, &path, &named(), &parts),
            LoadError::NotLibrary { .. }
        ));
    }
    // A program is ELF too, and may even be position-independent like a library.
    let program = std::env::current_exe().unwrap();
    assert!(Loader::inspect(&program).is_err());
}

#[test]
fn a_library_but_no_plugin() {
    let place = Place::new();
    let path = place.copy("lib.so", |bytes| {
        replace(bytes, ".micro.plugin\0", ".other.plugin\0")
    });
    let parts = ["bear", "no section .micro.plugin", "export_plugin!"];
    refused(&place, &path, &named(), &parts);
    let path = place.copy("lib.so", |bytes| {
        replace(bytes, r#"{"name":"zoo""#, r#"{"name":"zoo|"#)
    });
    let parts = ["bear", "cannot be read", "export_plugin!"];
    refused(&place, &path, &named(), &parts);
    // It says that it is another plugin than the one whose symbol it exports.
    let path = place.copy("lib.so", |bytes| {
        replace(bytes, r#""name":"zoo""#, r#""name":"zap""#)
    });
    let parts = ["bear", "no symbol micro_plugin_1__zap", "export_plugin!"];
    refused(&place, &path, &named(), &parts);
}

#[test]
fn truncated_anywhere() {
    let place = Place::new();
    let whole = fs::read(zoo()).unwrap();
    let path = place.path("lib.so");
    for length in [4, 16, 63, 64, 1000, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        let parts = ["bear", "is truncated", "copy or build it again"];
        assert!(matches!(
            refused(&place, &path, &named(), &parts),
            LoadError::Truncated { .. }
        ));
    }
}

#[test]
fn damaged_headers_are_refused_or_read_but_never_crash() {
    let place = Place::new();
    let path = place.copy("lib.so", |_| {});
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    let header = fs::read(&path).unwrap()[..64].to_vec();
    // Each byte of the file header in turn, at both extremes.
    for at in 0..64 {
        for value in [0, 0x7f, 0xff] {
            file.write_all_at(&[value], at).unwrap();
            if let Err(error) = Loader::inspect(&path) {
                one_line(&error, &[]);
            }
        }
        file.write_all_at(&header[at as usize..][..1], at).unwrap();
    }
    assert!(Loader::inspect(&path).is_ok());
}

#[test]
fn metadata_survives_what_a_release_does_to_a_library() {
    let place = Place::new();
    let path = place.copy("lib.so", |_| {});
    let before = Loader::inspect(&path).unwrap();
    let stripped = std::process::Command::new("strip").arg(&path).status();
    assert!(stripped.is_ok_and(|status| status.success()), "strip");
    assert_eq!(Loader::inspect(&path).unwrap(), before);
    assert!(place.loader.load(&path, &named()).is_ok());
    assert_eq!(before.name, "zoo");
    let modules = ["store", "blob", "stream", "broker", "registry", "runtime"];
    assert_eq!(before.modules, modules);
    assert_eq!(before.license, "Apache-2.0");
}

#[test]
fn a_huge_file() {
    let place = Place::new();
    let path = place.path("lib.so");
    // A hole: it takes no room on the disk.
    fs::File::create(&path).unwrap().set_len(8 << 30).unwrap();
    refused(&place, &path, &named(), &["bear", "8589934592 bytes"]);
}

#[test]
fn another_target_api_panic_strategy_or_compiler() {
    let place = Place::new();
    let target = micro_plugin_api::__abi::TARGET;
    let other: String = target.replace("linux", "minux");
    let rustc = Loader::inspect(zoo()).unwrap().rustc;
    let broken = format!("\"1.98.0\"{:1$}", "", rustc.len() - 6);
    for (from, to, parts) in [
        (
            format!("\"target\":\"{target}\""),
            format!("\"target\":\"{other}\""),
            ["built for ", &*other, "--target"],
        ),
        (
            "\"api\":\"1.0\"".to_owned(),
            "\"api\":\"2.0\"".to_owned(),
            ["version 2.0", "plugin API", "micro-plugin-api"],
        ),
        (
            "\"panic\":\"unwind\"".to_owned(),
            "\"panic\":\"abort\" ".to_owned(),
            ["panic = \"abort\"", "end the server", "panic = \"unwind\""],
        ),
        (
            format!("\"rustc\":\"{rustc}\""),
            format!("\"rustc\":{broken}"),
            ["rustc 1.98.0", "broken function tables", "another version"],
        ),
    ] {
        let path = place.copy("lib.so", |bytes| replace(bytes, &from, &to));
        refused(&place, &path, &named(), &parts);
    }
    // Another machine: e_machine stands at byte 18.
    let path = place.copy("lib.so", |bytes| bytes[18] = 2);
    refused(
        &place,
        &path,
        &named(),
        &["bear", "ELF machine 2", "--target"],
    );
}

#[test]
fn another_hash_than_the_pinned_one() {
    let place = Place::new();
    let path = place.copy("lib.so", |_| {});
    let library = place.loader.load(&path, &named()).unwrap();
    let hash = library.sha256().unwrap().to_owned();
    let wrong = named().with_sha256("0".repeat(64));
    let parts = ["bear", &*hash, "restore the file", "plugins.bear.sha256"];
    refused(&place, &path, &wrong, &parts);
    // Upper case is the same hash.
    let right = named().with_sha256(hash.to_uppercase());
    assert!(place.loader.load(&path, &right).is_ok());
}

#[test]
fn a_file_or_folder_that_others_can_write_to() {
    let place = Place::new();
    let folder = place.path("plugins");
    fs::create_dir(&folder).unwrap();
    let path = place.copy("plugins/lib.so", |_| {});
    let chmod = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    chmod(&folder, 0o755);
    for mode in [0o777, 0o757] {
        chmod(&path, mode);
        let parts = ["bear", "lib.so can be written to by others", "chmod go-w"];
        refused(&place, &path, &named(), &parts);
    }
    // Only root can give a file to a group that it is not in. What a user's own group is, a test
    // beside the check says.
    chmod(&path, 0o775);
    if std::os::unix::fs::chown(&path, None, Some(54_321)).is_ok() {
        let parts = ["bear", "lib.so can be written to by others", "mode 775"];
        refused(&place, &path, &named(), &parts);
    }
    chmod(&path, 0o755);
    chmod(&folder, 0o757);
    let parts = ["bear", "plugins can be written to by others", "chmod go-w"];
    refused(&place, &path, &named(), &parts);
    // Through a link from a good folder into the bad one.
    let link = place.path("link.so");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    refused(&place, &link, &named(), &parts);
    chmod(&folder, 0o755);
    assert!(place.loader.load(&link, &named()).is_ok());
}

#[test]
fn a_copy_that_cannot_be_made() {
    let place = Place::new();
    fs::write(place.path("cache"), "in the way").unwrap();
    let path = place.copy("lib.so", |_| {});
    refused(
        &place,
        &path,
        &named(),
        &["bear", "cannot copy it to", "make room"],
    );
}

#[test]
fn the_copy_is_private_and_made_anew_if_it_is_damaged() {
    let place = Place::new();
    let path = place.copy("lib.so", |_| {});
    let hash = place.loader.load(&path, &named()).unwrap();
    let copy = place.path(&format!("cache/{}.so", hash.sha256().unwrap()));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&copy), 0o500);
    assert_eq!(mode(copy.parent().unwrap()), 0o700);
    // One that is whole is used as it is: there may be no room for another.
    let made = fs::metadata(&copy).unwrap().ino();
    assert!(place.loader.load(&path, &named()).is_ok());
    assert_eq!(fs::metadata(&copy).unwrap().ino(), made);
    // Somebody damaged the copy: the next load does not use it.
    fs::remove_file(&copy).unwrap();
    fs::write(&copy, "damaged").unwrap();
    assert!(place.loader.load(&path, &named()).is_ok());
    assert_eq!(fs::read(&copy).unwrap(), fs::read(&path).unwrap());
}

#[tokio::test]
async fn new_code_at_an_old_path_is_new() {
    let place = Place::new();
    let path = place.copy("lib.so", |_| {});
    let old = place.loader.load(&path, &named()).unwrap();
    let next = place.path("next.so");
    let mut bytes = fs::read(zoo()).unwrap();
    replace(
        &mut bytes,
        "asked to panic in a poll",
        "asked to panic in A POLL",
    );
    fs::write(&next, bytes).unwrap();
    fs::rename(&next, &path).unwrap();
    let new = place.loader.load(&path, &named()).unwrap();
    assert_ne!(old.sha256(), new.sha256());
    for (library, text) in [(old, "panic in a poll"), (new, "panic in A POLL")] {
        let instance = library
            .open("{}", place.host(), Duration::from_secs(20))
            .await
            .unwrap();
        let store = instance.store().unwrap();
        let table = Table::new("d", "t");
        let error = store.read(&Call::new("n"), table, "panic").await;
        let error = error.unwrap_err().message().to_owned();
        assert!(error.contains(text), "{error}");
    }
}

async fn open(place: &Place, settings: serde_json::Value, deadline: Duration) -> LoadError {
    let library = place.library();
    let settings = place.settings(settings);
    soon(library.open(&settings, place.host(), deadline))
        .await
        .unwrap_err()
}

const LONG: Duration = Duration::from_secs(20);

#[tokio::test]
async fn an_unknown_setting_and_one_of_the_wrong_type() {
    let place = Place::new();
    let settings = json!({"colour": "hunter2", "slow_ms": "hunter3"});
    let error = open(&place, settings, LONG).await;
    let parts = [
        "zoo",
        "colour: unknown setting; there are ",
        "slow_ms: must be an integer, not a string",
        "correct its settings",
    ];
    one_line(&error, &parts);
    assert!(
        !format!("{error} {error:?}").contains("hunter"),
        "{error:?}"
    );
    let error = open(&place, json!({"password": 1234567}), LONG).await;
    one_line(
        &error,
        &["zoo", "password: must be a string, not an integer"],
    );
    assert!(!format!("{error} {error:?}").contains("1234567"));
}

#[tokio::test]
async fn settings_are_described() {
    let library = Place::new().library();
    let schema = library.settings_schema();
    assert_eq!(schema["properties"]["password"]["secret"], true);
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["properties"]["slow_ms"]["type"], "integer");
}

#[tokio::test]
async fn an_open_that_fails_or_panics() {
    let place = Place::new();
    let error = open(&place, json!({"open": "fail"}), LONG).await;
    one_line(&error, &["zoo", "the zoo's keeper cannot be reached"]);
    assert!(matches!(error, LoadError::Open { .. }));
    let error = open(&place, json!({"open": "panic"}), LONG).await;
    one_line(&error, &["zoo", "panicked", "asked to panic", "report it"]);
    assert!(matches!(error, LoadError::OpenPanic { .. }));
}

#[tokio::test]
async fn an_open_that_hangs() {
    let place = Place::new();
    let error = open(&place, json!({"open": "hang"}), Duration::from_millis(50)).await;
    one_line(&error, &["zoo", "not open after 0.05 s"]);
    // One that comes late is shut down and dropped.
    for manner in ["slow", "block"] {
        let place = Place::new();
        let settings = json!({"open": manner, "slow_ms": 300});
        let error = open(&place, settings, Duration::from_millis(20)).await;
        assert!(matches!(error, LoadError::OpenTimeout { .. }), "{error}");
        place.expect("dropped inside the runtime").await;
        let lines = [
            "opened for zoo",
            "shutting down",
            "dropped inside the runtime",
        ];
        for line in lines {
            assert!(place.journal().contains(&line.to_owned()), "no {line}");
        }
    }
}

#[tokio::test]
async fn a_shutdown_that_fails_panics_or_hangs() {
    for (manner, deadline, parts) in [
        (
            "fail",
            LONG,
            ["zoo", "did not shut down", "keeper cannot be"],
        ),
        (
            "panic",
            LONG,
            ["zoo", "did not shut down", "asked to panic"],
        ),
        (
            "hang",
            Duration::from_millis(50),
            ["zoo", "did not shut down", "0.05 s"],
        ),
        (
            "block",
            Duration::from_millis(50),
            ["zoo", "did not shut down", "0.05 s"],
        ),
    ] {
        let place = Place::new();
        let instance = place
            .open(json!({"shutdown": manner, "slow_ms": 400}))
            .await;
        let error = soon(instance.shutdown(deadline)).await.unwrap_err();
        let text = error.to_string();
        let late = text.contains("deadline");
        assert!(
            late || parts.iter().all(|part| text.contains(part)),
            "{text}"
        );
        // Whatever became of it, the instance is let go.
        place.expect("dropped inside the runtime").await;
    }
}

#[tokio::test]
async fn a_drop_that_panics_or_blocks() {
    let place = Place::new();
    let instance = place.open(json!({"drop": "panic"})).await;
    soon(instance.shutdown(LONG)).await.unwrap();
    place.expect("dropped inside the runtime").await;
    let place = Place::new();
    let instance = place.open(json!({"drop": "block", "slow_ms": 1000})).await;
    let error = soon(instance.shutdown(Duration::from_millis(50))).await;
    assert!(matches!(error, Err(LoadError::Shutdown { .. })));
}
