//! `micro init`: the beginning of a profile of one's own.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write as _},
    path::Path,
};

use micro_profile::BUILTIN;

use crate::{
    commands::{Outcome, missing},
    context::Context,
    error::{CliError, Result},
    plugins::Places,
    printer::Output,
};

/// What it is to be called, and where it goes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The name of the profile
    #[arg(long)]
    profile: Option<String>,
    /// The file to write; it must not be there yet
    #[arg(long, default_value = "stdout")]
    output: String,
    /// A profile that ships with micro, to begin with a copy of it
    #[arg(long)]
    from: Option<String>,
}

/// A manifest with every slot explained, of which one is filled: the example of the reference page.
const TEMPLATE: &str = include_str!("template.toml");

/// Writes the manifest, once it is known to be one.
pub(crate) fn run(context: &Context<'_>, args: Args) -> Result<Outcome> {
    let name = args.profile.or_else(|| context.globals.profile.clone());
    let name = name.ok_or_else(|| missing("init", "--profile=NAME"))?;
    let text = match &args.from {
        Some(shipped) => copy(shipped)?.to_owned(),
        None => TEMPLATE.replace("NAME", &name),
    };
    let places = Places::of(context);
    let to_stdout = args.output == "stdout" || args.output == "-";
    let path = places.path(&args.output);
    let file = match to_stdout {
        true => Path::new("the new profile"),
        false => &path,
    };
    micro_profile::parse(&name, file, text.clone(), &places.profiles)
        .map_err(|error| CliError::plain(error.to_string()))?;
    if to_stdout {
        return Ok(Output::Text(text).into());
    }
    write(&path, &text)?;
    context.printer.progress(&format!(
        "wrote {}; `micro profile check {0}` checks it",
        path.display()
    ));
    Ok(Output::Nothing.into())
}

fn copy(shipped: &str) -> Result<&'static str> {
    let found = BUILTIN.iter().find(|(name, _)| *name == shipped);
    found.map(|(_, text)| *text).ok_or_else(|| {
        let names: Vec<_> = BUILTIN.iter().map(|(name, _)| *name).collect();
        CliError::plain(format!(
            "no profile `{shipped}` ships with micro; there are {}",
            names.join(", ")
        ))
    })
}

/// What somebody wrote is not replaced.
fn write(path: &Path, text: &str) -> Result<()> {
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::AlreadyExists => CliError::plain(format!("{} is there already", path.display()))
            .hint("remove it, or choose another file with --output"),
        _ => CliError::file("write", path, &error),
    };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut file = File::create_new(path).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)
}
