//! `cargo xtask dist`: one archive that runs from any folder.
//!
//! `bin/micro`, `lib/micro/plugins/*.so`, `share/micro/profiles/*.toml` and `share/micro/sdk`, the
//! sources that services and plugins are built against.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result};
use clap::Args;
use flate2::{Compression, write::GzEncoder};

use crate::{
    cargo::{Build, cargo, output, root},
    plugins::{build_with_server, names},
    sdk,
};

/// Pack what a user installs into one archive.
#[derive(Args)]
pub(crate) struct Dist {
    /// The folder to put the archive in; `dist` in the checkout by default.
    #[arg(long)]
    output: Option<PathBuf>,

    /// Pack the debug build: quick, for trying the archive itself.
    #[arg(long)]
    debug: bool,
}

impl Dist {
    pub(crate) fn run(self) -> Result<()> {
        let build = Build::from_flag(!self.debug);
        let plugins = names()?;
        build_with_server(build, &plugins)?;

        let name = format!("micro-{}-{}", version()?, host()?);
        let folder = self.output.unwrap_or_else(|| root().join("dist"));
        fs::create_dir_all(&folder)?;
        let path = folder.join(format!("{name}.tar.gz"));
        let compression = match build {
            Build::Debug => Compression::fast(),
            Build::Release => Compression::best(),
        };
        let mut archive = Archive::create(&path, &name, compression)?;
        archive.file(&build.folder().join("micro"), "bin/micro")?;
        for plugin in &plugins {
            let library = format!("libmicro_{plugin}.so");
            archive.file(
                &build.folder().join(&library),
                &format!("lib/micro/plugins/{library}"),
            )?;
        }
        for file in sdk::tracked(&["profiles"])? {
            archive.file(&root().join(&file), &format!("share/micro/{file}"))?;
        }
        for file in sdk::files()? {
            archive.file(&root().join(&file), &format!("share/micro/sdk/{file}"))?;
        }
        archive.text(&sdk::workspace()?, "share/micro/sdk/Cargo.toml")?;
        archive.file(&root().join("LICENSE"), "LICENSE")?;
        archive.finish()?;
        println!("{}", path.display());
        Ok(())
    }
}

fn version() -> Result<String> {
    let id = output(&mut cargo(["pkgid", "--package", "micro"]))?;
    let (_, version) = id
        .trim()
        .rsplit_once(['#', '@'])
        .context("cargo pkgid gave no version")?;
    Ok(version.to_owned())
}

/// The triple that this machine builds for.
fn host() -> Result<String> {
    let mut rustc = std::process::Command::new("rustc");
    let text = output(rustc.arg("-vV"))?;
    text.lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .context("rustc -vV names no host")
}

/// A gzipped tar whose entries all stand below one folder.
///
/// It says of each folder and file who may change it, since a server loads no library that others
/// could replace: what an archive does not say depends on whoever unpacks it.
struct Archive {
    tar: tar::Builder<GzEncoder<File>>,
    top: String,
    folders: BTreeSet<PathBuf>,
}

impl Archive {
    fn create(path: &Path, top: &str, compression: Compression) -> Result<Self> {
        let file =
            File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self {
            tar: tar::Builder::new(GzEncoder::new(file, compression)),
            top: top.to_owned(),
            folders: BTreeSet::new(),
        })
    }

    fn file(&mut self, from: &Path, to: &str) -> Result<()> {
        let pack = || format!("cannot pack {}", from.display());
        let mut file = File::open(from).with_context(pack)?;
        let facts = file.metadata().with_context(pack)?;
        let executable = facts.permissions().mode() & 0o100 != 0;
        let mode = if executable { 0o755 } else { 0o644 };
        let modified = facts.modified().with_context(pack)?;
        let mut header = header(facts.len(), mode, modified);
        self.entry(&mut header, to, &mut file)
    }

    fn text(&mut self, text: &str, to: &str) -> Result<()> {
        let mut header = header(text.len() as u64, 0o644, SystemTime::now());
        self.entry(&mut header, to, &mut text.as_bytes())
    }

    fn entry(
        &mut self,
        header: &mut tar::Header,
        to: &str,
        content: &mut dyn io::Read,
    ) -> Result<()> {
        let path = Path::new(&self.top).join(to);
        let mut above: Vec<_> = path.ancestors().skip(1).collect();
        above.retain(|folder| !folder.as_os_str().is_empty());
        for folder in above.into_iter().rev() {
            if self.folders.insert(folder.to_owned()) {
                let mut header = self::header(0, 0o755, SystemTime::now());
                header.set_entry_type(tar::EntryType::Directory);
                self.tar.append_data(&mut header, folder, io::empty())?;
            }
        }
        self.tar
            .append_data(header, &path, content)
            .with_context(|| format!("cannot pack {to}"))
    }

    fn finish(self) -> Result<()> {
        self.tar.into_inner()?.finish()?.sync_all()?;
        Ok(())
    }
}

/// The header of an entry that belongs to root. The time is kept: cargo tells by it whether a
/// source has changed since it was last built.
fn header(size: u64, mode: u32, modified: SystemTime) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(mode);
    let since = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
    header.set_mtime(since.as_secs());
    header
}
