//! `micro X` with an executable `micro-X` on `$PATH` runs that.

use std::{
    os::unix::{fs::PermissionsExt as _, process::ExitStatusExt as _},
    path::{Path, PathBuf},
    process,
};

use crate::{
    env::Environment,
    error::{CliError, Result},
};

/// Runs `micro-X` for the words `X …`, attached to this terminal. None if there is no such executable.
///
/// # Errors
/// It cannot be started.
pub(crate) fn run(environment: &Environment, words: &[String]) -> Result<Option<u8>> {
    let Some((name, args)) = words.split_first() else {
        return Ok(None);
    };
    let Some(program) = find(environment, name) else {
        return Ok(None);
    };
    let status = process::Command::new(&program)
        .args(args)
        .status()
        .map_err(|error| CliError::file("run", &program, &error))?;
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .unwrap_or(1);
    Ok(Some(u8::try_from(code).unwrap_or(u8::MAX)))
}

fn find(environment: &Environment, name: &str) -> Option<PathBuf> {
    if name.is_empty() || name.contains('/') {
        return None;
    }
    let file = format!("micro-{name}");
    std::env::split_paths(environment.get("PATH")?)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(&file))
        .find(|path| is_executable(path))
}

fn is_executable(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}
