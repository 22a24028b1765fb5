//! What `cargo xtask install` puts below a home folder is a server that needs nothing else.

use std::{fs, process::Command};

use micro_tests::{ServerBuilder, assert_shows, environment, program};

#[tokio::test]
async fn an_installed_server_runs_from_its_home() -> anyhow::Result<()> {
    let builder = ServerBuilder::new("local");
    let home = builder.home().to_owned();
    let target = program("micro").ancestors().nth(2).map(ToOwned::to_owned);
    let profiles = home.join(".micro/profiles");
    fs::create_dir_all(&profiles)?;
    fs::write(profiles.join("test.toml"), "# somebody's own\n")?;

    let output = Command::new(program("xtask"))
        .args(["install", "--debug"])
        .env_clear()
        .envs(environment(&home))
        .env("CARGO_INSTALL_ROOT", home.join(".cargo"))
        .env("CARGO_TARGET_DIR", target.expect("a target folder"))
        .current_dir(&home)
        .output()?;
    let said = String::from_utf8(output.stdout)?;
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{complaints}");
    assert!(said.contains("is not in PATH"), "{said}");
    let kept = fs::read_to_string(profiles.join("test.toml.old"))?;
    assert_eq!(kept, "# somebody's own\n");
    assert!(said.contains("test.toml.old"), "{said}");

    let sdk = home.join(".cargo/share/micro/sdk");
    for package in ["framework", "plugin-api/conformance"] {
        assert!(sdk.join(package).join("Cargo.toml").is_file(), "{said}");
    }

    // Moved away from what it was built beside: plugins and profiles are the home's.
    let micro = home.join(".cargo/bin/micro");
    let mut server = builder.installed(micro).start().await;
    server.login().await;
    assert_shows(&server.micro(["user"]).await.success(), "admin");
    assert!(server.log().contains(".micro/plugins"), "{}", server.log());
    assert!(server.stop().await.success());
    Ok(())
}
