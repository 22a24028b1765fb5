//! A store that somebody outside of this repository wrote carries the whole platform, picked by a
//! manifest of their own: nothing of ours is built again.

use std::{collections::BTreeMap, fs, path::PathBuf, time::SystemTime};

use micro_tests::{Server, ServerBuilder, author_plugin, program, tour};
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
