//! The request of a dynamic command: each flag finds its field in the schema, and its value its place in the JSON.

use micro_proto::registry::{Endpoint, Value as Field};
use serde_json::{Map, Value};

use super::{
    convert::{self, Converted},
    words::Flag,
};
use crate::error::{CliError, Result};

/// A flag whose type the record cannot tell: reflection has to.
#[derive(Debug, PartialEq)]
pub(super) struct Open<'a> {
    /// The flag.
    pub(super) flag: &'a Flag,
    /// The names of the fields down to its own.
    pub(super) path: Vec<String>,
}

/// The request as far as the record tells, and the flags that are left.
///
/// # Errors
/// An unknown flag, or a value that is not of its field's type (exit code 128).
pub(super) fn build<'a>(endpoint: &Endpoint, flags: &'a [Flag]) -> Result<(Value, Vec<Open<'a>>)> {
    let fields = endpoint
        .request
        .as_ref()
        .map_or(&[][..], |request| request.values.as_slice());
    let mut request = Map::new();
    let mut open = Vec::new();
    for flag in flags {
        let Some(found) = find(fields, &flag.key) else {
            if says_nothing(endpoint) {
                request.insert(flag.key.clone(), convert::by_looks(&flag.values));
                continue;
            }
            return Err(CliError::new(128, format!("Unknown flag: {}", flag.key)));
        };
        let path: Vec<String> = found.iter().map(|field| field.name.clone()).collect();
        let kind = found.last().map_or("", |field| field.r#type.as_str());
        match convert::convert(&flag.key, kind, &flag.values)? {
            Converted::Value(value) => place(&mut request, &path, value),
            Converted::Unknown => open.push(Open { flag, path }),
        }
    }
    Ok((Value::Object(request), open))
}

/// Puts a value where its path leads, beside what is there.
pub(super) fn place(request: &mut Map<String, Value>, path: &[String], value: Value) {
    let Some((name, inner)) = path.split_first() else {
        return;
    };
    if inner.is_empty() {
        request.insert(name.clone(), value);
        return;
    }
    let slot = request
        .entry(name.clone())
        .or_insert_with(|| Value::Object(Map::new()));
    if !slot.is_object() {
        *slot = Value::Object(Map::new());
    }
    if let Value::Object(object) = slot {
        place(object, inner, value);
    }
}

/// The fields from the top down to the one that `_`-joined names spell; of several readings the one with the
/// longest names, so that a field `user_email` comes before `email` in a message `user`.
fn find<'a>(fields: &'a [Field], key: &str) -> Option<Vec<&'a Field>> {
    let mut candidates: Vec<&Field> = fields
        .iter()
        .filter(|field| !field.name.is_empty() && key.starts_with(&field.name))
        .collect();
    candidates.sort_by_key(|field| std::cmp::Reverse(field.name.len()));
    candidates.into_iter().find_map(|field| {
        let rest = &key[field.name.len()..];
        if rest.is_empty() {
            return Some(vec![field]);
        }
        let mut path = find(&field.values, rest.strip_prefix('_')?)?;
        path.insert(0, field);
        Some(path)
    })
}

/// What a service of the Go framework registers for a stream: its messages are not known.
fn says_nothing(endpoint: &Endpoint) -> bool {
    let stream = endpoint
        .metadata
        .get("stream")
        .is_some_and(|it| it == "true");
    stream
        && endpoint
            .request
            .as_ref()
            .is_none_or(|request| request.values.is_empty() && request.name == "Context")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::words::Words, *};

    fn field(name: &str, kind: &str, values: Vec<Field>) -> Field {
        Field {
            name: name.to_owned(),
            r#type: kind.to_owned(),
            values,
        }
    }

    fn endpoint(values: Vec<Field>) -> Endpoint {
        Endpoint {
            name: "Svc.Call".to_owned(),
            request: Some(field("Request", "Request", values)),
            ..Endpoint::default()
        }
    }

    fn request(endpoint: &Endpoint, words: &[&str]) -> Result<Value> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let words = Words::parse(&words)?;
        let (request, open) = build(endpoint, &words.flags)?;
        assert!(open.is_empty(), "{open:?}");
        Ok(request)
    }

    /// The 24 cases that the reference's own test of dynamic flags has, all with flat schemas.
    #[test]
    fn flat_schemas() {
        let lists = [
            ("[]string", "a", "b", json!(["a", "b"])),
            ("[]bool", "true", "false", json!([true, false])),
            ("[]int32", "10", "20", json!([10, 20])),
            ("[]int64", "10", "20", json!([10, 20])),
            ("[]float64", "10.1", "20.2", json!([10.1, 20.2])),
        ];
        for (kind, one, two, expected) in lists {
            let endpoint = endpoint(vec![field("ss", kind, vec![])]);
            let spellings: [&[&str]; 4] = [
                &[&format!("--ss={one},{two}")],
                &["--ss", &format!("{one},{two}")],
                &[&format!("--ss={one}"), &format!("--ss={two}")],
                &["--ss", one, "--ss", two],
            ];
            for words in spellings {
                assert_eq!(
                    request(&endpoint, words).unwrap(),
                    json!({"ss": expected}),
                    "{kind} {words:?}"
                );
            }
        }
        let check = |fields: &[&str], kind: &str, words: &[&str], expected: Value| {
            let fields = fields.iter().map(|name| field(name, kind, vec![]));
            let endpoint = endpoint(fields.collect());
            assert_eq!(request(&endpoint, words).unwrap(), expected, "{words:?}");
        };
        check(&["b"], "bool", &["--b"], json!({"b": true}));
        check(
            &["user_email"],
            "string",
            &["--user_email=someemail"],
            json!({"user_email": "someemail"}),
        );
        check(
            &["user_email", "user_name"],
            "string",
            &["--user_email=someemail", "--user_name=somename"],
            json!({"user_email": "someemail", "user_name": "somename"}),
        );
        check(
            &["user_friend_email"],
            "string",
            &["--user_friend_email=hi"],
            json!({"user_friend_email": "hi"}),
        );
    }

    #[test]
    fn nested_fields_are_joined_with_underscores() {
        let options = vec![
            field("ttl", "int64", vec![]),
            field("domain", "string", vec![]),
        ];
        let endpoint = endpoint(vec![
            field("service", "string", vec![]),
            field("options", "Options", options.clone()),
            field("options_extra", "Options", options),
        ]);
        assert_eq!(
            request(
                &endpoint,
                &[
                    "--service=serviceName",
                    "--options_domain=domainExample",
                    "--options_ttl",
                    "5"
                ]
            )
            .unwrap(),
            json!({"service": "serviceName", "options": {"domain": "domainExample", "ttl": 5}})
        );
        assert_eq!(
            request(&endpoint, &["--options_extra_ttl=1"]).unwrap(),
            json!({"options_extra": {"ttl": 1}})
        );
        for unknown in ["nosuch", "options_nosuch", "service_x", "optionsttl"] {
            let error = request(&endpoint, &[&format!("--{unknown}=1")]).unwrap_err();
            assert_eq!(error.message, format!("Unknown flag: {unknown}"));
            assert_eq!(error.code, 128);
        }
    }

    #[test]
    fn streams_of_go_services_take_what_comes() {
        let mut stream = endpoint(vec![]);
        stream.request = Some(field("Context", "Context", vec![]));
        assert!(request(&stream, &["--count=3"]).is_err());
        stream.metadata.insert("stream".into(), "true".into());
        assert_eq!(
            request(&stream, &["--count=3", "--name=x"]).unwrap(),
            json!({"count": 3, "name": "x"})
        );
    }
}
