//! One manifest as it stands in its file: checked, variables expanded, every line known.

use std::{
    collections::BTreeMap,
    ops::{Range, RangeInclusive},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde_json::{Map, Number, Value};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{
    Keys, Location, Module, PluginSource, ProfileError, ServerSettings, Slot,
    vars::{ExpandError, expand},
};

/// How long a lease may be: what is shorter costs more than it gives, and nobody waits longer.
const LEASE_SECONDS: RangeInclusive<u64> = 2..=3600;

/// What one file says.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) extends: Option<(String, Location)>,
    pub(crate) slots: BTreeMap<Module, Slot>,
    pub(crate) plugins: BTreeMap<String, PluginSource>,
    pub(crate) server: ServerSettings,
}

/// The text of a manifest, and what is needed to make sense of it.
pub(crate) struct Reader<'a> {
    /// The file, as error messages name it.
    pub(crate) file: Arc<str>,
    /// The folder of the file; none for what is built in.
    pub(crate) folder: Option<&'a Path>,
    /// Its text.
    pub(crate) text: &'a str,
    /// The environment.
    pub(crate) env: &'a dyn Fn(&str) -> Option<String>,
}

type Result<T> = std::result::Result<T, ProfileError>;

impl Reader<'_> {
    /// The file as TOML.
    fn parse(&self) -> Result<Spanned<DeTable<'_>>> {
        DeTable::parse(self.text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            // The parser's message may span lines; an error of ours is one.
            let message = error.message().replace('\n', ", ");
            ProfileError::invalid(self.at(at), message)
        })
    }

    /// A file of settings for the plugin of this name.
    pub(crate) fn settings(&self, plugin: &str) -> Result<Slot> {
        let mut slot = Slot {
            plugin: plugin.to_owned(),
            settings: Map::new(),
            location: self.at(0),
            lines: BTreeMap::new(),
        };
        for (key, value) in self.parse()?.get_ref() {
            let name = key.get_ref().as_ref();
            slot.lines
                .insert(name.to_owned(), self.line(key.span().start));
            let setting = self.value(name, name, value, &mut slot.lines)?;
            slot.settings.insert(name.to_owned(), setting);
        }
        Ok(slot)
    }

    pub(crate) fn read(&self) -> Result<Document> {
        let table = self.parse()?;
        let mut document = Document {
            extends: None,
            slots: BTreeMap::new(),
            plugins: BTreeMap::new(),
            server: ServerSettings::default(),
        };
        for (key, value) in table.get_ref() {
            let location = self.at(key.span().start);
            match key.get_ref().as_ref() {
                "extends" => document.extends = Some((self.string("extends", value)?, location)),
                "plugins" => document.plugins = self.plugins(value)?,
                "server" => document.server = self.server(value, location)?,
                word => match Module::parse(word) {
                    Some(module) => {
                        let slot = self.slot(module, value, location)?;
                        document.slots.insert(module, slot);
                    }
                    None => {
                        let modules = Module::ALL.map(Module::as_str).join(", ");
                        return Err(ProfileError::invalid(
                            location,
                            format!(
                                "unknown key `{word}`; a profile has extends, {modules}, \
                                 plugins and server"
                            ),
                        ));
                    }
                },
            }
        }
        Ok(document)
    }

    fn slot(&self, module: Module, value: &Spanned<DeValue<'_>>, at: Location) -> Result<Slot> {
        let table = self.table(module.as_str(), value)?;
        let mut plugin = None;
        let mut settings = Map::new();
        let mut lines = BTreeMap::new();
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            let dotted = format!("{module}.{name}");
            lines.insert(name.to_owned(), self.line(key.span().start));
            if name == "plugin" {
                plugin = Some(self.plugin_name(&dotted, value)?);
            } else {
                let setting = self.value(&dotted, name, value, &mut lines)?;
                settings.insert(name.to_owned(), setting);
            }
        }
        let Some(plugin) = plugin else {
            return Err(ProfileError::invalid(
                at,
                format!(
                    "[{module}] names no `plugin`; a slot replaces the one it inherits whole, so \
                     it names its plugin too"
                ),
            ));
        };
        Ok(Slot {
            plugin,
            settings,
            location: at,
            lines,
        })
    }

    /// The name of a plugin becomes part of a file name.
    fn plugin_name(&self, key: &str, value: &Spanned<DeValue<'_>>) -> Result<String> {
        let name = self.string(key, value)?;
        if is_name(&name) {
            return Ok(name);
        }
        Err(ProfileError::invalid(
            self.at(value.span().start),
            format!(
                "{key}: `{name}` is not the name of a plugin (letters, digits, `-` and `_`); for \
                 a file of your own give it a name, and the file in [plugins.NAME] path"
            ),
        ))
    }

    fn plugins(&self, value: &Spanned<DeValue<'_>>) -> Result<BTreeMap<String, PluginSource>> {
        let mut plugins = BTreeMap::new();
        for (key, value) in self.table("plugins", value)? {
            let name = key.get_ref().as_ref();
            let at = self.at(key.span().start);
            let dotted = format!("plugins.{name}");
            if !is_name(name) {
                return Err(ProfileError::invalid(
                    at,
                    format!("`{name}` is not the name of a plugin (letters, digits, `-` and `_`)"),
                ));
            }
            let mut source = PluginSource {
                path: None,
                sha256: None,
                location: at,
            };
            for (key, value) in self.table(&dotted, value)? {
                let field = key.get_ref().as_ref();
                let dotted = format!("{dotted}.{field}");
                match field {
                    "path" => source.path = Some(self.path(&self.string(&dotted, value)?)),
                    "sha256" => source.sha256 = Some(self.sha256(&dotted, value)?),
                    _ => {
                        return Err(ProfileError::invalid(
                            self.at(key.span().start),
                            format!("unknown key `{dotted}`; a plugin has path and sha256"),
                        ));
                    }
                }
            }
            plugins.insert(name.to_owned(), source);
        }
        Ok(plugins)
    }

    fn path(&self, text: &str) -> PathBuf {
        let path = PathBuf::from(text);
        match self.folder {
            Some(folder) if path.is_relative() && text.contains('/') => folder.join(path),
            _ => path,
        }
    }

    fn sha256(&self, key: &str, value: &Spanned<DeValue<'_>>) -> Result<String> {
        let text = self.string(key, value)?.to_ascii_lowercase();
        if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(text);
        }
        Err(ProfileError::invalid(
            self.at(value.span().start),
            format!("{key} is not a SHA-256: 64 hexadecimal digits, as `sha256sum FILE` prints"),
        ))
    }

    fn server(&self, value: &Spanned<DeValue<'_>>, at: Location) -> Result<ServerSettings> {
        let mut server = ServerSettings {
            location: Some(at),
            ..ServerSettings::default()
        };
        for (key, value) in self.table("server", value)? {
            match key.get_ref().as_ref() {
                "keys" => {
                    server.keys = match self.string("server.keys", value)?.as_str() {
                        "file" => Keys::File,
                        "memory" => Keys::Memory,
                        "store" => Keys::Store,
                        other => {
                            return Err(ProfileError::invalid(
                                self.at(value.span().start),
                                format!(
                                    "server.keys is `{other}`; it may be `file`, `memory` or `store`"
                                ),
                            ));
                        }
                    }
                }
                "lease_seconds" => server.lease = Some(self.lease(value)?),
                other => {
                    return Err(ProfileError::invalid(
                        self.at(key.span().start),
                        format!(
                            "unknown key `server.{other}`; [server] has keys and lease_seconds"
                        ),
                    ));
                }
            }
        }
        Ok(server)
    }

    fn lease(&self, value: &Spanned<DeValue<'_>>) -> Result<Duration> {
        let key = "server.lease_seconds";
        let DeValue::Integer(integer) = value.get_ref() else {
            return Err(self.wrong_type(key, "a number of seconds", value));
        };
        u64::from_str_radix(integer.as_str(), integer.radix())
            .ok()
            .filter(|seconds| LEASE_SECONDS.contains(seconds))
            .map(Duration::from_secs)
            .ok_or_else(|| {
                let (least, most) = (LEASE_SECONDS.start(), LEASE_SECONDS.end());
                ProfileError::invalid(
                    self.at(value.span().start),
                    format!("{key} is {integer}; it may be {least} to {most}"),
                )
            })
    }

    /// A setting as JSON, which is how a plugin takes it. `path` is its dotted key within the
    /// slot, under which the lines of what is inside it are noted.
    fn value(
        &self,
        key: &str,
        path: &str,
        value: &Spanned<DeValue<'_>>,
        lines: &mut BTreeMap<String, usize>,
    ) -> Result<Value> {
        let out_of_range = |what: &str| {
            ProfileError::invalid(
                self.at(value.span().start),
                format!("{key}: {what} cannot be passed to a plugin"),
            )
        };
        Ok(match value.get_ref() {
            DeValue::String(_) => Value::String(self.string(key, value)?),
            DeValue::Boolean(boolean) => Value::Bool(*boolean),
            DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix())
                .map(Value::from)
                .map_err(|_| out_of_range("an integer of more than 64 bits"))?,
            DeValue::Float(float) => {
                let float: f64 = float.as_str().parse().unwrap_or(f64::NAN);
                Number::from_f64(float)
                    .map(Value::Number)
                    .ok_or_else(|| out_of_range("a number that is not finite"))?
            }
            // JSON has no dates; plugins take them as RFC 3339 strings.
            DeValue::Datetime(datetime) => Value::String(datetime.to_string()),
            DeValue::Array(array) => {
                let mut values = Vec::with_capacity(array.len());
                for (index, item) in array.iter().enumerate() {
                    let path = format!("{path}[{index}]");
                    lines.insert(path.clone(), self.line(item.span().start));
                    values.push(self.value(&format!("{key}[{index}]"), &path, item, lines)?);
                }
                Value::Array(values)
            }
            DeValue::Table(table) => {
                let mut map = Map::new();
                for (inner, item) in table {
                    let name = inner.get_ref().as_ref();
                    let path = format!("{path}.{name}");
                    lines.insert(path.clone(), self.line(inner.span().start));
                    let item = self.value(&format!("{key}.{name}"), &path, item, lines)?;
                    map.insert(name.to_owned(), item);
                }
                Value::Object(map)
            }
        })
    }

    fn string(&self, key: &str, value: &Spanned<DeValue<'_>>) -> Result<String> {
        let location = self.at(value.span().start);
        let Some(text) = value.get_ref().as_str() else {
            return Err(self.wrong_type(key, "a string", value));
        };
        expand(text, self.env).map_err(|error| match error {
            ExpandError::Missing(variable) => ProfileError::MissingVariable {
                location,
                key: key.to_owned(),
                variable,
            },
            ExpandError::Malformed(why) => ProfileError::invalid(location, format!("{key}: {why}")),
        })
    }

    fn table<'t, 'i>(&self, key: &str, value: &'t Spanned<DeValue<'i>>) -> Result<&'t DeTable<'i>> {
        value
            .get_ref()
            .as_table()
            .ok_or_else(|| self.wrong_type(key, "a table", value))
    }

    fn wrong_type(&self, key: &str, wanted: &str, value: &Spanned<DeValue<'_>>) -> ProfileError {
        let got = match value.get_ref().type_str() {
            kind @ ("integer" | "array") => format!("an {kind}"),
            kind => format!("a {kind}"),
        };
        ProfileError::invalid(
            self.at(value.span().start),
            format!("{key} must be {wanted}, not {got}"),
        )
    }

    fn at(&self, offset: usize) -> Location {
        Location {
            file: self.file.clone(),
            line: self.line(offset),
        }
    }

    fn line(&self, offset: usize) -> usize {
        let before: Range<usize> = 0..offset.min(self.text.len());
        1 + self.text.as_bytes()[before]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count()
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}
