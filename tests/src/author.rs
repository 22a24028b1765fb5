//! A plugin as somebody outside of this repository would make and build it.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{environment, program};

/// How long a store may be that somebody begins with, in lines that are neither empty nor its test.
const LINES: usize = 60;

/// The crate of an author, as `micro new --plugin` made it, in a folder that has nothing to do with
/// the checkout.
pub struct Author {
    folder: PathBuf,
    name: String,
}

impl Author {
    /// Makes the crate `name` with a plugin for `module` in `folder`, with the program `micro` and
    /// the sources that are beside it.
    ///
    /// # Panics
    /// If the program refuses.
    pub fn new(micro: &Path, folder: &Path, module: &str, name: &str) -> Self {
        Self::against(None, micro, folder, module, name)
    }

    /// [`Self::new`] with the sources of `sdk`, if it is said.
    ///
    /// # Panics
    /// If the program refuses.
    pub fn against(
        sdk: Option<&Path>,
        micro: &Path,
        folder: &Path,
        module: &str,
        name: &str,
    ) -> Self {
        fs::create_dir_all(folder).expect("the author's folder can be made");
        let author = Self {
            folder: folder.to_owned(),
            name: name.to_owned(),
        };
        let mut args = vec!["new", "--plugin", module];
        let sdk = sdk.map(|sdk| format!("--sdk_path={}", sdk.display()));
        args.extend(sdk.as_deref());
        args.push(name);
        author.run(micro, folder, &args);
        author
    }

    /// The folder of the crate.
    pub fn source(&self) -> PathBuf {
        self.folder.join(&self.name)
    }

    /// Runs the crate's own tests.
    ///
    /// # Panics
    /// If one fails.
    pub fn test(&self) -> String {
        let _alone = self.alone();
        self.cargo(&["test"])
    }

    /// Builds the library; a copy of it, `libNAME.so` in the author's folder.
    ///
    /// # Panics
    /// If it does not compile.
    pub fn build(&self) -> PathBuf {
        let _alone = self.alone();
        self.cargo(&["build"]);
        let file = format!("lib{}.so", self.name.replace('-', "_"));
        let library = self.folder.join(&file);
        let built = target().join("debug").join(file);
        fs::copy(built, &library).expect("the library can be copied");
        // This folder's crate is another one to cargo than that of the last run.
        self.cargo(&["clean", "--package", &self.name]);
        library
    }

    /// Runs a command line in the author's folder; what it prints.
    ///
    /// # Panics
    /// If it fails.
    pub fn micro(&self, micro: &Path, args: &[&str]) -> String {
        self.run(micro, &self.folder, args)
    }

    fn cargo(&self, args: &[&str]) -> String {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let args: Vec<_> = args.iter().copied().chain(["--offline"]).collect();
        self.run(Path::new(&cargo), &self.source(), &args)
    }

    fn run(&self, program: &Path, folder: &Path, args: &[&str]) -> String {
        let output = Command::new(program)
            .args(args)
            .env_clear()
            .envs(environment(&self.folder))
            .env("CARGO_TARGET_DIR", target())
            .env("CARGO_PROFILE_DEV_DEBUG", "false")
            .current_dir(folder)
            .output()
            .expect("a program that can be run");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{} {args:?}: {said}{complaints}",
            program.display()
        );
        said
    }

    /// Crates of one name make a library of the same name in the shared target folder: one after
    /// the other.
    fn alone(&self) -> fs::File {
        fs::create_dir_all(target()).expect("the target folder can be made");
        let lock = fs::File::create(target().join("lock")).expect("a lock can be made");
        lock.lock().expect("a lock can be taken");
        lock
    }
}

/// Kept between runs, so that only the first one compiles the dependencies.
fn target() -> PathBuf {
    program("libmicro_memory.so").with_file_name("outside")
}

/// Builds the author's store `shelf` against the checkout; the library, `libshelf.so` in `folder`.
///
/// # Panics
/// If it does not compile, or is longer than a plugin has to be.
pub fn author_plugin(folder: &Path) -> PathBuf {
    let author = Author::new(&program("micro"), folder, "store", "shelf");
    let code = fs::read_to_string(author.source().join("src/lib.rs")).expect("the code");
    let code = code.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = code.lines().filter(|line| !line.trim().is_empty());
    assert!(lines.count() < LINES, "a store takes too many lines");
    author.build()
}
