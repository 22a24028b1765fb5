//! `micro profile check`: everything that can be known of a profile without starting anything. Its
//! manifests, its plugins (found, whole, for this machine, nobody else's), the modules that they
//! offer, and the settings against what the plugins say they take.

use micro_loader::{LoadError, Loader};
use micro_profile::{Module, Profile, Slot};
use serde_json::{Value, json};

use super::asked::{self, Asked};
use crate::{
    commands::{Outcome, format::Format, missing},
    context::Context,
    error::{CliError, Result},
    plugins::{Places, options, schema},
    printer::{Align, Output, Table},
};

/// Which profile, and how to show what was found.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A name or a path
    name: Option<String>,
    #[command(flatten)]
    format: Format,
}

/// What was found of one module.
struct Checked {
    module: Module,
    plugin: String,
    library: Option<String>,
    problems: Vec<String>,
}

/// Prints each module with its plugin and what is wrong with it; ends with 1 if anything is.
pub(super) async fn run(context: &Context<'_>, places: &Places, args: Args) -> Result<Outcome> {
    let name = args.name.ok_or_else(|| missing("profile check", "NAME"))?;
    let profile = places.profile(&name)?;
    let asked = Asked::of(places, &profile).await;
    let slots = profile.slots.iter();
    let mut checked: Vec<_> = slots
        .map(|(module, slot)| check(places, &profile, &asked, *module, slot))
        .collect();
    checked.extend(unfilled(&profile));
    let output = match args.format.is_json() {
        true => Output::Spaced(as_json(&name, &checked)),
        false => as_table(&checked),
    };
    let problems: Vec<_> = checked
        .into_iter()
        .flat_map(|module| module.problems)
        .collect();
    if problems.is_empty() {
        return Ok(output.into());
    }
    context.printer.output(&output)?;
    Err(CliError::plain(problems.join("\n")).hint(format!(
        "`micro profile show {name} --resolved` shows what the profile comes to"
    )))
}

fn check(
    places: &Places,
    profile: &Profile,
    asked: &Asked,
    module: Module,
    slot: &Slot,
) -> Checked {
    let at = slot.locate("plugin");
    let mut checked = Checked {
        module,
        plugin: slot.plugin.clone(),
        library: None,
        problems: Vec::new(),
    };
    let complain = |error: &dyn std::fmt::Display| format!("{at}: {module}: {error}");
    let file = match asked::file(places, profile, &slot.plugin) {
        Ok(file) => file,
        Err(error) => {
            checked.problems.push(complain(&error));
            return checked;
        }
    };
    checked.library = Some(file.path.display().to_string());
    let options = options(&file.name, file.sha256.as_deref());
    let verified = match Loader::verify(&file.path, &options) {
        Ok(verified) => verified,
        Err(error) => {
            checked.problems.push(complain(&error as &LoadError));
            return checked;
        }
    };
    let offers = verified.manifest.modules;
    if !offers.iter().any(|offered| offered == module.as_str()) {
        checked.problems.push(format!(
            "{at}: plugin {} has no module `{module}`; it offers {}",
            slot.plugin,
            offers.join(", ")
        ));
        return checked;
    }
    match asked.answer(&slot.plugin) {
        Some(Ok(description)) => {
            let settings = Value::Object(slot.settings.clone());
            let found = schema::check(&description.schema, &settings);
            checked.problems.extend(found.into_iter().map(|problem| {
                format!(
                    "{}: {module}.{}: {}",
                    slot.locate(&problem.key),
                    problem.key,
                    problem.message
                )
            }));
        }
        Some(Err(error)) => checked.problems.push(complain(error)),
        None => {}
    }
    checked
}

/// The modules that a server cannot be without and that nothing fills.
fn unfilled(profile: &Profile) -> Vec<Checked> {
    let file = profile.files.first().map(ToString::to_string);
    let file = file.unwrap_or_default();
    let open = Module::REQUIRED
        .into_iter()
        .filter(|module| !profile.slots.contains_key(module));
    open.map(|module| Checked {
        module,
        plugin: "none".to_owned(),
        library: None,
        problems: vec![format!(
            "{file}: no plugin for the module `{module}`; add `[{module}]` with a `plugin`, or \
             extend a profile that has one"
        )],
    })
    .collect()
}

fn as_table(checked: &[Checked]) -> Output {
    let heading = ["MODULE", "PLUGIN", "LIBRARY", "STATUS"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    rows.extend(checked.iter().map(|one| {
        vec![
            one.module.to_string(),
            one.plugin.clone(),
            one.library.clone().unwrap_or_else(|| "none".to_owned()),
            if one.problems.is_empty() {
                "ok"
            } else {
                "wrong"
            }
            .to_owned(),
        ]
    }));
    Output::Table(Table {
        align: Align::SPACES,
        rows,
    })
}

fn as_json(name: &str, checked: &[Checked]) -> Value {
    let modules = checked.iter().map(|one| {
        json!({
            "module": one.module.as_str(),
            "plugin": one.plugin,
            "library": one.library,
            "problems": one.problems,
        })
    });
    let is_ok = checked.iter().all(|one| one.problems.is_empty());
    json!({"profile": name, "ok": is_ok, "modules": modules.collect::<Vec<_>>()})
}
