//! A store that somebody outside of this repository wrote carries the whole platform, picked by a
//! manifest of their own: nothing of ours is built again.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use micro_tests::{Author, Server, ServerBuilder, author_plugin, program, tour};
use sha2::{Digest as _, Sha256};

/// A server of the manifest `mine.toml`, which lies in the folder that it is started in, with the
/// author's library beside it in `plugins`.
fn server_of(manifest: &str) -> ServerBuilder {
    let builder = ServerBuilder::new("./mine.toml");
    builder.write("mine.toml", manifest);
    let library = author_plugin(builder.home());
    let plugins = builder.home().join("plugins");
    fs::create_dir(&plugins).expect("a folder can be made");
    fs::rename(library, plugins.join("libshelf.so")).expect("a file can be moved");
    builder
}

/// When the binary, and each library beside it, was written.
fn built() -> BTreeMap<PathBuf, SystemTime> {
    let micro = program("micro");
    let folder = micro.parent().expect("a program lies in a folder");
    let files = fs::read_dir(folder).expect("a target folder can be listed");
    let files = files.map(|entry| entry.expect("an entry").path());
    let libraries = files.filter(|path| path.extension().is_some_and(|end| end == "so"));
    let written = |path: PathBuf| {
        let facts = path.metadata().expect("a file has a time");
        (path, facts.modified().expect("Linux keeps times"))
    };
    libraries.chain([micro.clone()]).map(written).collect()
}

#[tokio::test]
async fn the_tour_on_a_store_from_the_plugin_path() -> anyhow::Result<()> {
    let builder = server_of("extends = 'local'\n[store]\nplugin = 'shelf'\n");
    let plugins = builder.home().join("plugins");
    let before = built();
    assert!(before.len() > 2, "{before:?}");
    let server = builder.env("MICRO_PLUGIN_PATH", plugins).start().await;
    tour(server).await?;
    assert_eq!(built(), before, "nothing is built again");
    Ok(())
}

/// A manifest that names the library itself, and what it must be.
fn pinned(sha256: &str) -> String {
    format!(
        "extends = 'local'\n[store]\nplugin = 'shelf'\n\
         [plugins.shelf]\npath = './plugins/libshelf.so'\nsha256 = '{sha256}'\n"
    )
}

#[tokio::test]
async fn the_manifest_may_name_the_file_and_its_hash() {
    let builder = server_of("");
    let library = fs::read(builder.home().join("plugins/libshelf.so")).expect("a library");
    let sha256 = hex::encode(Sha256::digest(library));

    let wrong = sha256.chars().rev().collect::<String>();
    builder.write("mine.toml", &pinned(&wrong));
    let refused = builder.fail();
    assert_eq!(refused.code, Some(1), "{refused:?}");
    // Other plugins are loaded meanwhile, and the log says so.
    let line = refused.stderr.lines().last().expect("a line");
    for part in ["mine.toml:3: store: plugin shelf: ", &sha256, &wrong] {
        assert!(line.contains(part), "{line}");
    }

    builder.write("mine.toml", &pinned(&sha256));
    let mut server: Server = builder.start().await;
    // Its store has the accounts.
    server.login().await;
    assert!(server.stop().await.success());
}

/// What the guide shows, pasted as it stands there: the lines of a manifest, and the code.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_plugin_of_the_guide_keeps_its_contract() {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/plugins.md");
    let guide = fs::read_to_string(guide).expect("the guide");
    let shown = |language: &str| {
        let (_, rest) = guide
            .split_once(&format!("\n```{language}\n"))
            .expect("a block");
        rest.split_once("```\n").expect("its end").0
    };
    let folder = tempfile::tempdir().expect("a folder");
    let micro = program("micro");
    let author = Author::new(&micro, folder.path(), "broker", "relay");
    let manifest = author.source().join("Cargo.toml");
    let text = fs::read_to_string(&manifest).expect("a manifest");
    let heading = "[dependencies]\n";
    let text = text.replacen(heading, &format!("{heading}{}", shown("toml")), 1);
    fs::write(manifest, text).expect("a file can be written");
    fs::write(author.source().join("src/lib.rs"), shown("rust")).expect("a file can be written");
    let library = author.build().display().to_string();

    let relay = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let relay = relay.expect("a free port");
    let settings = format!("relay = '{}'\n", relay.local_addr().expect("an address"));
    fs::write(folder.path().join("settings.toml"), settings).expect("a file can be written");
    tokio::spawn(async move { while relay.accept().await.is_ok() {} });
    let args = ["plugin", "test", &library, "--settings=settings.toml"];
    let tested = author.micro(&micro, &args);
    assert!(tested.contains(" 0 failed, "), "{tested}");
}
