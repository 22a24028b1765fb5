//! Rust: a folder with a `Cargo.toml`, built with cargo against the sources that ship with the
//! server.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use tokio::process::Command;

use crate::{
    BuildError, BuildOptions, LineSink, command,
    command::{Failure, Tail},
    lock::CacheLock,
    mirror, owner, paths,
    paths::Facts,
};

/// Our crates, and where they are in the sources that ship with the server.
const OURS: &[(&str, &str)] = &[
    ("micro-framework", "framework"),
    ("micro-framework-build", "framework/build"),
    ("micro-proto", "proto"),
    ("micro-wire", "proto/wire"),
];

const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

/// Builds the program of `source` and copies it into the output folder; the command that runs it.
pub(crate) async fn build(
    source: &Path,
    options: &BuildOptions,
    lines: &dyn LineSink,
) -> Result<Vec<String>, BuildError> {
    let facts = paths::check(source)?;
    // Held until the program is copied: another build may make one of the same name.
    let _lock = CacheLock::acquire(&options.cache_dir, lines).await?;
    let mirror = prepare(source, options, &facts)?;
    let configuration = patches(options, &facts);
    let metadata = metadata(&mirror, &configuration, options, lines).await?;
    let (package, binary) = choose(&metadata, &mirror, &options.name)?;
    owner::claim(
        &options.cache_dir.join("owners"),
        metadata
            .packages
            .iter()
            .map(|package| package.name.as_str()),
        &options.identity,
        &mirror,
    )
    .map_err(|error| BuildError::io("cannot note who builds in", &options.cache_dir, error))?;
    let built = compile(&mirror, &configuration, package, binary, options, lines).await?;
    let program = options.output_dir.join(binary);
    fs::create_dir_all(&options.output_dir)
        .and_then(|()| fs::copy(&built, &program))
        .map_err(|error| BuildError::io("cannot copy the program to", &program, error))?;
    let program = std::path::absolute(&program)
        .map_err(|error| BuildError::io("cannot find", &program, error))?;
    let program = program.into_os_string().into_string();
    program.map(|program| vec![program]).map_err(|_| {
        BuildError::Binary("the server's state folder has a name that is not UTF-8".to_owned())
    })
}

/// Copies the source to where it is built: a workspace of its own, with a lock file.
fn prepare(source: &Path, options: &BuildOptions, facts: &Facts) -> Result<PathBuf, BuildError> {
    let mut mirror = options.cache_dir.join("sources");
    mirror.extend(options.identity.split('/').map(encode));
    let mut own = BTreeMap::new();
    if !facts.is_workspace {
        // Or cargo would look for a workspace in the folders above.
        let path = PathBuf::from("Cargo.toml");
        let mut manifest = fs::read(source.join(&path))
            .map_err(|error| BuildError::io("cannot read", &path, error))?;
        manifest.extend_from_slice(b"\n[workspace]\n");
        own.insert(path, manifest);
    }
    if let Some(sdk) = &options.sdk_dir
        && !source.join("Cargo.lock").exists()
    {
        // So that it is built with the versions that the server was built and tested with.
        let path = sdk.join("Cargo.lock");
        match fs::read(&path) {
            Ok(content) => own.insert(PathBuf::from("Cargo.lock"), content),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(BuildError::io("cannot read", path, error)),
        };
    }
    mirror::update(source, &mirror, &own)?;
    Ok(mirror)
}

fn encode(part: &str) -> String {
    let encoded = utf8_percent_encode(part, KEPT).to_string();
    if encoded.bytes().all(|byte| byte == b'.') {
        return format!("%{encoded}");
    }
    encoded
}

/// Points cargo to our crates, those that the source names: cargo warns of others.
fn patches(options: &BuildOptions, facts: &Facts) -> Vec<String> {
    let Some(sdk) = &options.sdk_dir else {
        return Vec::new();
    };
    let used = OURS
        .iter()
        .filter(|(name, _)| facts.dependencies.contains(*name));
    let patch = used.map(|(name, folder)| {
        let path = toml::Value::from(sdk.join(folder).to_string_lossy().into_owned());
        format!("patch.crates-io.{name}.path={path}")
    });
    patch.collect()
}

/// A cargo command in `mirror`.
fn cargo(mirror: &Path, subcommand: &str, configuration: &[String]) -> Command {
    let mut command = Command::new("cargo");
    command
        .current_dir(mirror)
        .arg(subcommand)
        .env("CARGO_TERM_COLOR", "never")
        .env("CARGO_TERM_PROGRESS_WHEN", "never");
    for line in configuration {
        command.args(["--config", line]);
    }
    command
}

fn cargo_failure(failure: Failure, options: &BuildOptions, output: &mut Tail<'_>) -> BuildError {
    match failure {
        Failure::Spawn(error) if error.kind() == io::ErrorKind::NotFound => {
            BuildError::MissingTool {
                tool: "cargo".to_owned(),
                remedy: "install Rust from https://rustup.rs and start the server with cargo in its PATH"
                    .to_owned(),
            }
        }
        other => other.into_error("cargo", options, output),
    }
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
    default_run: Option<String>,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

impl Package {
    fn binaries(&self) -> impl Iterator<Item = &str> {
        let is_binary = |target: &&Target| target.kind.iter().any(|kind| kind == "bin");
        self.targets
            .iter()
            .filter(is_binary)
            .map(|target| target.name.as_str())
    }
}

/// What is in the source, as cargo sees it.
async fn metadata(
    mirror: &Path,
    configuration: &[String],
    options: &BuildOptions,
    lines: &dyn LineSink,
) -> Result<Metadata, BuildError> {
    let mut command = cargo(mirror, "metadata", configuration);
    command.args(["--no-deps", "--format-version", "1"]);
    let mut output = Tail::new(lines);
    let mut json = String::new();
    let mut collect = |piece: &str| json.push_str(piece);
    let status = command::execute(&mut command, options, &mut output, Some(&mut collect))
        .await
        .map_err(|failure| cargo_failure(failure, options, &mut output))?;
    command::finish("cargo metadata", status, output)?;
    serde_json::from_str(&json).map_err(|error| {
        BuildError::Binary(format!("cargo metadata cannot be understood: {error}"))
    })
}

/// Which binary of which package is the service.
fn choose<'a>(
    metadata: &'a Metadata,
    mirror: &Path,
    service: &str,
) -> Result<(&'a str, &'a str), BuildError> {
    let top = fs::canonicalize(mirror)
        .unwrap_or_else(|_| mirror.to_owned())
        .join("Cargo.toml");
    let root = metadata
        .packages
        .iter()
        .find(|package| fs::canonicalize(&package.manifest_path).is_ok_and(|path| path == top));
    if let Some(package) = root
        && let Some(binary) = &package.default_run
    {
        return Ok((&package.name, binary));
    }
    let packages: Vec<_> =
        root.map_or_else(|| metadata.packages.iter().collect(), |root| vec![root]);
    let all: Vec<(&str, &str)> = packages
        .iter()
        .flat_map(|package| {
            package
                .binaries()
                .map(|binary| (package.name.as_str(), binary))
        })
        .collect();
    if let [only] = all.as_slice() {
        return Ok(*only);
    }
    let named = |name: &str| all.iter().find(|(_, binary)| *binary == name).copied();
    let found = named(service).or_else(|| root.and_then(|package| named(&package.name)));
    found.ok_or_else(|| {
        BuildError::Binary(if all.is_empty() {
            "the package has no program: a service needs a src/main.rs".to_owned()
        } else {
            let names: Vec<_> = all.iter().map(|(_, binary)| *binary).collect();
            format!(
                "the package has several programs: {}; set `default-run` in its Cargo.toml, or give one the name of the service, `{service}`",
                names.join(", ")
            )
        })
    })
}

/// A message of `cargo build`.
#[derive(Deserialize)]
struct Message {
    reason: String,
    target: Option<Target>,
    executable: Option<PathBuf>,
}

/// Compiles; where cargo put the program.
async fn compile(
    mirror: &Path,
    configuration: &[String],
    package: &str,
    binary: &str,
    options: &BuildOptions,
    lines: &dyn LineSink,
) -> Result<PathBuf, BuildError> {
    let mut command = cargo(mirror, "build", configuration);
    command
        .args(["--release", "--message-format", "json-render-diagnostics"])
        .args(["--package", package, "--bin", binary, "--target-dir"])
        .arg(options.cache_dir.join("target"));
    let mut output = Tail::new(lines);
    let mut executable = None;
    let mut message = |line: &str| {
        let Ok(message) = serde_json::from_str::<Message>(line) else {
            return; // what a build script prints is not ours
        };
        let is_ours = message.target.is_some_and(|target| {
            target.name == binary && target.kind.iter().any(|kind| kind == "bin")
        });
        if message.reason == "compiler-artifact" && is_ours {
            executable = message.executable;
        }
    };
    let status = command::execute(&mut command, options, &mut output, Some(&mut message))
        .await
        .map_err(|failure| cargo_failure(failure, options, &mut output))?;
    command::finish("cargo build", status, output)?;
    executable.ok_or_else(|| BuildError::Binary(format!("cargo built no program `{binary}`")))
}
