//! Environments: names for the addresses of servers. Three are built in, others live in the config key `envs`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Config, address};
use crate::error::{CliError, Result};

/// One environment, as it is written in the config file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// What users call it.
    #[serde(rename = "Name", alias = "name")]
    pub(crate) name: String,
    /// `HOST:PORT` of its proxy; a host alone means port 443 with TLS.
    #[serde(rename = "ProxyAddress", alias = "proxyAddress", default)]
    pub(crate) address: String,
    /// One line on it, possibly empty: kept for those who wrote it, and not shown.
    #[serde(rename = "Description", alias = "description", default)]
    pub(crate) description: String,
}

/// Name and address of the environments that always exist.
const BUILTIN: [(&str, &str); 3] = [
    ("local", "127.0.0.1:8081"),
    ("dev", "proxy.m3o.dev"),
    ("platform", "proxy.m3o.com"),
];

const KEY: &str = "envs";

/// All environments and which of them is the current one.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    added: BTreeMap<String, Place>,
    current: String,
}

impl Places {
    /// Those of the config file; `chosen` wins over the current one that it names.
    ///
    /// # Errors
    /// The key `envs` cannot be read.
    pub(crate) fn open(config: &Config, chosen: Option<&str>) -> Result<Self> {
        let current = chosen.map(str::to_owned).or_else(|| config.get("env"));
        Ok(Self {
            added: added(config.get(KEY).as_deref())?,
            current: current.unwrap_or_else(|| "local".to_owned()),
        })
    }

    /// The built-in ones, then the others by name. A built-in one cannot be replaced.
    pub(crate) fn all(&self) -> Vec<Place> {
        let builtin = BUILTIN.map(|(name, address)| Place {
            name: name.to_owned(),
            address: address.to_owned(),
            description: String::new(),
        });
        let added = self.added.values();
        let added = added.filter(|place| !is_builtin(&place.name)).cloned();
        builtin.into_iter().chain(added).collect()
    }

    /// The name of the current one, whether it exists or not.
    pub(crate) fn current_name(&self) -> &str {
        &self.current
    }

    /// The current one.
    ///
    /// # Errors
    /// There is none of that name.
    pub(crate) fn current(&self) -> Result<Place> {
        let name = &self.current;
        let mut all = self.all().into_iter();
        all.find(|place| place.name == *name).ok_or_else(|| {
            CliError::plain(format!(
                "Env \"{name}\" not found. See `micro env` for available environments"
            ))
        })
    }

    /// Makes this one current from now on.
    ///
    /// # Errors
    /// There is none of that name.
    pub(crate) fn choose(&self, config: &mut Config, name: &str) -> Result<()> {
        if !self.all().iter().any(|place| place.name == name) {
            return Err(missing(name));
        }
        config.set("env", name)
    }

    /// Adds or replaces one.
    ///
    /// # Errors
    /// The name is built in or cannot be a part of a key, or the address is none.
    pub(crate) fn add(config: &mut Config, name: &str, address: &str) -> Result<()> {
        if is_builtin(name) {
            return Err(CliError::plain(format!(
                "Environment '{name}' is built in and cannot be replaced"
            )));
        }
        let known = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
        if !name.starts_with(char::is_alphanumeric) || !name.chars().all(known) {
            // It is a part of the keys of config files, and typed as a word.
            return Err(CliError::plain(format!(
                "\"{name}\" cannot be the name of an environment: letters, digits, - and _ can, the first of them a letter or digit"
            )));
        }
        if !address.is_empty() {
            address::check(address)?;
        }
        let place = Place {
            name: name.to_owned(),
            address: address.to_owned(),
            description: String::new(),
        };
        edit(config, |added| {
            added.insert(name.to_owned(), place);
            Ok(())
        })
    }

    /// Removes one.
    ///
    /// # Errors
    /// It is current, built in, or does not exist.
    pub(crate) fn remove(&self, config: &mut Config, name: &str) -> Result<()> {
        if name == self.current {
            return Err(CliError::new(
                128,
                format!(
                    "Environment '{name}' is your current environment. Before deleting it, please change your current environment."
                ),
            ));
        }
        if is_builtin(name) {
            return Err(CliError::new(
                128,
                format!("Environment '{name}' is built in and cannot be deleted"),
            ));
        }
        edit(config, |added| match added.remove(name) {
            Some(_) => Ok(()),
            None => Err(missing(name)),
        })
    }
}

fn is_builtin(name: &str) -> bool {
    BUILTIN.iter().any(|(builtin, _)| *builtin == name)
}

fn missing(name: &str) -> CliError {
    CliError::new(128, format!("Environment '{name}' does not exist"))
}

fn added(text: Option<&str>) -> Result<BTreeMap<String, Place>> {
    text.map_or_else(
        || Ok(BTreeMap::new()),
        |text| {
            serde_json::from_str(text).map_err(|error| {
                CliError::plain(format!(
                    "The config key {KEY} cannot be read as environments: {error}"
                ))
            })
        },
    )
}

/// Changes the added ones in one turn, so that two commands at once lose nothing.
fn edit(
    config: &mut Config,
    change: impl FnOnce(&mut BTreeMap<String, Place>) -> Result<()>,
) -> Result<()> {
    config.update(|tree| {
        let mut places = added(tree.get(KEY).and_then(serde_json::Value::as_str))?;
        change(&mut places)?;
        let text = serde_json::to_string(&places).expect("names and texts are always JSON");
        tree.insert(KEY.to_owned(), text.into());
        Ok(())
    })
}
