//! The path of a call: which service, handler and method it means, and back.

use crate::Error;

/// The parts of `/X.Y.Foo/Bar`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MethodPath<'a> {
    /// The registry name: everything before the last dot of the service part, `X.Y`; may be empty.
    pub service: &'a str,
    /// The handler: the last segment of the service part, `Foo`.
    pub handler: &'a str,
    /// The method, `Bar`.
    pub method: &'a str,
}

impl<'a> MethodPath<'a> {
    /// Takes a path apart.
    ///
    /// # Errors
    /// 400 `malformed method name: "<path>"` unless it is `/`, a service part, `/`, a method.
    pub fn parse(path: &'a str) -> Result<Self, Error> {
        let malformed = || Error::bad_request("", format!("malformed method name: \"{path}\""));
        let (target, method) = path
            .strip_prefix('/')
            .and_then(|rest| rest.split_once('/'))
            .ok_or_else(malformed)?;
        let (service, handler) = target.rsplit_once('.').unwrap_or(("", target));
        if handler.is_empty() || method.is_empty() || method.contains('/') {
            return Err(malformed());
        }
        Ok(Self {
            service,
            handler,
            method,
        })
    }

    /// `Foo.Bar`, as the registry names endpoints.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("{}.{}", self.handler, self.method)
    }
}

/// The path of a call to an endpoint (`Foo.Bar`) of a service: `/service.Foo/Bar`. An endpoint that
/// starts with `/`, or that has not exactly two parts, is returned as it is.
#[must_use]
pub fn of(service: &str, endpoint: &str) -> String {
    if endpoint.starts_with('/') {
        return endpoint.to_owned();
    }
    match endpoint.split_once('.') {
        Some((handler, method)) if !method.contains('.') => match service {
            "" => format!("/{handler}/{method}"),
            service => format!("/{service}.{handler}/{method}"),
        },
        _ => endpoint.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses() {
        for (path, service, handler, method) in [
            (
                "/helloworld.Helloworld/Call",
                "helloworld",
                "Helloworld",
                "Call",
            ),
            ("/a.b.Foo/Bar", "a.b", "Foo", "Bar"),
            ("/Foo/Bar", "", "Foo", "Bar"),
        ] {
            assert_eq!(
                MethodPath::parse(path).unwrap(),
                MethodPath {
                    service,
                    handler,
                    method
                }
            );
        }
        for path in [
            "",
            "/",
            "Foo/Bar",
            "/Foo",
            "/Foo/",
            "//Bar",
            "/a./Bar",
            "/Foo/Bar/Baz",
        ] {
            let error = MethodPath::parse(path).unwrap_err();
            assert_eq!(error.code, 400);
            assert_eq!(error.detail, format!("malformed method name: \"{path}\""));
        }
    }

    #[test]
    fn builds() {
        for (service, endpoint, path) in [
            (
                "helloworld",
                "Helloworld.Call",
                "/helloworld.Helloworld/Call",
            ),
            ("a.b", "Foo.Bar", "/a.b.Foo/Bar"),
            ("", "Foo.Bar", "/Foo/Bar"),
            ("x", "/as.Is/Given", "/as.Is/Given"),
            ("x", "Foo", "Foo"),
            ("x", "a.Foo.Bar", "a.Foo.Bar"),
            ("x", "", ""),
        ] {
            assert_eq!(of(service, endpoint), path);
        }
    }
}
