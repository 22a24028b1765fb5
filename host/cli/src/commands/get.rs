//! `micro get service`: a service as the registry knows it, with the messages of its endpoints.

use std::collections::HashMap;

use clap::Subcommand;
use micro_proto::registry::{Endpoint, Service, Value};

use crate::{
    commands::{Outcome, missing},
    error::Result,
    lookup,
    printer::Output,
    session::Session,
};

/// The sub-command, if any.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What to get; nothing prints the help.
    #[command(subcommand)]
    command: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Get a service from the registry e.g micro get service helloworld
    Service {
        /// Its name
        name: Option<String>,
    },
}

/// Prints versions, nodes and endpoints.
pub(crate) async fn run(session: &Session<'_>, args: Args) -> Result<Outcome> {
    let Some(Action::Service { name }) = args.command else {
        return Ok(Outcome::Help);
    };
    let name = name.ok_or_else(|| missing("get service", "NAME"))?;
    let found = lookup::expect(session, &name).await?;
    Ok(Output::Lines(page(&name, &found.versions)).into())
}

fn page(name: &str, versions: &[Service]) -> Vec<String> {
    let mut lines = vec![format!("service  {name}")];
    for service in versions {
        lines.extend([
            String::new(),
            format!("version {}", service.version),
            String::new(),
            "ID\tAddress\tMetadata".to_owned(),
        ]);
        for node in &service.nodes {
            lines.push(format!(
                "{}\t{}\t{}",
                node.id,
                lookup::address(node),
                pairs(&node.metadata)
            ));
        }
    }
    let endpoints = versions.first().map(|service| service.endpoints.iter());
    for endpoint in endpoints.into_iter().flatten() {
        describe(&mut lines, endpoint);
    }
    lines
}

fn describe(lines: &mut Vec<String>, endpoint: &Endpoint) {
    lines.extend([
        String::new(),
        format!("Endpoint: {}", endpoint.name),
        String::new(),
    ]);
    if !endpoint.metadata.is_empty() {
        lines.push(format!("Metadata: {}", pairs(&endpoint.metadata)));
        lines.push(String::new());
    }
    message(lines, "Request:", endpoint.request.as_ref());
    lines.push(String::new());
    message(lines, "Response:", endpoint.response.as_ref());
}

fn message(lines: &mut Vec<String>, title: &str, message: Option<&Value>) {
    let fields = message.map_or(&[][..], |message| &message.values);
    if fields.is_empty() {
        lines.push(format!("{title} {{}}"));
        return;
    }
    lines.push(format!("{title} {{"));
    add_fields(lines, 1, fields);
    lines.push("}".to_owned());
}

fn add_fields(lines: &mut Vec<String>, depth: usize, fields: &[Value]) {
    let indent = "\t".repeat(depth);
    for field in fields {
        let line = format!("{indent}{} {}", field.name, field.r#type);
        if field.values.is_empty() {
            lines.push(line);
        } else {
            lines.push(format!("{line} {{"));
            add_fields(lines, depth + 1, &field.values);
            lines.push(format!("{indent}}}"));
        }
    }
}

/// `k=v,k=v`, in the order of the keys.
fn pairs(metadata: &HashMap<String, String>) -> String {
    let mut pairs: Vec<String> = metadata
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    pairs.sort();
    pairs.join(",")
}

#[cfg(test)]
mod tests {
    use micro_proto::registry::Node;

    use super::*;

    fn field(name: &str, kind: &str, values: Vec<Value>) -> Value {
        Value {
            name: name.into(),
            r#type: kind.into(),
            values,
        }
    }

    #[test]
    fn a_page_has_versions_nodes_and_endpoints() {
        let inner = field("ttl", "int64", vec![]);
        let request = field(
            "GetRequest",
            "GetRequest",
            vec![
                field("service", "string", vec![]),
                field("options", "Options", vec![inner]),
            ],
        );
        let metadata = [("stream", "true"), ("a", "b")];
        let service = Service {
            name: "foo".into(),
            version: "latest".into(),
            nodes: vec![Node {
                id: "foo-1".into(),
                address: "127.0.0.1".into(),
                port: 80,
                metadata: HashMap::from([("protocol".into(), "grpc".into())]),
            }],
            endpoints: vec![Endpoint {
                name: "Foo.Get".into(),
                request: Some(request),
                response: None,
                metadata: metadata.map(|(k, v)| (k.into(), v.into())).into(),
            }],
            ..Service::default()
        };
        let expected = [
            "service  foo",
            "",
            "version latest",
            "",
            "ID\tAddress\tMetadata",
            "foo-1\t127.0.0.1:80\tprotocol=grpc",
            "",
            "Endpoint: Foo.Get",
            "",
            "Metadata: a=b,stream=true",
            "",
            "Request: {",
            "\tservice string",
            "\toptions Options {",
            "\t\tttl int64",
            "\t}",
            "}",
            "",
            "Response: {}",
        ];
        assert_eq!(page("foo", &[service]), expected);
    }
}
