//! What the manifests of a Rust source point to. All of it must be part of the source: only the
//! folder was uploaded.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Component, Path, PathBuf},
};

use toml::{Table, Value};

use crate::BuildError;

const DEPENDENCIES: &[&str] = &["dependencies", "dev-dependencies", "build-dependencies"];

/// What the manifests of a source say.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// Every package that some manifest depends on.
    pub(crate) dependencies: BTreeSet<String>,
    /// Whether the manifest at the top belongs to a workspace of its own making.
    pub(crate) is_workspace: bool,
}

/// Reads the manifest of `source` and those that it leads to.
pub(crate) fn check(source: &Path) -> Result<Facts, BuildError> {
    let mut walk = Walk {
        source,
        seen: BTreeSet::new(),
        waiting: vec![PathBuf::new()],
        facts: Facts::default(),
    };
    while let Some(folder) = walk.waiting.pop() {
        if walk.seen.insert(folder.clone()) {
            walk.manifest(&folder)?;
        }
    }
    Ok(walk.facts)
}

struct Walk<'a> {
    source: &'a Path,
    /// Folders relative to the source, `..` resolved.
    seen: BTreeSet<PathBuf>,
    waiting: Vec<PathBuf>,
    facts: Facts,
}

impl Walk<'_> {
    fn manifest(&mut self, folder: &Path) -> Result<(), BuildError> {
        let relative = folder.join("Cargo.toml");
        let file = relative.display().to_string();
        let text = match fs::read_to_string(self.source.join(&relative)) {
            Ok(text) => text,
            // Cargo says better than we could what is missing.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(BuildError::io("cannot read", relative, error)),
        };
        let table: Table = toml::from_str(&text).map_err(|error| BuildError::Manifest {
            file: file.clone(),
            reason: error.to_string(),
        })?;
        let manifest = Manifest { file, folder };
        if folder.as_os_str().is_empty() {
            let joins = table
                .get("package")
                .and_then(|package| package.get("workspace"));
            self.facts.is_workspace = table.contains_key("workspace") || joins.is_some();
        }
        self.targets(&manifest, &table)?;
        self.dependencies(&manifest, &table)?;
        for target in tables(&table, "target") {
            self.dependencies(&manifest, target)?;
        }
        for patch in tables(&table, "patch") {
            self.entries(&manifest, "patch", patch)?;
        }
        if let Some(replace) = table.get("replace").and_then(Value::as_table) {
            self.entries(&manifest, "replacement", replace)?;
        }
        if let Some(workspace) = table.get("workspace").and_then(Value::as_table) {
            self.dependencies(&manifest, workspace)?;
            self.members(&manifest, workspace)?;
        } else {
            self.inheritance(&manifest, &table)?;
        }
        Ok(())
    }

    fn dependencies(&mut self, manifest: &Manifest<'_>, table: &Table) -> Result<(), BuildError> {
        for section in DEPENDENCIES {
            if let Some(entries) = table.get(*section).and_then(Value::as_table) {
                for (name, entry) in entries {
                    let package = entry.get("package").and_then(Value::as_str);
                    self.facts
                        .dependencies
                        .insert(package.unwrap_or(name).to_owned());
                }
                self.entries(manifest, "dependency", entries)?;
            }
        }
        Ok(())
    }

    /// Follows the `path` of each entry.
    fn entries(
        &mut self,
        manifest: &Manifest<'_>,
        kind: &str,
        entries: &Table,
    ) -> Result<(), BuildError> {
        for (name, entry) in entries {
            if let Some(path) = entry.get("path").and_then(Value::as_str) {
                let folder = self.inside(manifest, &format!("{kind} `{name}`"), path)?;
                self.waiting.push(folder);
            }
        }
        Ok(())
    }

    /// The files that cargo would compile.
    fn targets(&self, manifest: &Manifest<'_>, table: &Table) -> Result<(), BuildError> {
        let package = table.get("package").and_then(Value::as_table);
        for (key, what) in [
            ("build", "the build script"),
            ("workspace", "the workspace"),
        ] {
            if let Some(path) = package.and_then(|package| package.get(key)?.as_str()) {
                self.inside(manifest, what, path)?;
            }
        }
        for kind in ["lib", "bin", "example", "test", "bench"] {
            let targets = match table.get(kind) {
                Some(Value::Array(targets)) => targets.as_slice(),
                Some(target) => std::slice::from_ref(target),
                None => &[],
            };
            for path in targets
                .iter()
                .filter_map(|target| target.get("path")?.as_str())
            {
                self.inside(manifest, &format!("a source file of [{kind}]"), path)?;
            }
        }
        Ok(())
    }

    fn members(&mut self, manifest: &Manifest<'_>, workspace: &Table) -> Result<(), BuildError> {
        let members = workspace.get("members").and_then(Value::as_array);
        for member in members.into_iter().flatten().filter_map(Value::as_str) {
            let what = format!("workspace member `{member}`");
            if let Some(parent) = member.strip_suffix("/*").or((member == "*").then_some("")) {
                let folder = self.inside(manifest, &what, parent)?;
                let entries = fs::read_dir(self.source.join(&folder))
                    .into_iter()
                    .flatten();
                let folders = entries
                    .flatten()
                    .map(|entry| folder.join(entry.file_name()));
                self.waiting.extend(folders);
            } else {
                let folder = self.inside(manifest, &what, member)?;
                self.waiting.push(folder);
            }
        }
        Ok(())
    }

    /// Refuses `….workspace = true` where no workspace was uploaded.
    fn inheritance(&self, manifest: &Manifest<'_>, table: &Table) -> Result<(), BuildError> {
        let inherits =
            |entry: &Value| entry.get("workspace").and_then(Value::as_bool) == Some(true);
        let package = tables_of(table, "package");
        let sections = DEPENDENCIES
            .iter()
            .flat_map(|section| tables_of(table, section));
        let Some((key, _)) = package.chain(sections).find(|(_, entry)| inherits(entry)) else {
            return Ok(());
        };
        let is_root = |folder: &Path| {
            let text = fs::read_to_string(self.source.join(folder).join("Cargo.toml"));
            let table = text
                .ok()
                .and_then(|text| toml::from_str::<Table>(&text).ok());
            table.is_some_and(|table| table.contains_key("workspace"))
        };
        if manifest.folder.ancestors().skip(1).any(is_root) {
            return Ok(());
        }
        Err(BuildError::Manifest {
            file: manifest.file.clone(),
            reason: format!(
                "`{key}.workspace = true` inherits from a workspace outside the uploaded folder; write the value here, or run the folder of the workspace"
            ),
        })
    }

    /// The folder or file that `path` names, relative to the source.
    fn inside(
        &self,
        manifest: &Manifest<'_>,
        what: &str,
        path: &str,
    ) -> Result<PathBuf, BuildError> {
        let mut resolved = PathBuf::new();
        let escapes = manifest
            .folder
            .join(path)
            .components()
            .any(|part| match part {
                Component::Normal(part) => {
                    resolved.push(part);
                    false
                }
                Component::ParentDir => !resolved.pop(),
                Component::CurDir => false,
                Component::RootDir | Component::Prefix(_) => true,
            });
        if escapes {
            return Err(BuildError::Outside {
                file: manifest.file.clone(),
                what: what.to_owned(),
                path: path.to_owned(),
            });
        }
        Ok(resolved)
    }
}

struct Manifest<'a> {
    file: String,
    folder: &'a Path,
}

/// The tables below `key`.
fn tables<'a>(table: &'a Table, key: &str) -> impl Iterator<Item = &'a Table> {
    tables_of(table, key).filter_map(|(_, value)| value.as_table())
}

fn tables_of<'a>(table: &'a Table, key: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    table
        .get(key)
        .and_then(Value::as_table)
        .into_iter()
        .flatten()
}
