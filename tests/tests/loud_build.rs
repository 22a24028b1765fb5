//! A build that prints more than anybody can read does not cost its author the reason.

use std::{fs, os::unix::fs::PermissionsExt as _};

use micro_tests::{ServerBuilder, profile};

#[tokio::test]
async fn a_loud_build_ends_with_its_reason() {
    let builder = ServerBuilder::new(&profile());
    builder.write(
        "loud/micro.toml",
        "build = 'seq 1 100000; echo the last words; exit 3'\nrun = './run'\n",
    );
    let run = builder.write("loud/run", "#!/bin/sh\nexec sleep 60\n");
    fs::set_permissions(&run, fs::Permissions::from_mode(0o755)).unwrap();
    let folder = run.parent().unwrap().display().to_string();
    let mut server = builder.start().await;
    server.login().await;
    let ran = server.micro(["run".to_owned(), folder]).await;
    assert_ne!(ran.code, Some(0));
    for words in ["the last words", "exit status 3"] {
        let end = &ran.stderr[ran.stderr.len().saturating_sub(300)..];
        assert!(ran.stderr.contains(words), "{words:?} is missing: …{end}");
    }
    assert!(server.stop().await.success());
}
