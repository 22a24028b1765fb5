//! `micro plugin test`: the conformance suites against a library, in a child process.

use micro_loader::Loader;
use micro_plugin_api::__abi::schema;
use micro_profile::ProfileError;
use serde_json::{Map, Value, json};

use super::inspect::absolute;
use crate::{
    commands::{Outcome, format::Format, missing},
    context::Context,
    error::{CliError, Result},
    plugins::{
        Places,
        child::{File, Trial},
        describe, refused,
        trial::{self, Ran},
    },
    printer::{Align, Output, Table},
};

/// What to test, and how.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A path, or the name of a plugin
    file: Option<String>,
    /// The module to test; all that the plugin offers if none is named
    #[arg(long)]
    module: Option<String>,
    /// A TOML file with the settings, as in the slot of a profile without its heading
    #[arg(long)]
    settings: Option<String>,
    /// Only rules whose names contain this
    #[arg(long)]
    filter: Option<String>,
    #[command(flatten)]
    format: Format,
}

/// Prints each rule with how it went; ends with 1 if one failed, or there was none.
pub(super) async fn run(context: &Context<'_>, places: &Places, args: Args) -> Result<Outcome> {
    let word = args.file.ok_or_else(|| missing("plugin test", "FILE"))?;
    let path = places.library(&word)?;
    let verified = Loader::verify(&path, &Default::default()).map_err(refused)?;
    let file = File {
        path: absolute(&path)?,
        name: verified.name.clone(),
        sha256: Some(verified.sha256.clone()),
    };
    let settings = settings(places, args.settings.as_deref(), &file).await?;
    let offers = verified.manifest.modules;
    let modules = match args.module {
        Some(module) if offers.contains(&module) => vec![module],
        Some(module) => {
            return Err(CliError::plain(format!(
                "plugin {} has no module `{module}`; it offers {}",
                verified.name,
                offers.join(", ")
            )));
        }
        None => offers,
    };
    let filter = args.filter.unwrap_or_default();
    let mut all = Vec::new();
    for module in modules {
        let trial = Trial {
            file: file.clone(),
            module,
            settings: Value::Object(settings.clone()).to_string(),
            filter: filter.clone(),
            path: context
                .environment
                .get("PATH")
                .unwrap_or_default()
                .to_owned(),
        };
        all.extend(
            trial::run(trial, |ran| {
                if ran.is_failed() {
                    context.printer.progress(&format!("failed {}", ran.name));
                }
            })
            .await?,
        );
    }
    if all.is_empty() {
        return Err(CliError::plain(format!(
            "no rule has a name that contains \"{filter}\""
        )));
    }
    let count = |outcome: &str| all.iter().filter(|ran| ran.outcome == outcome).count();
    let (passed, failed, skipped) = (count("passed"), count("failed"), count("skipped"));
    let totals = format!("{passed} passed, {failed} failed, {skipped} skipped");
    let output = match args.format.is_json() {
        true => Output::Spaced(json!({
            "plugin": verified.name, "version": verified.manifest.version,
            "passed": passed, "failed": failed, "skipped": skipped, "rules": all,
        })),
        false => as_table(&all, &totals),
    };
    if failed == 0 {
        return Ok(output.into());
    }
    context.printer.output(&output)?;
    Err(CliError::plain(format!(
        "plugin {}: {totals}",
        verified.name
    )))
}

/// The settings of a file, if one is named, and whether the plugin takes them: each rule would fail for
/// the same reason otherwise.
async fn settings(places: &Places, named: Option<&str>, file: &File) -> Result<Map<String, Value>> {
    let described = describe(file.clone()).await;
    let Some(named) = named else {
        // What cannot describe itself is tested as it is.
        let schema = described.map(|description| description.schema);
        let problems = schema.map(|schema| schema::check(&schema, &json!({})));
        return match problems.unwrap_or_default().first() {
            None => Ok(Map::new()),
            Some(problem) => Err(CliError::plain(format!(
                "plugin {}: {}: {}",
                file.name, problem.key, problem.message
            ))
            .hint("name a TOML file that says it with --settings")),
        };
    };
    let path = places.path(named);
    let slot = micro_profile::settings(&path, &file.name, &places.profiles);
    let slot = slot.map_err(|error| match error {
        // To it every file is a profile.
        ProfileError::Read { path, source } => CliError::file("read", &path, &source),
        error => CliError::plain(error.to_string()),
    })?;
    let problems = schema::check(&described?.schema, &Value::Object(slot.settings.clone()));
    if problems.is_empty() {
        return Ok(slot.settings);
    }
    let lines = problems.iter().map(|problem| {
        let at = slot.locate(&problem.key);
        format!("{at}: {}: {}", problem.key, problem.message)
    });
    Err(
        CliError::plain(lines.collect::<Vec<_>>().join("\n")).hint(format!(
            "`micro plugin inspect {}` lists the settings that it takes",
            file.name
        )),
    )
}

fn as_table(all: &[Ran], totals: &str) -> Output {
    let heading = ["RULE", "OUTCOME", "SECONDS", "WHAT"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    rows.extend(all.iter().map(|ran| {
        // Of a rule that did not hold it counts what was seen, and what should have been.
        let what = match &ran.reason {
            Some(reason) => format!("{} (rule: {})", reason.replace('\n', " "), ran.rule),
            None => ran.rule.clone(),
        };
        let seconds = format!("{:.3}", ran.seconds);
        vec![ran.name.clone(), ran.outcome.clone(), seconds, what]
    }));
    rows.push(vec![String::new()]);
    rows.push(vec![totals.to_owned()]);
    Output::Table(Table {
        align: Align::SPACES,
        rows,
    })
}
