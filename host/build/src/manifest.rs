//! `micro.toml`: how an author says how to build, run and check a service that is in no language
//! the server knows.

use std::{fs, io, path::Path};

use serde::Deserialize;

use crate::BuildError;

const FILE: &str = "micro.toml";

/// The commands that a source names. All are optional.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) build: Option<Vec<String>>,
    pub(crate) run: Option<Vec<String>>,
    pub(crate) health: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    build: Option<Command>,
    run: Option<Command>,
    health: Option<Command>,
}

/// A line for the shell, or a program and its arguments.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "a line for the shell, or a list of a program and its arguments"
)]
enum Command {
    Line(String),
    Words(Vec<String>),
}

impl Manifest {
    /// The manifest of `source`, if it has one.
    pub(crate) fn read(source: &Path) -> Result<Option<Self>, BuildError> {
        match fs::read_to_string(source.join(FILE)) {
            Ok(text) => Self::parse(&text).map(Some).map_err(|reason| {
                let file = FILE.to_owned();
                BuildError::Manifest { file, reason }
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(BuildError::io("cannot read", FILE, error)),
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
        Ok(Self {
            build: words("build", file.build)?,
            run: words("run", file.run)?,
            health: words("health", file.health)?,
        })
    }
}

fn words(key: &str, command: Option<Command>) -> Result<Option<Vec<String>>, String> {
    let words = match command {
        None => return Ok(None),
        Some(Command::Line(line)) if line.trim().is_empty() => Vec::new(),
        Some(Command::Line(line)) => vec!["sh".to_owned(), "-c".to_owned(), line],
        Some(Command::Words(words)) => words,
    };
    match words.first() {
        Some(program) if !program.is_empty() => Ok(Some(words)),
        _ => Err(format!(
            "`{key}` names no command; write one, or leave the key out"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_lines_and_lists() {
        let text = "build = 'make all'\nrun = ['./server', '--fast']\n";
        let manifest = Manifest::parse(text).unwrap();
        assert_eq!(manifest.build.unwrap(), ["sh", "-c", "make all"]);
        assert_eq!(manifest.run.unwrap(), ["./server", "--fast"]);
        assert_eq!(manifest.health, None);
        assert_eq!(Manifest::parse("").unwrap(), Manifest::default());
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for (text, expected) in [
            ("run = './x'\nstart = 'y'", "unknown field `start`"),
            ("run = 5", "a line for the shell"),
            ("run = ''", "`run` names no command"),
            ("health = []", "`health` names no command"),
            ("run = ", "line 1"),
        ] {
            let error = Manifest::parse(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
