//! `cargo xtask install`: the binary where cargo puts its own, the sources that others build against
//! beside it, plugins and profiles below `~/.micro`.

use std::{
    env,
    ffi::OsStr,
    fs,
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use clap::Args;

use crate::{
    cargo::{Build, root},
    plugins::{build_with_server, names},
    sdk,
};

/// Install the binary into cargo's bin folder, plugins and profiles into `~/.micro`.
#[derive(Args)]
pub(crate) struct Install {
    /// Install the debug build: quick, for trying it.
    #[arg(long)]
    debug: bool,
}

impl Install {
    pub(crate) fn run(self) -> Result<()> {
        let build = Build::from_flag(!self.debug);
        let home = home()?;
        let bin = cargo_bin(&home);
        let plugins = names()?;
        build_with_server(build, &plugins)?;

        let program = place(&build.folder().join("micro"), &bin, 0o755)?;
        println!("{}", program.display());
        println!("{}", place_sdk(&bin)?.display());
        let micro = home.join(".micro");
        for plugin in &plugins {
            let library = build.folder().join(format!("libmicro_{plugin}.so"));
            println!(
                "{}",
                place(&library, &micro.join("plugins"), 0o755)?.display()
            );
        }
        for entry in fs::read_dir(root().join("profiles"))? {
            let manifest = entry?.path();
            if manifest.extension() == Some(OsStr::new("toml")) {
                let folder = micro.join("profiles");
                keep_changed(&manifest, &folder)?;
                println!("{}", place(&manifest, &folder, 0o644)?.display());
            }
        }
        if !env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(|one| one == bin)) {
            println!("{} is not in PATH: add it to run `micro`", bin.display());
        }
        Ok(())
    }
}

fn home() -> Result<PathBuf> {
    let home = env::var_os("HOME").filter(|home| !home.is_empty());
    Ok(home
        .context("HOME is not set: plugins and profiles go to its .micro")?
        .into())
}

/// Where `cargo install` would put it.
fn cargo_bin(home: &Path) -> PathBuf {
    let said = |name| env::var_os(name).filter(|value| !value.is_empty());
    said("CARGO_INSTALL_ROOT")
        .or_else(|| said("CARGO_HOME"))
        .map_or_else(|| home.join(".cargo"), PathBuf::from)
        .join("bin")
}

/// Puts a copy of `from` into `folder`, in one step: a server that runs keeps what it has.
fn place(from: &Path, folder: &Path, mode: u32) -> Result<PathBuf> {
    let name = from.file_name().context("a file has a name")?;
    let to = folder.join(name);
    let why = || format!("cannot install {}", to.display());
    // Nobody else may write there: the server refuses plugins that others could replace.
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o755);
    builder.create(folder).with_context(why)?;
    let mut copy = tempfile::NamedTempFile::new_in(folder).with_context(why)?;
    copy.write_all(&fs::read(from).with_context(why)?)
        .with_context(why)?;
    let permissions = fs::Permissions::from_mode(mode);
    copy.as_file()
        .set_permissions(permissions)
        .with_context(why)?;
    copy.persist(&to).with_context(why)?;
    Ok(to)
}

/// Puts the sdk where the program of the folder `bin` looks for it, in place of an older one.
fn place_sdk(bin: &Path) -> Result<PathBuf> {
    let share = bin.with_file_name("share").join("micro");
    let why = || format!("cannot install the sources into {}", share.display());
    fs::create_dir_all(&share).with_context(why)?;
    let scratch = tempfile::tempdir_in(&share).with_context(why)?;
    let (new, old) = (scratch.path().join("new"), scratch.path().join("old"));
    for file in sdk::files()? {
        let to = new.join(&file);
        fs::create_dir_all(to.parent().context("a file lies in a folder")?).with_context(why)?;
        fs::copy(root().join(&file), to).with_context(why)?;
    }
    fs::write(new.join("Cargo.toml"), sdk::workspace()?).with_context(why)?;
    let sdk = share.join("sdk");
    if sdk.exists() {
        fs::rename(&sdk, old).with_context(why)?;
    }
    fs::rename(new, &sdk).with_context(why)?;
    Ok(sdk)
}

/// Somebody may have edited the manifest that an earlier installation put there: it stays, under
/// another name.
fn keep_changed(manifest: &Path, folder: &Path) -> Result<()> {
    let installed = folder.join(manifest.file_name().context("a file has a name")?);
    let Ok(before) = fs::read(&installed) else {
        return Ok(());
    };
    if before == fs::read(manifest)? {
        return Ok(());
    }
    let kept = installed.with_extension("toml.old");
    fs::rename(&installed, &kept)
        .with_context(|| format!("cannot keep {} as {}", installed.display(), kept.display()))?;
    println!(
        "{} differed: kept as {}",
        installed.display(),
        kept.display()
    );
    Ok(())
}
