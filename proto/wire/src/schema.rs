//! What the registry says about the endpoints of a service, made from its descriptors.

use std::collections::HashMap;

use micro_proto::registry::{Endpoint, Value};
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor, ServiceDescriptor};

/// How deep messages are described; what lies deeper has a type and no fields.
const DEPTH: usize = 6;

/// The metadata key of an endpoint that streams, either way.
pub const STREAM: &str = "stream";

/// Every endpoint of a service, named `Handler.Method`, with the fields of its request and response.
/// One that streams carries its real messages too, and `stream=true`.
#[must_use]
pub fn endpoints(service: &ServiceDescriptor) -> Vec<Endpoint> {
    service
        .methods()
        .map(|method| {
            let mut metadata = HashMap::new();
            if method.is_client_streaming() || method.is_server_streaming() {
                metadata.insert(STREAM.to_owned(), "true".to_owned());
            }
            Endpoint {
                name: format!("{}.{}", service.name(), method.name()),
                request: Some(message_value(method.input().name(), &method.input(), DEPTH)),
                response: Some(message_value(
                    method.output().name(),
                    &method.output(),
                    DEPTH,
                )),
                metadata,
            }
        })
        .collect()
}

fn message_value(name: &str, message: &MessageDescriptor, depth: usize) -> Value {
    let values = match depth.checked_sub(1) {
        Some(depth) => message
            .fields()
            .map(|field| field_value(&field, depth))
            .collect(),
        None => Vec::new(),
    };
    Value {
        name: name.to_owned(),
        r#type: message.name().to_owned(),
        values,
    }
}

fn field_value(field: &FieldDescriptor, depth: usize) -> Value {
    let kind = field.kind();
    if field.is_map()
        && let Some(entry) = kind.as_message()
    {
        let key = type_name(&entry.map_entry_key_field().kind());
        let value = type_name(&entry.map_entry_value_field().kind());
        return leaf(field, format!("map[{key}]{value}"));
    }
    if field.is_list() {
        return leaf(field, format!("[]{}", type_name(&kind)));
    }
    match kind {
        Kind::Message(message) => message_value(field.name(), &message, depth),
        kind => leaf(field, type_name(&kind)),
    }
}

fn leaf(field: &FieldDescriptor, r#type: String) -> Value {
    Value {
        name: field.name().to_owned(),
        r#type,
        values: Vec::new(),
    }
}

/// The names that existing command lines and gateways know, which are those of Go.
fn type_name(kind: &Kind) -> String {
    match kind {
        Kind::Double => "float64",
        Kind::Float => "float32",
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => "int32",
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => "int64",
        Kind::Uint32 | Kind::Fixed32 => "uint32",
        Kind::Uint64 | Kind::Fixed64 => "uint64",
        Kind::Bool => "bool",
        Kind::String => "string",
        Kind::Bytes => "[]uint8",
        Kind::Message(message) => return message.name().to_owned(),
        Kind::Enum(r#enum) => return r#enum.name().to_owned(),
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(name: &str) -> ServiceDescriptor {
        micro_proto::descriptor_pool()
            .get_service_by_name(name)
            .unwrap()
    }

    fn render(value: &Value) -> String {
        let fields: Vec<_> = value.values.iter().map(render).collect();
        match fields.is_empty() {
            true => format!("{} {}", value.name, value.r#type),
            false => format!("{} {} {{{}}}", value.name, value.r#type, fields.join(", ")),
        }
    }

    #[test]
    fn store_write_and_streams() {
        let endpoints = endpoints(&service("store.Store"));
        let write = endpoints.iter().find(|e| e.name == "Store.Write").unwrap();
        assert!(write.metadata.is_empty());
        let request = render(write.request.as_ref().unwrap());
        assert!(
            request.starts_with(
                "WriteRequest WriteRequest {record Record {key string, value []uint8, \
                 expiry int64, metadata map[string]Field, version uint64}, \
                 options WriteOptions {database string"
            ),
            "{request}"
        );
        let list = endpoints.iter().find(|e| e.name == "Store.List").unwrap();
        assert_eq!(list.metadata["stream"], "true");
        let response = render(list.response.as_ref().unwrap());
        assert!(response.contains("keys []string"), "{response}");
    }

    #[test]
    fn recursive_messages_end() {
        // registry.Value holds itself; it is a list there, so it ends at once.
        let endpoints = endpoints(&service("registry.Registry"));
        let get = endpoints
            .iter()
            .find(|e| e.name == "Registry.GetService")
            .unwrap();
        assert_eq!(
            render(get.response.as_ref().unwrap()),
            "GetResponse GetResponse {services []Service}"
        );
        let pool = recursive_pool();
        let value = message_value("R", &pool.get_message_by_name("t.R").unwrap(), DEPTH);
        let mut depth = 0;
        let mut inner = &value;
        while let Some(next) = inner.values.first() {
            inner = next;
            depth += 1;
        }
        assert_eq!(depth, DEPTH);
    }

    fn recursive_pool() -> prost_reflect::DescriptorPool {
        use prost_types::{
            DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet,
            field_descriptor_proto::{Label, Type},
        };
        let field = FieldDescriptorProto {
            name: Some("r".into()),
            number: Some(1),
            label: Some(Label::Optional.into()),
            r#type: Some(Type::Message.into()),
            type_name: Some(".t.R".into()),
            ..Default::default()
        };
        let message = DescriptorProto {
            name: Some("R".into()),
            field: vec![field],
            ..Default::default()
        };
        let file = FileDescriptorProto {
            name: Some("t.proto".into()),
            package: Some("t".into()),
            message_type: vec![message],
            syntax: Some("proto3".into()),
            ..Default::default()
        };
        let set = FileDescriptorSet { file: vec![file] };
        prost_reflect::DescriptorPool::from_file_descriptor_set(set).unwrap()
    }
}
