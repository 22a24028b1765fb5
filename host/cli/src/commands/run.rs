//! `micro run`: uploads a folder or an executable, and follows the service until it answers or fails.

pub(super) mod follow;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    time::Duration,
};

use futures::StreamExt as _;
use micro_proto::runtime::{
    CreateOptions, CreateRequest, CreateResponse, Resource, Service, UploadRequest, UploadResponse,
};

use crate::{
    commands::{LATEST, Outcome, missing},
    duration,
    error::{CliError, Result},
    printer::Output,
    session::Session,
    source::Plan,
};

/// What to run, and how.
#[derive(Debug, clap::Args)]
#[command(rename_all = "snake_case")]
pub(crate) struct Args {
    /// A folder or an executable file
    source: Option<String>,
    /// The name of the service; default the name of the folder or file
    #[arg(long)]
    name: Option<String>,
    /// The program and arguments to run instead of what the source says, split at spaces
    #[arg(long)]
    command: Option<String>,
    /// Arguments for the program, split at spaces
    #[arg(long)]
    args: Option<String>,
    /// The type of the service
    #[arg(long = "type", id = "kind")]
    kind: Option<String>,
    /// The image to run it in, where the runtime uses images
    #[arg(long)]
    image: Option<String>,
    /// NAME=value for the service's environment; repeat it or use commas
    #[arg(long, value_delimiter = ',')]
    env_vars: Vec<String>,
    /// How many of it
    #[arg(short, long, default_value_t = 1, value_parser = clap::value_parser!(i64).range(1..))]
    instances: i64,
    /// key=value to keep with the service; repeat it
    #[arg(long)]
    metadata: Vec<String>,
    /// Replace the service if it runs already
    #[arg(long)]
    force: bool,
    /// How long to wait, after the build, for the service to answer, such as 90s or 5m
    #[arg(long, default_value = "60s")]
    timeout: String,
}

/// Runs the source. Progress goes to stderr; success says nothing on stdout.
pub(crate) async fn run(session: &Session<'_>, args: Args) -> Result<Outcome> {
    let typed = args.source.as_deref();
    let typed = typed.ok_or_else(|| missing("run", "SOURCE"))?;
    let timeout = timeout(&args.timeout)?;
    let source = Source::find(typed, session.folder())?;
    let name = match &args.name {
        Some(name) => name.clone(),
        None => source.name()?,
    };
    let metadata = metadata(&args.metadata, &source.shown())?;
    let options = options(&args, session.namespace(), timeout)?;

    let service = Service {
        name,
        version: LATEST.to_owned(),
        ..Service::default()
    };
    let id = upload(session, &source, &service).await?;
    let service = Service {
        source: id,
        metadata,
        ..service
    };
    let request = CreateRequest {
        resource: Some(Resource {
            service: Some(service.clone()),
            ..Resource::default()
        }),
        options: Some(options),
    };
    let CreateResponse {} = session.call("runtime", "Runtime.Create", &request).await?;
    follow::until_running(session, &service, timeout).await?;
    Ok(Output::Nothing.into())
}

/// What `--timeout` says.
///
/// # Errors
/// It is no duration.
pub(super) fn timeout(text: &str) -> Result<Duration> {
    duration::parse(text).ok_or_else(|| {
        CliError::plain(format!(
            "Invalid format for timeout duration: \"{text}\". Try 90s or 5m"
        ))
    })
}

/// What was named on the command line, found on this machine.
pub(super) struct Source {
    path: PathBuf,
}

impl Source {
    /// Looks for it from `folder`.
    ///
    /// # Errors
    /// It is empty, or not here.
    pub(super) fn find(typed: &str, folder: &Path) -> Result<Self> {
        if typed.trim().is_empty() {
            // Joined to the working folder it would be that folder.
            return Err(CliError::plain("SOURCE is empty")
                .hint("the source is a folder or an executable file; `.` is this folder"));
        }
        let path = folder.join(typed);
        match path.canonicalize() {
            Ok(path) => Ok(Self { path }),
            Err(_) if is_path(typed) => Err(CliError::plain(format!(
                "There is no folder or file {typed}"
            ))),
            Err(_) => Err(CliError::plain(format!(
                "{typed} is no folder or file here, and running from a git repository is not built yet"
            ))
            .hint("clone the repository and run its folder: micro run ./FOLDER")),
        }
    }

    /// The folder's name, or the file's without what follows the first dot.
    ///
    /// # Errors
    /// It has none.
    pub(super) fn name(&self) -> Result<String> {
        let name = self.path.file_name().and_then(|name| name.to_str());
        let name = if self.path.is_file() {
            name.and_then(|name| name.split('.').find(|part| !part.is_empty()))
        } else {
            name
        };
        name.map(str::to_owned).ok_or_else(|| {
            CliError::plain(format!(
                "{} has no name that a service could have",
                self.path.display()
            ))
            .hint("give one with --name")
        })
    }

    /// What `micro status` shows: the path below the repository, else the whole path.
    pub(super) fn shown(&self) -> String {
        let root = self
            .path
            .ancestors()
            .find(|folder| folder.join(".git").exists());
        let below = root
            .and_then(|root| self.path.strip_prefix(root).ok())
            .filter(|below| !below.as_os_str().is_empty());
        below.unwrap_or(&self.path).display().to_string()
    }
}

/// Such as `.`, `./x`, `../x`, `/x`: never the name of a repository.
pub(super) fn is_path(typed: &str) -> bool {
    typed == "." || typed == ".." || typed.starts_with(['/', '~']) || {
        typed.starts_with("./") || typed.starts_with("../")
    }
}

fn metadata(pairs: &[String], source: &str) -> Result<HashMap<String, String>> {
    let mut metadata = HashMap::from([("source".to_owned(), source.to_owned())]);
    for pair in pairs {
        let (key, value) = pair.split_once('=').ok_or_else(|| {
            CliError::plain(format!(
                "invalid metadata string, must be of form foo=bar {pair}"
            ))
        })?;
        if key == "source" {
            return Err(CliError::plain(
                "invalid metadata string, 'source' is a reserved key",
            ));
        }
        metadata.insert(key.to_owned(), value.to_owned());
    }
    Ok(metadata)
}

fn options(args: &Args, namespace: &str, timeout: Duration) -> Result<CreateOptions> {
    let words = |text: &Option<String>| {
        let words = text.iter().flat_map(|text| text.split_whitespace());
        words.map(str::to_owned).collect()
    };
    for variable in &args.env_vars {
        if variable
            .split_once('=')
            .is_none_or(|(name, _)| name.is_empty())
        {
            return Err(CliError::plain(format!(
                "invalid environment variable, must be of form NAME=value: {variable}"
            )));
        }
    }
    Ok(CreateOptions {
        command: words(&args.command),
        args: words(&args.args),
        env: args.env_vars.clone(),
        r#type: args.kind.clone().unwrap_or_default(),
        image: args.image.clone().unwrap_or_default(),
        namespace: namespace.to_owned(),
        instances: args.instances,
        force: args.force,
        start_timeout: i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX),
        ..CreateOptions::default()
    })
}

/// Packs the source and sends it. Gives the id that the server knows it by.
pub(super) async fn upload(
    session: &Session<'_>,
    source: &Source,
    service: &Service,
) -> Result<String> {
    let path = source.path.clone();
    let plan = tokio::task::spawn_blocking(move || Plan::new(&path))
        .await
        .map_err(|_| CliError::plain("Packing the source failed"))?
        .map_err(|error| CliError::plain(capital(&error.to_string())))?;
    let printer = session.printer();
    for omitted in &plan.omitted {
        printer.progress(&format!("Left out {omitted}"));
    }
    printer.progress(&format!(
        "Uploading {}: {} {}, {}",
        source.shown(),
        plan.files,
        if plan.files == 1 { "file" } else { "files" },
        bytes(plan.bytes)
    ));
    let mut first = Some(service.clone());
    let archive = plan.archive().map(move |chunk| {
        chunk
            .map(|data| UploadRequest {
                service: first.take(),
                data,
            })
            .map_err(|error| CliError::plain(capital(&error.to_string())))
    });
    let response: UploadResponse = session
        .send_all("runtime", "Source.Upload", archive)
        .await?;
    Ok(response.id)
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => String::new(),
    }
}

fn bytes(count: u64) -> String {
    // A person reads it, so three digits are enough.
    #[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
    let number = count as f64;
    match count {
        0..1_000 => format!("{count} bytes"),
        1_000..1_000_000 => format!("{:.1} kB", number / 1e3),
        _ => format!("{:.1} MB", number / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_places_of_sources() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("repo/helloworld");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::create_dir(root.path().join("repo/.git")).unwrap();
        std::fs::write(folder.join("hello.sh"), "#!/bin/sh\n").unwrap();
        let check = |typed: &str, name: &str, shown: &str| {
            let source = Source::find(typed, &folder).unwrap();
            assert_eq!(source.name().unwrap(), name);
            assert_eq!(source.shown(), shown);
        };
        check(".", "helloworld", "helloworld");
        check("../helloworld", "helloworld", "helloworld");
        check("./hello.sh", "hello", "helloworld/hello.sh");
        let repo = root.path().join("repo").canonicalize().unwrap();
        check("..", "repo", repo.to_str().unwrap());
    }

    #[test]
    fn what_is_not_here_is_said_plainly() {
        let folder = tempfile::tempdir().unwrap();
        let message = |typed: &str| {
            let error = Source::find(typed, folder.path()).err().unwrap();
            assert_eq!(error.code, 1);
            error
        };
        assert_eq!(
            message("./nosuch").message,
            "There is no folder or file ./nosuch"
        );
        let remote = message("github.com/micro/services/helloworld");
        assert!(remote.message.contains("not built yet"), "{remote}");
        assert!(remote.hint.is_some());
    }

    #[test]
    fn metadata_is_pairs_and_source_is_ours() {
        let given = |pair: &str| metadata(&[pair.to_owned()], "here");
        let metadata = given("a=b=c").unwrap();
        assert_eq!(metadata["a"], "b=c");
        assert_eq!(metadata["source"], "here");
        assert_eq!(
            given("oops").unwrap_err().message,
            "invalid metadata string, must be of form foo=bar oops"
        );
        assert_eq!(
            given("source=x").unwrap_err().message,
            "invalid metadata string, 'source' is a reserved key"
        );
    }
}
