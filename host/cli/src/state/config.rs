//! `config.json`: values under dotted keys, nested objects in the file.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::files;
use crate::error::{CliError, Result};

/// The config file as it was when it was read; changes go to the file at once.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    path: PathBuf,
    tree: Map<String, Value>,
}

impl Config {
    /// Reads the file. One that does not exist says `env` is `local`.
    ///
    /// # Errors
    /// It cannot be read, or is not a JSON object.
    pub(crate) fn open(path: PathBuf) -> Result<Self> {
        let tree = parse(&path, files::read(&path)?)?;
        Ok(Self { path, tree })
    }

    /// The value under a dotted key as text: a string as it is, anything else as JSON. Empty counts as absent.
    pub(crate) fn get(&self, key: &str) -> Option<String> {
        let mut parts = key.split('.');
        let first = self.tree.get(parts.next()?)?;
        let value = parts.try_fold(first, |value, part| value.as_object()?.get(part))?;
        match value {
            Value::Null => None,
            Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
            other => Some(other.to_string()),
        }
    }

    /// Sets the value under a dotted key, in the file too.
    ///
    /// # Errors
    /// The key is blank or leads through a value that is not an object, or the file cannot be written.
    pub(crate) fn set(&mut self, key: &str, value: &str) -> Result<()> {
        self.update(|tree| insert(tree, key, value))
    }

    /// Changes several values in one turn, in the file too.
    pub(super) fn update(
        &mut self,
        change: impl FnOnce(&mut Map<String, Value>) -> Result<()>,
    ) -> Result<()> {
        let path = self.path.clone();
        self.tree = files::update(&path, |old| {
            let mut tree = parse(&path, old)?;
            change(&mut tree)?;
            let text = format!("{}\n", Value::Object(tree.clone()));
            Ok((Some(text), tree))
        })?;
        Ok(())
    }
}

fn parse(path: &Path, text: Option<String>) -> Result<Map<String, Value>> {
    let text = text.filter(|text| !text.trim().is_empty());
    let Some(text) = text else {
        let local = ("env".to_owned(), Value::from("local"));
        return Ok(Map::from_iter([local]));
    };
    serde_json::from_str(&text).map_err(|error| {
        CliError::plain(format!(
            "The config file {} is not a JSON object: {error}",
            path.display()
        ))
        .hint("correct it, or remove it to start afresh")
    })
}

fn insert(tree: &mut Map<String, Value>, key: &str, value: &str) -> Result<()> {
    if key.split('.').any(str::is_empty) {
        return Err(CliError::plain(format!(
            "\"{key}\" is not a key: it has an empty part"
        )));
    }
    let (groups, name) = key.rsplit_once('.').unwrap_or(("", key));
    let mut tree = tree;
    for group in groups.split('.').filter(|group| !group.is_empty()) {
        let entry = tree
            .entry(group)
            .or_insert_with(|| Value::Object(Map::new()));
        // What was deleted is an empty string, which may make room for a group.
        if entry.is_null() || entry == "" {
            *entry = Value::Object(Map::new());
        }
        tree = entry.as_object_mut().ok_or_else(|| {
            CliError::plain(format!(
                "Cannot set {key}: {group} is a value, not a group of keys"
            ))
        })?;
    }
    tree.insert(name.to_owned(), Value::from(value));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dotted_keys_are_nested_objects() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        let mut config = Config::open(path.clone()).unwrap();
        assert_eq!(config.get("env").as_deref(), Some("local"));
        config.set("namespaces.local.current", "foo").unwrap();
        config.set("local.current-user", "admin").unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let tree: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            tree,
            serde_json::json!({
                "env": "local",
                "namespaces": {"local": {"current": "foo"}},
                "local": {"current-user": "admin"}
            })
        );
        let again = Config::open(path).unwrap();
        assert_eq!(
            again.get("namespaces.local.current").as_deref(),
            Some("foo")
        );
        assert_eq!(again.get("namespaces.other"), None);
        assert_eq!(again.get("env.sub"), None);
    }

    #[test]
    fn a_value_is_not_turned_into_a_group() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::open(folder.path().join("config.json")).unwrap();
        let error = config.set("env.a", "1").unwrap_err();
        assert_eq!(
            error.message,
            "Cannot set env.a: env is a value, not a group of keys"
        );
        assert!(config.set("a..b", "1").is_err());
        assert!(config.set("", "1").is_err());
        // Deleting makes the value empty, and room.
        config.set("a", "").unwrap();
        config.set("a.b", "1").unwrap();
        assert_eq!(config.get("a.b").as_deref(), Some("1"));
    }

    #[test]
    fn a_broken_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        std::fs::write(&path, "{oops").unwrap();
        let error = Config::open(path.clone()).unwrap_err();
        assert!(error.message.contains(path.to_str().unwrap()), "{error}");
    }
}
