//! Flags whose type the registry record only names (enums, messages): reflection tells what the name means.

use std::collections::BTreeSet;

use futures::StreamExt as _;
use prost::Message as _;
use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor};
use prost_types::FileDescriptorProto;
use serde_json::Value;
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, ServerReflectionResponse, server_reflection_request::MessageRequest,
    server_reflection_response::MessageResponse,
};

use super::{
    convert,
    request::{Open, place},
};
use crate::{
    error::{CliError, Result},
    session::Session,
};

/// Adds the flags that are left to the request. Where reflection knows nothing either, their looks decide.
///
/// # Errors
/// A value that is not of its field's type (exit code 128), or a failed call.
pub(super) async fn complete(
    session: &Session<'_>,
    service: &str,
    endpoint: &str,
    request: &mut Value,
    open: &[Open<'_>],
) -> Result<()> {
    let message = input(session, service, endpoint).await;
    let Value::Object(request) = request else {
        return Ok(());
    };
    for Open { flag, path } in open {
        let field = message.as_ref().and_then(|message| field(message, path));
        let value = match field {
            Some(field) => typed(&flag.key, &field, &flag.values)?,
            None => by_structure(&flag.key, &flag.values)?,
        };
        place(request, path, value);
    }
    Ok(())
}

/// The message that an endpoint takes; none if reflection does not know it.
async fn input(session: &Session<'_>, service: &str, endpoint: &str) -> Option<MessageDescriptor> {
    let (handler, method) = endpoint.split_once('.')?;
    let symbol = format!("{service}.{handler}");
    let pool = files(
        session,
        MessageRequest::FileContainingSymbol(symbol.clone()),
    )
    .await?;
    let service = pool
        .get_service_by_name(&symbol)
        .or_else(|| pool.services().find(|service| service.name() == handler))?;
    let found = service.methods().find(|one| one.name() == method);
    found.map(|method| method.input())
}

/// The file that is asked for and all that it imports.
async fn files(session: &Session<'_>, first: MessageRequest) -> Option<DescriptorPool> {
    let mut pool = DescriptorPool::new();
    let mut asked = BTreeSet::new();
    let mut wanted = vec![first];
    let mut files = Vec::new();
    while let Some(request) = wanted.pop() {
        for file in ask(session, request).await? {
            let file = FileDescriptorProto::decode(file.as_slice()).ok()?;
            asked.insert(file.name().to_owned());
            for import in &file.dependency {
                if pool.get_file_by_name(import).is_none() && asked.insert(import.clone()) {
                    wanted.push(MessageRequest::FileByFilename(import.clone()));
                }
            }
            files.push(file);
        }
    }
    let mut seen = BTreeSet::new();
    files.retain(|file| seen.insert(file.name().to_owned()));
    pool.add_file_descriptor_protos(files).ok()?;
    Some(pool)
}

async fn ask(session: &Session<'_>, request: MessageRequest) -> Option<Vec<Vec<u8>>> {
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(request),
    };
    let responses = session
        .stream::<_, ServerReflectionResponse>(
            "grpc.reflection.v1",
            "ServerReflection.ServerReflectionInfo",
            &request,
        )
        .await
        .ok()?;
    let response = std::pin::pin!(responses).next().await?.ok()?;
    match response.message_response? {
        MessageResponse::FileDescriptorResponse(files) => Some(files.file_descriptor_proto),
        _ => None,
    }
}

fn field(message: &MessageDescriptor, path: &[String]) -> Option<FieldDescriptor> {
    let (name, inner) = path.split_first()?;
    let found = message.get_field_by_name(name)?;
    if inner.is_empty() {
        return Some(found);
    }
    match found.kind() {
        Kind::Message(message) => field(&message, inner),
        _ => None,
    }
}

/// The JSON of a field whose type is known.
fn typed(key: &str, field: &FieldDescriptor, values: &[Option<String>]) -> Result<Value> {
    let kind = field.kind();
    if !field.is_list() || field.is_map() {
        return one(key, &kind, convert::last(key, values)?);
    }
    let mut list = Vec::new();
    for value in values {
        let text = value.as_deref();
        let text = text.ok_or_else(|| CliError::new(128, format!("--{key} needs a value")))?;
        for element in text.split(',') {
            list.push(one(key, &kind, element)?);
        }
    }
    Ok(Value::Array(list))
}

fn one(key: &str, kind: &Kind, text: &str) -> Result<Value> {
    match kind {
        Kind::Enum(names) => {
            if names.get_value_by_name(text).is_some() {
                return Ok(Value::from(text));
            }
            if let Ok(number) = text.parse::<i32>() {
                return Ok(Value::from(number));
            }
            let upper = text.to_uppercase();
            if names.get_value_by_name(&upper).is_some() {
                return Ok(Value::from(upper));
            }
            let all: Vec<String> = names
                .values()
                .map(|value| value.name().to_owned())
                .collect();
            let error = convert::wrong(key, names.name(), text);
            Err(error.hint(format!("it is one of {}", all.join(", "))))
        }
        Kind::Message(_) => json(key, text),
        _ => Ok(convert::by_looks(&[Some(text.to_owned())])),
    }
}

/// Messages such as timestamps are strings in JSON; what opens with a bracket has to be JSON.
fn json(key: &str, text: &str) -> Result<Value> {
    if text.trim_start().starts_with(['{', '[']) {
        return serde_json::from_str(text)
            .map_err(|error| CliError::new(128, format!("--{key} is not valid JSON: {error}")));
    }
    Ok(convert::by_looks(&[Some(text.to_owned())]))
}

fn by_structure(key: &str, values: &[Option<String>]) -> Result<Value> {
    match values {
        [Some(text)] => json(key, text),
        [None] => Err(CliError::new(128, format!("--{key} needs a value"))),
        several => Ok(convert::by_looks(several)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(path: &[&str], text: &str) -> Result<Value> {
        let pool = micro_proto::descriptor_pool();
        let message = pool.get_message_by_name("auth.CreateRequest").unwrap();
        let path: Vec<String> = path.iter().map(|name| (*name).to_owned()).collect();
        let field = field(&message, &path).unwrap();
        typed("x", &field, &[Some(text.to_owned())])
    }

    #[test]
    fn enums_have_names_and_numbers() {
        let path = ["rule", "access"];
        assert_eq!(check(&path, "GRANTED").unwrap(), json!("GRANTED"));
        assert_eq!(check(&path, "granted").unwrap(), json!("GRANTED"));
        assert_eq!(check(&path, "2").unwrap(), json!(2));
        let error = check(&path, "maybe").unwrap_err();
        assert_eq!(error.message, "--x is Access, which \"maybe\" is not");
        assert!(error.hint.unwrap().contains("UNKNOWN, GRANTED, DENIED"));
    }

    #[test]
    fn messages_are_json() {
        let path = ["rule", "resource"];
        assert_eq!(
            check(&path, "{\"name\":\"a\"}").unwrap(),
            json!({"name": "a"})
        );
        assert!(check(&path, "{oops").is_err());
    }

    #[test]
    fn without_reflection_looks_decide() {
        let given = |text: &str| vec![Some(text.to_owned())];
        assert_eq!(
            by_structure("x", &given("GRANTED")).unwrap(),
            json!("GRANTED")
        );
        assert_eq!(
            by_structure("x", &given("{\"a\":1}")).unwrap(),
            json!({"a": 1})
        );
        assert!(by_structure("x", &[None]).is_err());
    }
}
