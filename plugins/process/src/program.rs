//! From a command of a `Spec` to the file that will be executed, with an error that names what is
//! wrong with it.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Component, Path, PathBuf},
};

use micro_plugin_api::{Error, Result};

/// The absolute path of the program `name`: looked up in the `PATH` of `env` if it has no `/`,
/// else below `folder` unless it is absolute.
pub(crate) fn resolve(
    name: &str,
    folder: &Path,
    env: &BTreeMap<String, String>,
) -> Result<PathBuf> {
    if name.is_empty() || name.contains('\0') {
        return Err(Error::invalid("the command to run is empty"));
    }
    if !name.contains('/') {
        return in_path(name, env.get("PATH").map_or("", String::as_str));
    }
    if !Path::new(name).is_absolute() && escapes(Path::new(name)) {
        return Err(Error::invalid(format!(
            "the program {name} lies outside the folder of the service; name one inside it"
        )));
    }
    let path = folder.join(name);
    match fs::metadata(&path) {
        Ok(meta) if meta.is_dir() => Err(Error::invalid(format!(
            "the program {name} is a folder, not a file"
        ))),
        Ok(meta) if !is_executable(&meta) => Err(Error::invalid(format!(
            "the program {name} is not executable; set its mode with chmod +x"
        ))),
        Ok(_) => Ok(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::invalid(format!(
            "there is no program {name} in the folder of the service"
        ))),
        Err(error) => Err(Error::invalid(format!(
            "the program {name} cannot be looked at: {error}"
        ))),
    }
}

/// The name of a variable that no environment can hold, if there is one.
pub(crate) fn bad_variable(env: &BTreeMap<String, String>) -> Option<&str> {
    let is_bad = |(name, value): &(&String, &String)| {
        name.is_empty() || name.contains(['=', '\0']) || value.contains('\0')
    };
    env.iter().find(is_bad).map(|(name, _)| name.as_str())
}

/// What to say when the system refused to execute `name`.
pub(crate) fn spawn_error(name: &str, error: &io::Error) -> Error {
    match error.raw_os_error() {
        Some(code) if code == nix::errno::Errno::ENOEXEC as i32 => Error::invalid(format!(
            "{name} is neither a program for this machine nor a script that begins with #!"
        )),
        Some(code) if code == nix::errno::Errno::E2BIG as i32 => Error::invalid(format!(
            "the arguments and environment of {name} are too large for this system"
        )),
        _ if error.kind() == io::ErrorKind::NotFound => Error::invalid(format!(
            "{name} cannot be started: the interpreter that its first line names does not exist"
        )),
        _ if error.kind() == io::ErrorKind::PermissionDenied => Error::invalid(format!(
            "{name} cannot be started: this server may not execute it"
        )),
        _ => Error::unavailable(format!("{name} cannot be started: {error}")),
    }
}

fn in_path(name: &str, path: &str) -> Result<PathBuf> {
    let mut not_executable = false;
    for folder in path.split(':').filter(|folder| folder.starts_with('/')) {
        let candidate = Path::new(folder).join(name);
        match fs::metadata(&candidate) {
            Ok(meta) if meta.is_file() && is_executable(&meta) => return Ok(candidate),
            Ok(meta) if meta.is_file() => not_executable = true,
            _ => {}
        }
    }
    Err(Error::invalid(if not_executable {
        format!("the program {name} that is in PATH is not executable")
    } else {
        format!("there is no program {name} in PATH; install it, or name it by its path")
    }))
}

fn is_executable(meta: &fs::Metadata) -> bool {
    meta.permissions().mode() & 0o111 != 0
}

/// Whether a relative path steps out of where it starts. Links are not followed: a build may well
/// have put a link to a system's interpreter into the folder.
fn escapes(path: &Path) -> bool {
    let mut depth = 0_i32;
    for part in path.components() {
        match part {
            Component::ParentDir => depth -= 1,
            Component::Normal(_) => depth += 1,
            _ => {}
        }
        if depth < 0 {
            return true;
        }
    }
    false
}
