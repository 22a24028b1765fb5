//! The help of a service, made from its registry record.

use std::fmt::Write as _;

use micro_proto::registry::{Endpoint, Service, Value as Field};

/// The commands of a service: its endpoints as they are typed.
pub(super) fn of_service(name: &str, service: &Service) -> String {
    let mut commands: Vec<String> = service
        .endpoints
        .iter()
        .map(|endpoint| command(name, &endpoint.name))
        .collect();
    commands.sort();
    commands.dedup();
    let mut page = format!(
        "NAME:\n\tmicro {name}\n\nVERSION:\n\t{}\n\nUSAGE:\n\tmicro {name} [command]\n\nCOMMANDS:\n",
        service.version
    );
    for command in commands {
        let _infallible = writeln!(page, "\t{command}");
    }
    page
}

/// The flags of one endpoint; `names` are the words that name it.
pub(super) fn of_endpoint(names: &[String], endpoint: &Endpoint) -> String {
    let title = names.join(" ");
    let mut page = format!("NAME:\n\tmicro {title}\n\nUSAGE:\n\tmicro {title} [flags]\n\nFLAGS:\n");
    if let Some(request) = &endpoint.request {
        flags(&mut page, "", &request.values);
    }
    page
}

/// `Registry.GetService` of `registry` is `getService`, `BlobStore.Read` of `store` is `blobStore read`.
fn command(service: &str, endpoint: &str) -> String {
    let typed: Vec<String> = endpoint.split('.').map(lower_first).collect();
    let typed = typed.join(".");
    let own = format!("{}.", lower_first(service));
    typed
        .strip_prefix(&own)
        .unwrap_or(&typed)
        .replacen('.', " ", 1)
}

fn lower_first(name: &str) -> String {
    let mut letters = name.chars();
    match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => String::new(),
    }
}

fn flags(page: &mut String, prefix: &str, fields: &[Field]) {
    for field in fields {
        if field.values.is_empty() {
            let _infallible = writeln!(page, "\t--{prefix}{} {}", field.name, field.r#type);
        } else {
            flags(page, &format!("{prefix}{}_", field.name), &field.values);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_endpoints_as_they_are_typed() {
        for (service, endpoint, expected) in [
            ("registry", "Registry.GetService", "getService"),
            ("helloworld", "Helloworld.Call", "call"),
            ("store", "BlobStore.Read", "blobStore read"),
            ("foo", "Helloworld.PingPong", "helloworld pingPong"),
        ] {
            assert_eq!(command(service, endpoint), expected);
        }
    }

    #[test]
    fn the_pages_have_tabs() {
        let field = |name: &str, kind: &str, values| Field {
            name: name.into(),
            r#type: kind.into(),
            values,
        };
        let options = vec![
            field("ttl", "int64", vec![]),
            field("domain", "string", vec![]),
        ];
        let request = field(
            "GetRequest",
            "GetRequest",
            vec![
                field("service", "string", vec![]),
                field("options", "Options", options),
            ],
        );
        let endpoint = Endpoint {
            name: "Registry.GetService".into(),
            request: Some(request),
            ..Endpoint::default()
        };
        let names = ["registry".to_owned(), "getService".to_owned()];
        assert_eq!(
            of_endpoint(&names, &endpoint),
            "NAME:\n\tmicro registry getService\n\nUSAGE:\n\tmicro registry getService [flags]\n\n\
             FLAGS:\n\t--service string\n\t--options_ttl int64\n\t--options_domain string\n"
        );
        let service = Service {
            name: "registry".into(),
            version: "latest".into(),
            endpoints: vec![endpoint],
            ..Service::default()
        };
        assert_eq!(
            of_service("registry", &service),
            "NAME:\n\tmicro registry\n\nVERSION:\n\tlatest\n\nUSAGE:\n\tmicro registry [command]\n\n\
             COMMANDS:\n\tgetService\n"
        );
    }
}
