//! A message into JSON text: every field, by its proto name.

use std::io::Write as _;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use prost_reflect::{
    Cardinality, DynamicMessage, FieldDescriptor, Kind, MapKey, ReflectMessage, SerializeOptions,
    Value,
};
use serde::Serialize;

use super::JsonError;

/// For the messages with a JSON form of their own.
const OPTIONS: SerializeOptions = SerializeOptions::new()
    .stringify_64_bit_integers(true)
    .use_proto_field_name(true)
    .skip_default_fields(false);

/// Writes a message as JSON text.
///
/// Every field is written, unset ones too (`null` for messages), except members of a oneof and
/// optional scalars, whose absence is their meaning. Names are those of the proto, enums are names,
/// 64-bit integers are strings, bytes are standard base64.
///
/// # Errors
/// [`JsonError::Unwritable`] for a well-known type out of its range (a timestamp in year 10000).
pub fn to_json(message: &DynamicMessage) -> Result<Vec<u8>, JsonError> {
    let mut out = Vec::with_capacity(128);
    write_message(&mut out, message)?;
    Ok(out)
}

fn write_message(out: &mut Vec<u8>, message: &DynamicMessage) -> Result<(), JsonError> {
    let descriptor = message.descriptor();
    if descriptor.parent_file().package_name() == "google.protobuf" {
        return message
            .serialize_with_options(&mut serde_json::Serializer::new(&mut *out), &OPTIONS)
            .map_err(|error| {
                JsonError::Unwritable(format!(
                    "a {} has no JSON form: {error}",
                    descriptor.full_name()
                ))
            });
    }
    out.push(b'{');
    let mut first = true;
    for field in descriptor.fields() {
        let set = message.has_field(&field);
        if !set && field.containing_oneof().is_some() {
            continue;
        }
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        write_plain(out, field.name());
        out.push(b':');
        if !set && field.supports_presence() && field.cardinality() != Cardinality::Repeated {
            out.extend_from_slice(b"null");
        } else {
            write_field(out, &field, &message.get_field(&field))?;
        }
    }
    out.push(b'}');
    Ok(())
}

fn write_field(out: &mut Vec<u8>, field: &FieldDescriptor, value: &Value) -> Result<(), JsonError> {
    match value {
        Value::List(values) => {
            let kind = field.kind();
            separated(out, [b'[', b']'], values.iter(), |out, value| {
                write_value(out, &kind, value)
            })
        }
        Value::Map(values) => {
            let entry = field.kind();
            let Some(entry) = entry.as_message() else {
                return Err(JsonError::Unwritable(format!(
                    "field {} is no map",
                    field.name()
                )));
            };
            let kind = entry.map_entry_value_field().kind();
            // In a fixed order, so that one message has one text.
            let mut entries: Vec<_> = values.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            separated(
                out,
                [b'{', b'}'],
                entries.into_iter(),
                |out, (key, value)| {
                    write_key(out, key);
                    out.push(b':');
                    write_value(out, &kind, value)
                },
            )
        }
        value => write_value(out, &field.kind(), value),
    }
}

fn separated<T>(
    out: &mut Vec<u8>,
    [open, close]: [u8; 2],
    items: impl Iterator<Item = T>,
    mut write: impl FnMut(&mut Vec<u8>, T) -> Result<(), JsonError>,
) -> Result<(), JsonError> {
    out.push(open);
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(out, item)?;
    }
    out.push(close);
    Ok(())
}

fn write_value(out: &mut Vec<u8>, kind: &Kind, value: &Value) -> Result<(), JsonError> {
    match value {
        Value::Bool(value) => text(out, value),
        Value::I32(value) => text(out, value),
        Value::U32(value) => text(out, value),
        Value::I64(value) => quoted(out, value),
        Value::U64(value) => quoted(out, value),
        Value::F32(value) if value.is_finite() => json(out, value),
        Value::F64(value) if value.is_finite() => json(out, value),
        Value::F32(value) => write_plain(out, special(f64::from(*value))),
        Value::F64(value) => write_plain(out, special(*value)),
        Value::String(value) => json(out, value),
        Value::Bytes(value) => write_plain(out, &BASE64_STANDARD.encode(value)),
        Value::EnumNumber(number) => match kind.as_enum() {
            Some(names) if names.full_name() == "google.protobuf.NullValue" => text(out, "null"),
            Some(names) => match names.get_value(*number) {
                Some(value) => write_plain(out, value.name()),
                None => text(out, number),
            },
            None => text(out, number),
        },
        Value::Message(message) => return write_message(out, message),
        Value::List(_) | Value::Map(_) => {
            return Err(JsonError::Unwritable(
                "a list of lists is no protobuf value".to_owned(),
            ));
        }
    }
    Ok(())
}

fn write_key(out: &mut Vec<u8>, key: &MapKey) {
    match key {
        MapKey::Bool(key) => quoted(out, key),
        MapKey::I32(key) => quoted(out, key),
        MapKey::I64(key) => quoted(out, key),
        MapKey::U32(key) => quoted(out, key),
        MapKey::U64(key) => quoted(out, key),
        MapKey::String(key) => json(out, key),
    }
}

fn special(value: f64) -> &'static str {
    match value {
        f64::INFINITY => "Infinity",
        f64::NEG_INFINITY => "-Infinity",
        _ => "NaN",
    }
}

/// A string that needs no escapes.
fn write_plain(out: &mut Vec<u8>, value: &str) {
    out.push(b'"');
    out.extend_from_slice(value.as_bytes());
    out.push(b'"');
}

fn quoted(out: &mut Vec<u8>, value: impl std::fmt::Display) {
    out.push(b'"');
    text(out, value);
    out.push(b'"');
}

fn text(out: &mut Vec<u8>, value: impl std::fmt::Display) {
    write!(out, "{value}").expect("memory takes any text");
}

fn json<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(out, value).expect("strings and finite numbers are always JSON");
}
