//! Real builds: crates, scripts and what is wrong with them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod wait;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
    time::Duration,
};

use micro_builder::{Artifact, BuildError, BuildOptions, Toolchain, build};
use tempfile::TempDir;
use wait::until;

/// Longer than a build without dependencies takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// A source and a place to build it.
struct Bench {
    root: TempDir,
    printed: Arc<Mutex<Vec<String>>>,
    timeout: Duration,
}

impl Bench {
    fn new(files: &[(&str, &str)]) -> Self {
        let bench = Self {
            root: tempfile::tempdir().unwrap(),
            printed: Arc::default(),
            timeout: PATIENCE,
        };
        fs::create_dir(bench.source()).unwrap();
        for (name, content) in files {
            bench.write(name, content);
        }
        bench
    }

    fn source(&self) -> PathBuf {
        self.root.path().join("source")
    }

    /// Writes a file; one that begins with `#!` is made executable.
    fn write(&self, name: &str, content: &str) {
        let path = self.source().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        if content.starts_with("#!") {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }

    fn options(&self) -> BuildOptions {
        BuildOptions {
            name: "hello".to_owned(),
            identity: "micro/hello/latest".to_owned(),
            cache_dir: self.root.path().join("cache"),
            output_dir: self.root.path().join("output"),
            sdk_dir: None,
            toolchain: Toolchain::from_environment(std::env::vars()),
            timeout: self.timeout,
        }
    }

    async fn build(&self) -> Result<Artifact, BuildError> {
        self.build_with(&self.options()).await
    }

    async fn build_with(&self, options: &BuildOptions) -> Result<Artifact, BuildError> {
        let printed = self.printed.clone();
        let sink = move |line: &str| printed.lock().unwrap().push(line.to_owned());
        build(&self.source(), options, &sink).await
    }

    async fn error(&self) -> BuildError {
        self.build().await.unwrap_err()
    }

    fn printed(&self) -> String {
        self.printed.lock().unwrap().join("\n")
    }
}

fn package(extra: &str) -> String {
    format!("[package]\nname = 'hello'\nversion = '0.1.0'\nedition = '2024'\n{extra}")
}

fn output(artifact: &Artifact) -> String {
    let output = Command::new(&artifact.command[0])
        .args(&artifact.command[1..])
        .current_dir(&artifact.folder)
        .output();
    String::from_utf8(output.unwrap().stdout).unwrap()
}

#[tokio::test]
async fn a_crate_is_built_and_built_again_when_it_changed() {
    let bench = Bench::new(&[
        ("Cargo.toml", &package("")),
        ("src/main.rs", "fn main() { println!(\"one\") }"),
    ]);
    let artifact = bench.build().await.unwrap();
    assert_eq!(output(&artifact), "one\n");
    assert_eq!(artifact.folder, bench.source());
    assert!(Path::new(&artifact.command[0]).starts_with(bench.root.path().join("output")));
    assert!(
        bench.printed().contains("Compiling hello v0.1.0"),
        "{}",
        bench.printed()
    );
    // What was uploaded stays as it was.
    assert!(!bench.source().join("Cargo.lock").exists());

    // Other content with an older time, as another author's upload may have.
    let main = bench.source().join("src/main.rs");
    fs::write(&main, "fn main() { println!(\"two\") }").unwrap();
    let long_ago = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    fs::File::options()
        .write(true)
        .open(&main)
        .unwrap()
        .set_modified(long_ago)
        .unwrap();
    assert_eq!(output(&bench.build().await.unwrap()), "two\n");

    // Unchanged: nothing is compiled.
    bench.printed.lock().unwrap().clear();
    assert_eq!(output(&bench.build().await.unwrap()), "two\n");
    assert!(
        !bench.printed().contains("Compiling"),
        "{}",
        bench.printed()
    );
}

#[tokio::test]
async fn of_several_programs_the_named_one_is_taken() {
    let files = [
        ("src/bin/hello.rs", "fn main() { println!(\"hello\") }"),
        ("src/bin/other.rs", "fn main() { println!(\"other\") }"),
        ("src/bin/third.rs", "fn main() {}"),
    ];
    let bench = Bench::new(&files);
    bench.write("Cargo.toml", &package(""));
    assert_eq!(output(&bench.build().await.unwrap()), "hello\n");
    bench.write("Cargo.toml", &package("default-run = 'other'"));
    assert_eq!(output(&bench.build().await.unwrap()), "other\n");
    bench.write("Cargo.toml", &package("").replace("'hello'", "'pack'"));
    fs::remove_file(bench.source().join("src/bin/hello.rs")).unwrap();
    let error = bench.error().await.to_string();
    assert!(
        error.contains("several programs: other, third; set `default-run`"),
        "{error}"
    );
    // A workspace without a package of its own.
    bench.write(
        "Cargo.toml",
        "[workspace]\nmembers = ['app']\nresolver = '3'",
    );
    bench.write(
        "app/Cargo.toml",
        &package("version.workspace = true").replace("version = '0.1.0'\n", ""),
    );
    bench.write(
        "Cargo.toml",
        "[workspace]\nmembers = ['app']\nresolver = '3'\n[workspace.package]\nversion = '2.0.0'",
    );
    bench.write(
        "app/src/main.rs",
        "fn main() { println!(\"app {}\", env!(\"CARGO_PKG_VERSION\")) }",
    );
    assert_eq!(output(&bench.build().await.unwrap()), "app 2.0.0\n");
    // A library alone.
    fs::remove_dir_all(bench.source()).unwrap();
    bench.write("Cargo.toml", &package(""));
    bench.write("src/lib.rs", "");
    let error = bench.error().await.to_string();
    assert!(
        error.contains("no program: a service needs a src/main.rs"),
        "{error}"
    );
}

#[tokio::test]
async fn what_does_not_compile_comes_back_with_the_compilers_words() {
    let bench = Bench::new(&[
        ("Cargo.toml", &package("")),
        ("src/main.rs", "fn main() { let x: u8 = \"no\"; }"),
    ]);
    let error = bench.error().await;
    assert_eq!(error.to_string(), "cargo build failed (exit status 101)");
    let output = error.output().join("\n");
    assert!(
        output.contains("mismatched types") && output.contains("src/main.rs:1:25"),
        "{output}"
    );
    assert!(bench.printed().contains("mismatched types"));
    bench.write("Cargo.toml", "[package\n");
    let error = bench.error().await.to_string();
    assert!(
        error.starts_with("Cargo.toml: ") && error.contains("line 1"),
        "{error}"
    );
}

#[tokio::test]
async fn paths_out_of_the_folder_are_named() {
    let inner = "[package]\nname = 'inner'\nversion = '0.1.0'\n[dependencies]\ndeep = { path = '../../deep' }";
    for (manifest, expected) in [
        (
            "[dependencies]\nshared = { path = '../shared' }",
            "Cargo.toml: dependency `shared` is at ../shared, outside the uploaded folder",
        ),
        (
            "[target.'cfg(unix)'.dev-dependencies]\nx = { path = '/abs' }",
            "dependency `x` is at /abs",
        ),
        (
            "[patch.crates-io]\nserde = { path = 'a/../../serde' }",
            "patch `serde` is at a/../../serde",
        ),
        (
            "build = '../build.rs'",
            "the build script is at ../build.rs",
        ),
        ("workspace = '..'", "the workspace is at .."),
        (
            "[[bin]]\nname = 'x'\npath = '../x.rs'",
            "a source file of [bin] is at ../x.rs",
        ),
        (
            "[workspace]\nmembers = ['../other']",
            "workspace member `../other`",
        ),
        (
            "[workspace.dependencies]\ny = { path = '../y' }",
            "dependency `y` is at ../y",
        ),
        (
            "[dependencies]\ninner.path = 'inner'",
            "inner/Cargo.toml: dependency `deep` is at ../../deep",
        ),
        (
            "[dependencies]\nserde.workspace = true",
            "Cargo.toml: `serde.workspace = true` inherits from a workspace outside",
        ),
        (
            "license.workspace = true",
            "`license.workspace = true` inherits",
        ),
    ] {
        let bench = Bench::new(&[("src/main.rs", "fn main() {}"), ("inner/Cargo.toml", inner)]);
        bench.write("Cargo.toml", &package(manifest));
        let error = bench.error().await.to_string();
        assert!(error.contains(expected), "{manifest}: {error}");
    }
    // Inside is fine, by whatever way.
    let bench = Bench::new(&[
        ("src/main.rs", "fn main() { print!(\"{}\", part::name()) }"),
        (
            "part/Cargo.toml",
            "[package]\nname = 'part'\nversion = '0.1.0'",
        ),
        (
            "part/src/lib.rs",
            "pub fn name() -> &'static str { \"part\" }",
        ),
    ]);
    bench.write(
        "Cargo.toml",
        &package("[dependencies]\npart = { path = 'src/../part' }"),
    );
    assert_eq!(output(&bench.build().await.unwrap()), "part");
}

/// A crate of ours is taken from the sources that ship with the server, and so is the lock file.
#[tokio::test]
async fn our_crates_come_from_the_sdk() {
    let bench = Bench::new(&[("src/main.rs", "fn main() { print!(\"{}\", micro::NAME) }")]);
    let manifest =
        "[dependencies]\nmicro = { package = 'micro-framework', version = '3.0.0-beta' }";
    bench.write("Cargo.toml", &package(manifest));
    let sdk = bench.root.path().join("an sdk");
    fs::create_dir_all(sdk.join("framework/src")).unwrap();
    let workspace =
        "[workspace]\nmembers = ['framework']\n[workspace.package]\nversion = '3.0.0-beta'";
    fs::write(sdk.join("Cargo.toml"), workspace).unwrap();
    let framework =
        "[package]\nname = 'micro-framework'\nversion.workspace = true\n[lib]\nname = 'micro'";
    fs::write(sdk.join("framework/Cargo.toml"), framework).unwrap();
    fs::write(
        sdk.join("framework/src/lib.rs"),
        "pub const NAME: &str = \"from the sdk\";",
    )
    .unwrap();
    let lock = "version = 4\n\n[[package]]\nname = \"micro-framework\"\nversion = \"3.0.0-beta\"\n";
    fs::write(sdk.join("Cargo.lock"), lock).unwrap();
    let options = BuildOptions {
        sdk_dir: Some(sdk.clone()),
        ..bench.options()
    };
    assert_eq!(
        output(&bench.build_with(&options).await.unwrap()),
        "from the sdk"
    );
    assert!(!bench.printed().contains("warning"), "{}", bench.printed());
    assert_eq!(fs::read_to_string(sdk.join("Cargo.lock")).unwrap(), lock);
}

#[tokio::test]
async fn a_missing_cargo_is_said() {
    let bench = Bench::new(&[
        ("Cargo.toml", &package("")),
        ("src/main.rs", "fn main() {}"),
    ]);
    let options = BuildOptions {
        toolchain: Toolchain::from_environment([("PATH".to_owned(), "/nonexistent".to_owned())]),
        ..bench.options()
    };
    let error = bench.build_with(&options).await.unwrap_err().to_string();
    assert!(error.starts_with("cargo is not installed"), "{error}");
    assert!(error.contains("https://rustup.rs"), "{error}");
}

#[tokio::test]
async fn an_executable_file_is_taken_as_it_is() {
    let script = "#!/bin/sh\necho ran\n";
    let found = async |files: &[(&str, &str)]| match Bench::new(files).build().await {
        Ok(artifact) => {
            assert_eq!(artifact.health, None);
            artifact.command.join(" ")
        }
        Err(error) => error.to_string(),
    };
    assert_eq!(
        found(&[("server.sh", script), ("data", "x")]).await,
        "./server.sh"
    );
    assert_eq!(
        found(&[("a", script), ("run", script), ("hello", script)]).await,
        "./run"
    );
    assert_eq!(found(&[("a", script), ("hello", script)]).await, "./hello");
    assert_eq!(
        found(&[("b", script), ("a", script)]).await,
        "more than one executable file: a, b; call one of them `run`, or name it in micro.toml"
    );
    assert!(
        found(&[("data", "x"), ("sub/run", script)])
            .await
            .starts_with("nothing to run: ")
    );
    let bench = Bench::new(&[("tool", "x")]);
    fs::write(bench.source().join("tool"), script).unwrap();
    assert_eq!(
        bench.error().await.to_string(),
        "tool is not executable; set its mode with chmod +x"
    );
}

#[tokio::test]
async fn micro_toml_names_the_commands() {
    let manifest = "build = 'echo building; echo \"echo built\" > out.sh; env'\nrun = ['sh', 'out.sh']\nhealth = './check'";
    let bench = Bench::new(&[("micro.toml", manifest)]);
    let artifact = bench.build().await.unwrap();
    assert_eq!(output(&artifact), "built\n");
    assert_eq!(artifact.health.unwrap(), ["sh", "-c", "./check"]);
    assert!(
        bench.printed().starts_with("building\n"),
        "{}",
        bench.printed()
    );
    assert!(
        !bench.printed().contains("CARGO_MANIFEST_DIR"),
        "{}",
        bench.printed()
    );

    bench.write("micro.toml", "build = 'echo oops >&2; exit 3'");
    let error = bench.error().await;
    assert_eq!(
        error.to_string(),
        "the build command of micro.toml failed (exit status 3)"
    );
    assert_eq!(error.output(), ["oops"]);
    bench.write("micro.toml", "build = ['./nosuch']");
    assert!(
        bench
            .error()
            .await
            .to_string()
            .contains("./nosuch is not installed")
    );
    bench.write("micro.toml", "start = 'x'");
    let error = bench.error().await.to_string();
    assert!(
        error.starts_with("micro.toml: ") && error.contains("unknown field `start`"),
        "{error}"
    );
}

/// Whether the process whose number a build wrote runs still.
fn runs(pid_file: &Path) -> bool {
    let pid = fs::read_to_string(pid_file).unwrap();
    fs::read_to_string(format!("/proc/{}/stat", pid.trim()))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or("").starts_with(" Z"))
}

#[tokio::test]
async fn a_build_is_bounded_in_time_and_ends_whole() {
    let manifest = "build = 'echo started; sleep 100 & echo $! > pid; wait'";
    let mut bench = Bench::new(&[("micro.toml", manifest)]);
    bench.timeout = Duration::from_millis(500);
    let error = bench.error().await;
    assert!(matches!(error, BuildError::TimedOut { .. }), "{error}");
    assert_eq!(error.output(), ["started"]);
    let pid = bench.source().join("pid");
    until(|| !runs(&pid)).await;

    // Given up by its caller.
    fs::remove_file(&pid).unwrap();
    bench.timeout = PATIENCE;
    let written = || fs::read_to_string(&pid).is_ok_and(|text| text.ends_with('\n'));
    tokio::select! {
        result = bench.build() => panic!("{result:?}"),
        () = until(written) => {}
    }
    until(|| !runs(&pid)).await;
}

#[tokio::test]
async fn builds_that_share_a_cache_wait_for_each_other() {
    let bench = Bench::new(&[
        ("Cargo.toml", &package("")),
        ("src/main.rs", "fn main() {}"),
    ]);
    fs::create_dir_all(bench.root.path().join("cache")).unwrap();
    let lock = fs::File::create(bench.root.path().join("cache/lock")).unwrap();
    lock.lock().unwrap();
    tokio::select! {
        result = bench.build() => panic!("{result:?}"),
        () = until(|| bench.printed().contains("Waiting for another build to finish")) => {}
    }
    drop(lock);
    bench.build().await.unwrap();
}

#[tokio::test]
async fn two_sources_with_a_package_of_one_name_stay_apart() {
    let one = Bench::new(&[
        ("Cargo.toml", &package("")),
        ("src/main.rs", "fn main() { println!(\"one\") }"),
    ]);
    let two = Bench::new(&[
        ("Cargo.toml", &package("")),
        ("src/main.rs", "fn main() { println!(\"two\") }"),
    ]);
    let other = BuildOptions {
        identity: "micro/other/latest".to_owned(),
        cache_dir: one.options().cache_dir,
        ..two.options()
    };
    for _ in 0..2 {
        assert_eq!(output(&one.build().await.unwrap()), "one\n");
        assert_eq!(output(&two.build_with(&other).await.unwrap()), "two\n");
    }
}
