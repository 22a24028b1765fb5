//! One manifest as it stands in its file: checked, variables expanded, every line known.

use std::{
    collections::BTreeMap,
    ops::{Range, RangeInclusive},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use micro_plugin_api::userinfo;
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
    /// The file as TOML; nothing of it where it is none, and every mistake.
    fn parse(&self, wrong: &mut Vec<ProfileError>) -> Spanned<DeTable<'_>> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        if errors.is_empty() {
            return table;
        }
        // What else the parser says of a line follows from the first that it says.
        let mut lines = BTreeMap::new();
        for error in errors {
            let location = self.at(error.span().map_or(0, |span| span.start));
            // The parser's message may span lines; an error of ours is one.
            let message = error.message().replace('\n', ", ");
            let line = location.line;
            let error = ProfileError::invalid(location, message);
            lines.entry(line).or_insert(error);
        }
        wrong.extend(lines.into_values());
        Spanned::new(0..0, DeTable::new())
    }

    /// A file of settings for the plugin of this name.
    pub(crate) fn settings(&self, plugin: &str, wrong: &mut Vec<ProfileError>) -> Slot {
        let mut slot = Slot {
            plugin: plugin.to_owned(),
            settings: Map::new(),
            location: self.at(0),
            lines: BTreeMap::new(),
        };
        for (key, value) in self.parse(wrong).get_ref() {
            let name = key.get_ref().as_ref();
            slot.lines
                .insert(name.to_owned(), self.line(key.span().start));
            let setting = self.value(name, name, value, &mut slot.lines, wrong);
            slot.settings.insert(name.to_owned(), setting);
        }
        slot
    }

    /// What the file says, as far as it makes sense; what does not is noted.
    pub(crate) fn read(&self, wrong: &mut Vec<ProfileError>) -> Document {
        let table = self.parse(wrong);
        let mut document = Document {
            extends: None,
            slots: BTreeMap::new(),
            plugins: BTreeMap::new(),
            server: ServerSettings::default(),
        };
        for (key, value) in table.get_ref() {
            let location = self.at(key.span().start);
            let read = match key.get_ref().as_ref() {
                "extends" => self
                    .string("extends", value)
                    .map(|name| document.extends = Some((name, location))),
                "plugins" => self
                    .plugins(value, wrong)
                    .map(|plugins| document.plugins = plugins),
                "server" => self
                    .server(value, location, wrong)
                    .map(|server| document.server = server),
                word => match Module::parse(word) {
                    Some(module) => self.slot(module, value, location, wrong).map(|slot| {
                        document.slots.insert(module, slot);
                    }),
                    None => {
                        let modules = Module::ALL.map(Module::as_str).join(", ");
                        Err(ProfileError::invalid(
                            location,
                            format!(
                                "unknown key `{word}`; a profile has extends, {modules}, \
                                 plugins and server"
                            ),
                        ))
                    }
                },
            };
            wrong.extend(read.err());
        }
        document
    }

    fn slot(
        &self,
        module: Module,
        value: &Spanned<DeValue<'_>>,
        at: Location,
        wrong: &mut Vec<ProfileError>,
    ) -> Result<Slot> {
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
                let setting = self.value(&dotted, name, value, &mut lines, wrong);
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
        let name = userinfo::hide_in_value(&name);
        Err(ProfileError::invalid(
            self.at(value.span().start),
            format!(
                "{key}: `{name}` is not the name of a plugin (letters, digits, `-` and `_`); for \
                 a file of your own give it a name, and the file in [plugins.NAME] path"
            ),
        ))
    }

    fn plugins(
        &self,
        value: &Spanned<DeValue<'_>>,
        wrong: &mut Vec<ProfileError>,
    ) -> Result<BTreeMap<String, PluginSource>> {
        let mut plugins = BTreeMap::new();
        for (key, value) in self.table("plugins", value)? {
            let name = key.get_ref().as_ref();
            let at = self.at(key.span().start);
            let dotted = format!("plugins.{name}");
            if !is_name(name) {
                wrong.push(ProfileError::invalid(
                    at,
                    format!("`{name}` is not the name of a plugin (letters, digits, `-` and `_`)"),
                ));
                continue;
            }
            let mut source = PluginSource {
                path: None,
                sha256: None,
                location: at,
            };
            let table = match self.table(&dotted, value) {
                Ok(table) => table,
                Err(error) => {
                    wrong.push(error);
                    continue;
                }
            };
            for (key, value) in table {
                let field = key.get_ref().as_ref();
                let dotted = format!("{dotted}.{field}");
                let read = match field {
                    "path" => self
                        .path(&dotted, value)
                        .map(|path| source.path = Some(path)),
                    "sha256" => self
                        .sha256(&dotted, value)
                        .map(|sha256| source.sha256 = Some(sha256)),
                    _ => Err(ProfileError::invalid(
                        self.at(key.span().start),
                        format!("unknown key `{dotted}`; a plugin has path and sha256"),
                    )),
                };
                wrong.extend(read.err());
            }
            plugins.insert(name.to_owned(), source);
        }
        Ok(plugins)
    }

    fn path(&self, key: &str, value: &Spanned<DeValue<'_>>) -> Result<PathBuf> {
        let text = self.string(key, value)?;
        // Where it is taken for a path it is shown as one, and may hold a password.
        if text.contains("://") {
            return Err(ProfileError::invalid(
                self.at(value.span().start),
                format!("{key} is a URL; it names a file of this machine"),
            ));
        }
        let path = PathBuf::from(&text);
        Ok(match self.folder {
            Some(folder) if path.is_relative() && text.contains('/') => folder.join(path),
            _ => path,
        })
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

    fn server(
        &self,
        value: &Spanned<DeValue<'_>>,
        at: Location,
        wrong: &mut Vec<ProfileError>,
    ) -> Result<ServerSettings> {
        let mut server = ServerSettings {
            location: Some(at),
            ..ServerSettings::default()
        };
        for (key, value) in self.table("server", value)? {
            let read = match key.get_ref().as_ref() {
                "keys" => self.keys(value).map(|keys| server.keys = keys),
                "lease_seconds" => self.lease(value).map(|lease| server.lease = Some(lease)),
                other => Err(ProfileError::invalid(
                    self.at(key.span().start),
                    format!("unknown key `server.{other}`; [server] has keys and lease_seconds"),
                )),
            };
            wrong.extend(read.err());
        }
        Ok(server)
    }

    fn keys(&self, value: &Spanned<DeValue<'_>>) -> Result<Keys> {
        match self.string("server.keys", value)?.as_str() {
            "file" => Ok(Keys::File),
            "memory" => Ok(Keys::Memory),
            "store" => Ok(Keys::Store),
            // Who took it for the place of a key wrote that, which is not to be shown.
            _ => Err(ProfileError::invalid(
                self.at(value.span().start),
                "server.keys says where keys come from; it may be `file`, `memory` or `store`",
            )),
        }
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

    /// A setting as JSON, which is how a plugin takes it; null, with a note, where it cannot. `path`
    /// is its dotted key within the slot, under which the lines of what is inside it are noted.
    fn value(
        &self,
        key: &str,
        path: &str,
        value: &Spanned<DeValue<'_>>,
        lines: &mut BTreeMap<String, usize>,
        wrong: &mut Vec<ProfileError>,
    ) -> Value {
        let out_of_range = |what: &str| {
            ProfileError::invalid(
                self.at(value.span().start),
                format!("{key}: {what} cannot be passed to a plugin"),
            )
        };
        let read = match value.get_ref() {
            DeValue::String(_) => self.string(key, value).map(Value::String),
            DeValue::Boolean(boolean) => Ok(Value::Bool(*boolean)),
            DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix())
                .map(Value::from)
                .map_err(|_| out_of_range("an integer of more than 64 bits")),
            DeValue::Float(float) => {
                let float: f64 = float.as_str().parse().unwrap_or(f64::NAN);
                Number::from_f64(float)
                    .map(Value::Number)
                    .ok_or_else(|| out_of_range("a number that is not finite"))
            }
            // JSON has no dates; plugins take them as RFC 3339 strings.
            DeValue::Datetime(datetime) => Ok(Value::String(datetime.to_string())),
            DeValue::Array(array) => {
                let mut values = Vec::with_capacity(array.len());
                for (index, item) in array.iter().enumerate() {
                    let path = format!("{path}[{index}]");
                    lines.insert(path.clone(), self.line(item.span().start));
                    let key = format!("{key}[{index}]");
                    values.push(self.value(&key, &path, item, lines, wrong));
                }
                Ok(Value::Array(values))
            }
            DeValue::Table(table) => {
                let mut map = Map::new();
                for (inner, item) in table {
                    let name = inner.get_ref().as_ref();
                    let path = format!("{path}.{name}");
                    lines.insert(path.clone(), self.line(inner.span().start));
                    let item = self.value(&format!("{key}.{name}"), &path, item, lines, wrong);
                    map.insert(name.to_owned(), item);
                }
                Ok(Value::Object(map))
            }
        };
        read.unwrap_or_else(|error| {
            wrong.push(error);
            Value::Null
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
        // In the words of `micro profile check` about settings.
        let got = match value.get_ref() {
            DeValue::Integer(_) => "an integer".to_owned(),
            DeValue::Float(_) => "a number".to_owned(),
            DeValue::Array(_) => "a list".to_owned(),
            other => format!("a {}", other.type_str()),
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
