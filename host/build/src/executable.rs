//! An executable file or script as it is: which of the files of a folder is the service.

use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use crate::BuildError;

/// A file of this name is taken before any other.
const PREFERRED: &str = "run";

/// The command that runs the executable file of `source`: the one called `run`, else the one
/// called as the service, else the only one. Only the top of the folder is looked at.
pub(crate) fn find(source: &Path, service: &str) -> Result<Vec<String>, BuildError> {
    let read = |error| BuildError::io("cannot read", source, error);
    let mut executable = Vec::new();
    let mut files = Vec::new();
    for entry in fs::read_dir(source).map_err(read)? {
        let entry = entry.map_err(read)?;
        let Ok(name) = entry.file_name().into_string() else {
            continue; // a command is text
        };
        let meta = fs::metadata(entry.path()).map_err(read)?;
        if !meta.is_file() {
            continue;
        }
        if is_program(&entry.path()).map_err(read)? {
            if meta.permissions().mode() & 0o111 == 0 {
                files.push(name);
                continue;
            }
            executable.push(name);
        }
    }
    executable.sort();
    let chosen = [PREFERRED, service]
        .into_iter()
        .find(|name| executable.iter().any(|found| found == name))
        .map(str::to_owned);
    match (chosen, executable.as_slice(), files.as_slice()) {
        (Some(name), _, _) => Ok(command(&name)),
        (None, [name], _) => Ok(command(name)),
        (None, [], [name]) => Err(BuildError::NotExecutable { name: name.clone() }),
        (None, [], _) => Err(BuildError::NothingToRun),
        (None, _, _) => Err(BuildError::SeveralExecutables { names: executable }),
    }
}

fn command(name: &str) -> Vec<String> {
    // With a `/`, so that it is not looked up in PATH.
    vec![format!("./{name}")]
}

/// Whether a file begins as a program of this system or a script does. Its mode alone says little:
/// some file systems call everything executable.
fn is_program(path: &Path) -> io::Result<bool> {
    let mut start = Vec::new();
    File::open(path)?.take(4).read_to_end(&mut start)?;
    Ok(start.starts_with(b"#!") || start.starts_with(b"\x7fELF"))
}
