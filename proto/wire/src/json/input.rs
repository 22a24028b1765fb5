//! JSON text into a message, directly: no tree between, and errors know field, line and column.

use std::{borrow::Cow, collections::HashMap, fmt};

use prost_reflect::{
    DeserializeOptions, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value,
};
use serde::{
    Deserialize,
    de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    JsonError,
    scalar::{Token, coerce, describe, map_key},
};

/// Messages inside messages: what protobuf decoders accept at most.
const DEPTH: usize = 100;

/// Reads a message from JSON text.
///
/// Fields are known by their proto name or lowerCamel name, unknown ones are passed over, numbers,
/// booleans and strings turn into what a field wants, and a single scalar is a list of one. Empty
/// text and `null` are the empty message.
///
/// # Errors
/// [`JsonError::Invalid`] with the position, and with the path of the field where there is one.
pub fn from_json(message: &MessageDescriptor, json: &[u8]) -> Result<DynamicMessage, JsonError> {
    let text = std::str::from_utf8(json).map_err(|error| {
        JsonError::Invalid(format!(
            "the body is not UTF-8: invalid byte at {}",
            error.valid_up_to()
        ))
    })?;
    if matches!(text.trim_ascii(), "" | "null") {
        return Ok(DynamicMessage::new(message.clone()));
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    let seed = MessageSeed {
        message,
        path: Path::Root,
        depth: DEPTH,
    };
    seed.deserialize(&mut reader)
        .and_then(|message| reader.end().map(|()| message))
        .map_err(|error| {
            JsonError::Invalid(match error.classify() {
                serde_json::error::Category::Data => error.to_string(),
                _ => format!("invalid JSON: {error}"),
            })
        })
}

/// Where in the message we are; lives on the stack.
#[derive(Clone, Copy)]
enum Path<'a> {
    Root,
    Field(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
    Key(&'a Path<'a>, &'a str),
}

impl Path<'_> {
    /// An error at this place. serde_json adds line and column.
    fn error<E: serde::de::Error>(&self, text: impl fmt::Display) -> E {
        match self {
            Path::Root => E::custom(text),
            path => E::custom(format_args!("field {path}: {text}")),
        }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Field(Self::Root, name) => f.write_str(name),
            Self::Field(parent, name) => write!(f, "{parent}.{name}"),
            Self::Index(parent, index) => write!(f, "{parent}[{index}]"),
            Self::Key(parent, key) => write!(f, "{parent}[{key:?}]"),
        }
    }
}

#[derive(Clone, Copy)]
struct MessageSeed<'a> {
    message: &'a MessageDescriptor,
    path: Path<'a>,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for MessageSeed<'_> {
    type Value = DynamicMessage;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<DynamicMessage, D::Error> {
        if is_well_known(self.message.full_name()) {
            const OPTIONS: DeserializeOptions =
                DeserializeOptions::new().deny_unknown_fields(false);
            return DynamicMessage::deserialize_with_options(
                self.message.clone(),
                reader,
                &OPTIONS,
            )
            .map_err(|error| self.path.error(error));
        }
        if self.depth == 0 {
            return Err(self.path.error("nested too deeply"));
        }
        reader.deserialize_any(self)
    }
}

/// The messages that have a JSON form of their own, which prost-reflect knows.
fn is_well_known(full_name: &str) -> bool {
    full_name
        .strip_prefix("google.protobuf.")
        .is_some_and(|name| {
            matches!(
                name,
                "Any"
                    | "Timestamp"
                    | "Duration"
                    | "Struct"
                    | "FloatValue"
                    | "DoubleValue"
                    | "Int32Value"
                    | "Int64Value"
                    | "UInt32Value"
                    | "UInt64Value"
                    | "BoolValue"
                    | "StringValue"
                    | "BytesValue"
                    | "FieldMask"
                    | "ListValue"
                    | "Value"
                    | "Empty"
            )
        })
}

impl<'de> Visitor<'de> for MessageSeed<'_> {
    type Value = DynamicMessage;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        expecting(f, &self.path, "an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<DynamicMessage, A::Error> {
        let mut message = DynamicMessage::new(self.message.clone());
        while let Some(key) = map.next_key::<Key<'de>>()? {
            let found = self
                .message
                .get_field_by_name(&key.0)
                .or_else(|| self.message.get_field_by_json_name(&key.0));
            let Some(field) = found else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let path = Path::Field(&self.path, field.name());
            let seed = FieldSeed {
                field: &field,
                path,
                depth: self.depth - 1,
            };
            match map.next_value_seed(seed)? {
                Some(value) => message.set_field(&field, value),
                None => message.clear_field(&field),
            }
        }
        Ok(message)
    }
}

fn expecting(f: &mut fmt::Formatter<'_>, path: &Path<'_>, what: &str) -> fmt::Result {
    match path {
        Path::Root => write!(f, "{what}"),
        path => write!(f, "{what} in field {path}"),
    }
}

/// A key without a copy where it has no escapes.
struct Key<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(key)))
            }
            fn visit_str<E>(self, key: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(key.to_owned())))
            }
        }
        reader.deserialize_str(KeyVisitor)
    }
}

/// A field's value; `None` for null, which means unset.
struct FieldSeed<'a> {
    field: &'a FieldDescriptor,
    path: Path<'a>,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for FieldSeed<'_> {
    type Value = Option<Value>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Option<Value>, D::Error> {
        let kind = self.field.kind();
        if self.field.is_map() || self.field.is_list() {
            return reader.deserialize_any(CollectionVisitor { seed: self, kind });
        }
        SingleSeed {
            kind: &kind,
            path: self.path,
            depth: self.depth,
        }
        .deserialize(reader)
    }
}

/// One value that is neither list nor map.
struct SingleSeed<'a> {
    kind: &'a Kind,
    path: Path<'a>,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for SingleSeed<'_> {
    type Value = Option<Value>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Option<Value>, D::Error> {
        let Self { kind, path, depth } = self;
        match kind {
            Kind::Message(message) => {
                let seed = MessageSeed {
                    message,
                    path,
                    depth,
                };
                // Null is a value of google.protobuf.Value, and nothing at all elsewhere.
                if message.full_name() == "google.protobuf.Value" {
                    return seed.deserialize(reader).map(Value::Message).map(Some);
                }
                Ok(reader
                    .deserialize_option(Nullable(seed))?
                    .map(Value::Message))
            }
            Kind::Enum(names) if names.full_name() == "google.protobuf.NullValue" => {
                IgnoredAny::deserialize(reader).map(|_| Some(Value::EnumNumber(0)))
            }
            kind => match token(<&RawValue>::deserialize(reader)?.get()) {
                Ok(Token::Null) => Ok(None),
                Ok(token) => coerce(kind, &token)
                    .map(Some)
                    .map_err(|text| path.error(text)),
                Err(found) => {
                    Err(path.error(format_args!("expected {}, found {found}", describe(kind))))
                }
            },
        }
    }
}

/// The scalar that a raw value is; an error that says what it is instead.
fn token(raw: &str) -> Result<Token<'_>, &'static str> {
    match raw.as_bytes().first() {
        Some(b'{') => Err("an object"),
        Some(b'[') => Err("a list"),
        Some(b'n') => Ok(Token::Null),
        Some(b't') => Ok(Token::Bool(true)),
        Some(b'f') => Ok(Token::Bool(false)),
        Some(b'"') if !raw.contains('\\') => Ok(Token::Text(Cow::Borrowed(&raw[1..raw.len() - 1]))),
        Some(b'"') => serde_json::from_str(raw)
            .map(|text: String| Token::Text(Cow::Owned(text)))
            .map_err(|_| "a string with an invalid escape"),
        _ => Ok(Token::Number(Cow::Borrowed(raw))),
    }
}

struct Nullable<'a>(MessageSeed<'a>);

impl<'de> Visitor<'de> for Nullable<'_> {
    type Value = Option<DynamicMessage>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }
    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_some<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        self.0.deserialize(reader).map(Some)
    }
}

struct CollectionVisitor<'a> {
    seed: FieldSeed<'a>,
    kind: Kind,
}

impl CollectionVisitor<'_> {
    fn one<E: serde::de::Error>(self, token: &Token<'_>) -> Result<Option<Value>, E> {
        if self.seed.field.is_map() {
            return Err(self.seed.path.error("expected an object, found a scalar"));
        }
        let value = coerce(&self.kind, token).map_err(|text| self.seed.path.error(text))?;
        Ok(Some(Value::List(vec![value])))
    }
}

impl<'de> Visitor<'de> for CollectionVisitor<'_> {
    type Value = Option<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.seed.field.is_map() {
            "an object"
        } else {
            "a list"
        };
        expecting(f, &self.seed.path, what)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let FieldSeed { field, path, depth } = self.seed;
        if field.is_map() {
            return Err(path.error("expected an object, found a list"));
        }
        let mut values = Vec::new();
        loop {
            let path = Path::Index(&path, values.len());
            match list.next_element_seed(SingleSeed {
                kind: &self.kind,
                path,
                depth,
            })? {
                Some(Some(value)) => values.push(value),
                Some(None) => return Err(path.error("null cannot stand in a list")),
                None => return Ok(Some(Value::List(values))),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let FieldSeed { field, path, depth } = self.seed;
        let Some(entry) = self.kind.as_message().filter(|_| field.is_map()) else {
            return Err(path.error("expected a list, found an object"));
        };
        let keys = entry.map_entry_key_field().kind();
        let kind = entry.map_entry_value_field().kind();
        let mut values = HashMap::new();
        while let Some(key) = map.next_key::<Key<'de>>()? {
            let path = Path::Key(&path, &key.0);
            let parsed = map_key(&keys, &key.0).map_err(|text| path.error::<A::Error>(text))?;
            let seed = SingleSeed {
                kind: &kind,
                path,
                depth,
            };
            let Some(value) = map.next_value_seed(seed)? else {
                return Err(A::Error::custom(format_args!(
                    "field {path}: null cannot stand in a map"
                )));
            };
            values.insert(parsed, value);
        }
        Ok(Some(Value::Map(values)))
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Self::Value, E> {
        self.one(&Token::Bool(value))
    }
    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Self::Value, E> {
        self.one(&Token::Number(value.to_string().into()))
    }
    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Self::Value, E> {
        self.one(&Token::Number(value.to_string().into()))
    }
    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Self::Value, E> {
        self.one(&Token::Number(value.to_string().into()))
    }
    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Self::Value, E> {
        self.one(&Token::Text(Cow::Borrowed(value)))
    }
}
