//! Which endpoint the words mean: `svc` is `Svc.Call`, `a b` is `A.B`, `a b c` is `B.C`.

use micro_proto::registry::{Endpoint, Service};

use crate::error::{CliError, Result};

/// The endpoint of a service that these names mean, the service's own first.
///
/// # Errors
/// Too many names, or no such endpoint.
pub(super) fn find<'a>(service: &'a Service, names: &[String]) -> Result<&'a Endpoint> {
    let (handler, method, guessed) = match names {
        [service] => (title(service), "Call".to_owned(), true),
        [service, method] => (title(service), title(method), true),
        [_, handler, method] => (title(handler), title(method), false),
        _ => return Err(CliError::new(128, "Incorrect number of arguments")),
    };
    let name = format!("{handler}.{method}");
    let exact = service.endpoints.iter().find(|one| one.name == name);
    exact
        .or_else(|| alike(service, &name))
        .or_else(|| guessed.then(|| only(service, &method)).flatten())
        .ok_or_else(|| {
            CliError::new(
                128,
                format!("Endpoint {name} not found for service {}", service.name),
            )
            .hint(format!(
                "`micro {} --help` lists the endpoints",
                service.name
            ))
        })
}

/// The endpoint of that name but for capitals and dashes: `my-service` has the handler `MyService`.
fn alike<'a>(service: &'a Service, name: &str) -> Option<&'a Endpoint> {
    let plain = |name: &str| name.replace('-', "").to_lowercase();
    let wanted = plain(name);
    service
        .endpoints
        .iter()
        .find(|one| plain(&one.name) == wanted)
}

/// The one endpoint with this method: a service that runs under another name keeps its handler's.
fn only<'a>(service: &'a Service, method: &str) -> Option<&'a Endpoint> {
    let mut found = service
        .endpoints
        .iter()
        .filter(|one| one.name.split_once('.').is_some_and(|(_, of)| of == method));
    found.next().filter(|_| found.next().is_none())
}

fn title(name: &str) -> String {
    let mut letters = name.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(name: &str, endpoints: &[&str]) -> Service {
        let endpoints = endpoints.iter().map(|name| Endpoint {
            name: (*name).to_owned(),
            ..Endpoint::default()
        });
        Service {
            name: name.to_owned(),
            endpoints: endpoints.collect(),
            ..Service::default()
        }
    }

    fn check(service: &Service, line: &str, expected: std::result::Result<&str, &str>) {
        let names: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let found = find(service, &names);
        let found = found.as_ref().map(|endpoint| endpoint.name.as_str());
        assert_eq!(
            found.map_err(|error| error.message.as_str()),
            expected,
            "{line}"
        );
    }

    #[test]
    fn words_name_endpoints() {
        let helloworld = service("helloworld", &["Helloworld.Call", "Helloworld.PingPong"]);
        check(&helloworld, "helloworld", Ok("Helloworld.Call"));
        check(&helloworld, "helloworld call", Ok("Helloworld.Call"));
        check(
            &helloworld,
            "helloworld pingPong",
            Ok("Helloworld.PingPong"),
        );
        check(
            &helloworld,
            "helloworld helloworld call",
            Ok("Helloworld.Call"),
        );
        check(
            &helloworld,
            "helloworld nosuch",
            Err("Endpoint Helloworld.Nosuch not found for service helloworld"),
        );
        check(
            &helloworld,
            "helloworld other call",
            Err("Endpoint Other.Call not found for service helloworld"),
        );
        check(
            &helloworld,
            "helloworld a b c",
            Err("Incorrect number of arguments"),
        );
    }

    #[test]
    fn names_need_not_be_spelled_like_handlers() {
        let mine = service("my-service", &["MyService.Call", "Other.Read"]);
        check(&mine, "my-service", Ok("MyService.Call"));
        let renamed = service("foo", &["Helloworld.Call", "Helloworld.Stream"]);
        check(&renamed, "foo", Ok("Helloworld.Call"));
        check(&renamed, "foo stream", Ok("Helloworld.Stream"));
        let two = service("foo", &["A.Call", "B.Call"]);
        check(
            &two,
            "foo",
            Err("Endpoint Foo.Call not found for service foo"),
        );
    }
}
