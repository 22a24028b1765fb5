//! What the plugins of a profile say of their settings, each asked once.

use std::{collections::BTreeMap, path::PathBuf};

use micro_plugin_api::__abi::schema;
use micro_profile::Profile;

use crate::{
    error::{CliError, Result},
    plugins::{Description, Places, child::File, describe, refused},
    printer::Printer,
};

/// The answers, by the plugin's name.
pub(super) struct Asked(BTreeMap<String, Result<Description>>);

impl Asked {
    /// Asks the plugins of a profile.
    pub(super) async fn of(places: &Places, profile: &Profile) -> Self {
        let mut answers = BTreeMap::new();
        for slot in profile.slots.values() {
            if !answers.contains_key(&slot.plugin) {
                let answer = match file(places, profile, &slot.plugin) {
                    Ok(file) => describe(file).await,
                    Err(error) => Err(error),
                };
                answers.insert(slot.plugin.clone(), answer);
            }
        }
        Self(answers)
    }

    /// What this plugin says, or why it could not be asked.
    pub(super) fn answer(&self, plugin: &str) -> Option<&Result<Description>> {
        self.0.get(plugin)
    }

    /// Whether a setting must not be shown. All are hidden of a plugin that could not be asked.
    pub(super) fn hides(&self, plugin: &str, path: &str) -> bool {
        match self.0.get(plugin) {
            Some(Ok(description)) => schema::hides(&description.schema, path),
            Some(Err(_)) | None => true,
        }
    }

    /// Says on stderr for which plugins all settings are hidden.
    pub(super) fn explain(&self, printer: &Printer) {
        for error in self.0.values().filter_map(|answer| answer.as_ref().err()) {
            printer.progress(&format!(
                "no setting of this plugin is shown, since it cannot say which are secret: {error}"
            ));
        }
    }
}

/// The library that a profile means by the name of a plugin.
///
/// # Errors
/// There is none of that name.
pub(super) fn file(places: &Places, profile: &Profile, plugin: &str) -> Result<File> {
    let source = profile.plugins.get(plugin);
    let path = source.and_then(|source| source.path.as_deref());
    let path: PathBuf = places.loader.locate(plugin, path).map_err(refused)?;
    let path = std::path::absolute(&path).map_err(|error| CliError::file("find", &path, &error))?;
    Ok(File {
        path,
        name: plugin.to_owned(),
        sha256: source.and_then(|source| source.sha256.clone()),
    })
}
