//! A user without a server: a home folder, and the command line in it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use micro_tests::{Ran, environment, program};
use serde_json::Value;
use tempfile::TempDir;

/// A home folder.
pub(crate) struct Home(TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file below it.
    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        let folder = path.parent().expect("below the home folder");
        fs::create_dir_all(folder).expect("a folder can be made");
        fs::write(&path, text).expect("a file can be written");
        path
    }

    /// Runs a command line.
    pub(crate) fn micro(&self, args: &[&str]) -> Ran {
        self.micro_with(args, &[])
    }

    /// Runs a command line with these variables.
    pub(crate) fn micro_with(&self, args: &[&str], variables: &[(&str, &str)]) -> Ran {
        let output = Command::new(program("micro"))
            .args(args)
            .env_clear()
            .envs(environment(self.path()))
            .envs(variables.iter().copied())
            .current_dir(self.path())
            .stdin(Stdio::null())
            .output()
            .expect("a program that can be run");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ran {
            code: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    /// What a command line prints as JSON, however it ends.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let args: Vec<_> = args.iter().copied().chain(["--output=json"]).collect();
        let ran = self.micro(&args);
        serde_json::from_str(&ran.stdout)
            .unwrap_or_else(|error| panic!("{args:?}: {error}: {ran:?}"))
    }

    /// What a command line that fails with 1 complains of.
    #[track_caller]
    pub(crate) fn fails(&self, args: &[&str]) -> String {
        let ran = self.micro(args);
        assert_eq!(ran.code, Some(1), "{args:?}: {ran:?}");
        ran.stderr
    }
}
