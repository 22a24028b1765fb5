//! `micro profile check`: everything that can be known of a profile without starting anything. Its
//! manifests, its plugins (found, whole, for this machine, nobody else's), the modules that they
//! offer, and the settings against what the plugins say they take.

use micro_loader::{LoadError, Loader};
use micro_plugin_api::__abi::schema;
use micro_profile::{Location, Module, Profile, ProfileError, Slot};
use serde_json::{Value, json};

use super::asked::{self, Asked};
use crate::{
    commands::{Outcome, format::Format, missing},
    context::Context,
    error::{CliError, Result},
    plugins::{Places, options},
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
    /// Whether the mistakes of the manifests are about it.
    is_told: bool,
}

impl Checked {
    fn is_well(&self) -> bool {
        self.problems.is_empty() && !self.is_told
    }
}

/// Prints each module with its plugin and what is wrong with it; ends with 1 if anything is.
pub(super) async fn run(context: &Context<'_>, places: &Places, args: Args) -> Result<Outcome> {
    let name = args.name.ok_or_else(|| missing("profile check", "NAME"))?;
    let (profile, wrong) = micro_profile::examine(&name, &places.profiles);
    let mut problems: Vec<_> = wrong.iter().flat_map(ProfileError::lines).collect();
    let mut checked = Vec::new();
    if let Some(profile) = profile {
        let asked = Asked::of(places, &profile).await;
        let told: Vec<_> = wrong.iter().filter_map(ProfileError::location).collect();
        let slots = profile.slots.iter();
        let slots =
            slots.map(|(module, slot)| check(places, &profile, &asked, &told, *module, slot));
        checked.extend(slots);
        // What is wrong with the manifests may be why nothing fills a module.
        if wrong.is_empty() {
            checked.extend(unfilled(&profile));
        }
    }
    let output = match args.format.is_json() {
        true => Output::Spaced(as_json(&name, &problems, &checked)),
        false => as_table(&checked),
    };
    if !checked.is_empty() || args.format.is_json() {
        context.printer.output(&output)?;
    }
    problems.extend(checked.into_iter().flat_map(|module| module.problems));
    if problems.is_empty() {
        return Ok(Outcome::from(Output::Nothing));
    }
    let error = CliError::plain(problems.join("\n"));
    Err(match wrong.is_empty() {
        true => error.hint(format!(
            "`micro profile show {name} --resolved` shows what the profile comes to"
        )),
        // Only a profile without such mistakes can be shown.
        false => error,
    })
}

fn check(
    places: &Places,
    profile: &Profile,
    asked: &Asked,
    told: &[&Location],
    module: Module,
    slot: &Slot,
) -> Checked {
    let at = slot.locate("plugin");
    let mut checked = Checked {
        module,
        plugin: slot.plugin.clone(),
        library: None,
        problems: Vec::new(),
        is_told: told.iter().any(|place| slot.is_at(place)),
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
            let found = found
                .into_iter()
                .map(|problem| slot.wrong(module, &problem.key, problem.message))
                // What no value could be read for is of no type.
                .filter(|wrong| !told.contains(&&wrong.location));
            checked
                .problems
                .extend(found.map(|wrong| wrong.to_string()));
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
        is_told: false,
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
            if one.is_well() { "ok" } else { "wrong" }.to_owned(),
        ]
    }));
    Output::Table(Table {
        align: Align::SPACES,
        rows,
    })
}

fn as_json(name: &str, problems: &[String], checked: &[Checked]) -> Value {
    let modules = checked.iter().map(|one| {
        json!({
            "module": one.module.as_str(),
            "plugin": one.plugin,
            "library": one.library,
            "problems": one.problems,
        })
    });
    let is_ok = problems.is_empty() && checked.iter().all(|one| one.problems.is_empty());
    json!({
        "profile": name, "ok": is_ok, "problems": problems,
        "modules": modules.collect::<Vec<_>>(),
    })
}
