//! `cargo xtask install`: the binary where cargo puts its own, the sources that others build against
//! beside it, plugins and profiles below `~/.micro`, where nothing of the user's is replaced.

mod record;

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

use self::record::{Placed, Record};
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

    /// Install everything below this folder, and nothing into the home folder: `bin`,
    /// `lib/micro/plugins`, `share/micro`.
    #[arg(long)]
    prefix: Option<PathBuf>,
}

/// Where the parts go.
struct Layout {
    bin: PathBuf,
    record: Record,
    /// Below the folder of the record.
    plugins: &'static str,
    profiles: &'static str,
}

impl Layout {
    fn of_prefix(prefix: &Path) -> Result<Self> {
        let prefix = std::path::absolute(prefix)?;
        Ok(Self {
            bin: prefix.join("bin"),
            record: Record::read(&prefix, "share/micro/installed")?,
            plugins: "lib/micro/plugins",
            profiles: "share/micro/profiles",
        })
    }

    fn of_user() -> Result<Self> {
        let home = home()?;
        Ok(Self {
            bin: cargo_bin(&home),
            record: Record::read(&home.join(".micro"), "installed")?,
            plugins: "plugins",
            profiles: "profiles",
        })
    }
}

impl Install {
    pub(crate) fn run(self) -> Result<()> {
        let build = Build::from_flag(!self.debug);
        let Layout {
            bin,
            mut record,
            plugins: to_plugins,
            profiles: to_profiles,
        } = match &self.prefix {
            Some(prefix) => Layout::of_prefix(prefix)?,
            None => Layout::of_user()?,
        };
        let plugins = names()?;
        build_with_server(build, &plugins)?;

        let program = place(&build.folder().join("micro"), &bin, 0o755)?;
        println!("{}", program.display());
        println!("{}", place_sdk(&bin)?.display());
        for plugin in &plugins {
            let library = build.folder().join(format!("libmicro_{plugin}.so"));
            tell(&record.place(&library, to_plugins, 0o755)?);
        }
        for manifest in profiles()? {
            tell(&record.place(&manifest, to_profiles, 0o644)?);
        }
        record.finish()?;
        if !env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(|one| one == bin)) {
            println!("{} is not in PATH: add it to run `micro`", bin.display());
        }
        Ok(())
    }
}

fn tell(placed: &Placed) {
    match placed {
        Placed::Installed(path) => println!("{}", path.display()),
        Placed::LeftAlone(path) => println!(
            "{} is not from an installation, or was changed since: left alone, and used in place of ours",
            path.display()
        ),
    }
}

/// The manifests that ship, in the order of their names.
fn profiles() -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(root().join("profiles"))?;
    let mut paths = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?;
    paths.retain(|path| path.extension() == Some(OsStr::new("toml")));
    paths.sort();
    Ok(paths)
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
