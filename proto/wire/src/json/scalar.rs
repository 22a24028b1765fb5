//! A scalar of JSON as the scalar that a field wants: numbers, booleans and strings turn into each other.

use std::{borrow::Cow, fmt::Display, str::FromStr};

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use prost_reflect::{EnumDescriptor, Kind, MapKey, Value};

/// A JSON scalar; numbers as they are spelled, so that nothing is lost on the way to a string.
#[derive(Debug)]
pub(super) enum Token<'a> {
    Null,
    Bool(bool),
    Number(Cow<'a, str>),
    Text(Cow<'a, str>),
}

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// What a field of this kind is called in an error.
pub(super) fn describe(kind: &Kind) -> Cow<'static, str> {
    match kind {
        Kind::String => "a string".into(),
        Kind::Bytes => "base64 text".into(),
        Kind::Bool => "true or false".into(),
        Kind::Enum(names) => format!("a name of enum {}", names.name()).into(),
        Kind::Message(_) => "an object".into(),
        _ => "a number".into(),
    }
}

/// The value of a field of this kind.
pub(super) fn coerce(kind: &Kind, token: &Token<'_>) -> Result<Value, String> {
    let text = match token {
        Token::Number(text) | Token::Text(text) => text.as_ref(),
        Token::Bool(true) => "true",
        Token::Bool(false) => "false",
        Token::Null => return Err(format!("expected {}, found null", describe(kind))),
    };
    let wrong = || format!("expected {}, found {}", describe(kind), show(token));
    let is_bool = matches!(token, Token::Bool(_));
    Ok(match kind {
        Kind::String => Value::String(text.to_owned()),
        Kind::Bytes if !is_bool => Value::Bytes(base64(text).ok_or_else(wrong)?.into()),
        Kind::Bool => Value::Bool(boolean(text).ok_or_else(wrong)?),
        Kind::Enum(names) if !is_bool => {
            Value::EnumNumber(number_of(names, text).ok_or_else(wrong)?)
        }
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 if !is_bool => {
            Value::I32(integer(text, "int32").ok_or_else(wrong)??)
        }
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 if !is_bool => {
            Value::I64(integer(text, "int64").ok_or_else(wrong)??)
        }
        Kind::Uint32 | Kind::Fixed32 if !is_bool => {
            Value::U32(integer(text, "uint32").ok_or_else(wrong)??)
        }
        Kind::Uint64 | Kind::Fixed64 if !is_bool => {
            Value::U64(integer(text, "uint64").ok_or_else(wrong)??)
        }
        Kind::Double if !is_bool => Value::F64(float(text).ok_or_else(wrong)?),
        Kind::Float if !is_bool => {
            let wide = float(text).ok_or_else(wrong)?;
            #[expect(
                clippy::cast_possible_truncation,
                reason = "a float field holds the nearest float"
            )]
            let narrow = wide as f32;
            if wide.is_finite() && !narrow.is_finite() {
                return Err(format!("{text} is out of range for float"));
            }
            Value::F32(narrow)
        }
        _ => return Err(wrong()),
    })
}

/// The key of a map, which JSON always spells as a string.
pub(super) fn map_key(kind: &Kind, key: &str) -> Result<MapKey, String> {
    match coerce(kind, &Token::Text(Cow::Borrowed(key)))? {
        Value::String(key) => Ok(MapKey::String(key)),
        Value::Bool(key) => Ok(MapKey::Bool(key)),
        Value::I32(key) => Ok(MapKey::I32(key)),
        Value::I64(key) => Ok(MapKey::I64(key)),
        Value::U32(key) => Ok(MapKey::U32(key)),
        Value::U64(key) => Ok(MapKey::U64(key)),
        _ => Err(format!("a map cannot have {} as key", describe(kind))),
    }
}

fn show(token: &Token<'_>) -> String {
    match token {
        Token::Null => "null".to_owned(),
        Token::Bool(value) => value.to_string(),
        Token::Number(text) => shorten(text),
        Token::Text(text) => format!("the string {:?}", shorten(text)),
    }
}

fn shorten(text: &str) -> String {
    const SHOWN: usize = 40;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" | "t" | "T" | "1" => Some(true),
        "false" | "False" | "FALSE" | "f" | "F" | "0" => Some(false),
        _ => None,
    }
}

fn base64(text: &str) -> Option<Vec<u8>> {
    STANDARD
        .decode(text)
        .or_else(|_| URL_SAFE.decode(text))
        .ok()
}

fn number_of(names: &EnumDescriptor, text: &str) -> Option<i32> {
    // An enum of proto3 is open: any number is a value of it.
    names
        .get_value_by_name(text)
        .map(|value| value.number())
        .or_else(|| text.parse().ok())
}

/// `None` if the text is no number; an error if it is one that the type cannot hold.
fn integer<T: FromStr + TryFrom<i128> + Display>(
    text: &str,
    name: &str,
) -> Option<Result<T, String>> {
    if let Ok(exact) = text.parse() {
        return Some(Ok(exact));
    }
    let value: f64 = number(text)?;
    if value.fract() != 0.0 {
        return Some(Err(format!("{text} is not a whole number")));
    }
    // 1e3 and 1.0 are whole numbers too.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "saturates, and saturated is out of range"
    )]
    let whole = T::try_from(value as i128);
    Some(whole.map_err(|_| format!("{} is out of range for {name}", shorten(text))))
}

fn float(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => number(text),
    }
}

/// A finite number; Rust's own parser takes `inf` and `nan` as well, which JSON does not know.
fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|value: &f64| value.is_finite())
}
