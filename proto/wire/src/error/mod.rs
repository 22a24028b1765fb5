//! The one error of the platform, in its two spellings.

mod parse;
mod status;

use serde::Serialize;

/// What a handler, a door or the platform answers instead of a response.
///
/// Over HTTP it is JSON with keys in title case ([`Error::to_http_json`]); as the message of a
/// gRPC status it is the same JSON in lower case ([`Error::to_json`]). Reading takes either.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Error {
    /// Who says so: a service (`helloworld`) or an endpoint (`store.Store.Read`). May be blank.
    pub id: String,
    /// An HTTP status number; 0 when the error was not written by the platform.
    pub code: i32,
    /// What happened, for a person.
    pub detail: String,
    /// The standard phrase of the code, blank if there is none.
    pub status: String,
}

/// The id of an error that the calling side made: no route, no answer in time, unreadable answer.
pub const CLIENT_ID: &str = "go.micro.client";

macro_rules! constructors {
    ($($(#[$doc:meta])* $name:ident = $code:literal;)*) => {
        impl Error {$(
            $(#[$doc])*
            pub fn $name(id: impl Into<String>, detail: impl Into<String>) -> Self {
                Self::new(id, $code, detail)
            }
        )*}
    };
}

constructors! {
    /// 400: the request cannot be understood or lacks something.
    bad_request = 400;
    /// 401: an account is needed.
    unauthorized = 401;
    /// 403: this account may not.
    forbidden = 403;
    /// 404: there is no such thing.
    not_found = 404;
    /// 405: not with this method.
    method_not_allowed = 405;
    /// 408: the deadline passed.
    timeout = 408;
    /// 409: it exists already, or changed meanwhile.
    conflict = 409;
    /// 500: a fault of the one who answers.
    internal_server_error = 500;
    /// 501: known, but not built.
    not_implemented = 501;
    /// 502: somebody behind answered nonsense.
    bad_gateway = 502;
    /// 503: not now.
    service_unavailable = 503;
    /// 504: somebody behind did not answer.
    gateway_timeout = 504;
}

impl Error {
    /// An error with any HTTP status number; `status` becomes the standard phrase of the code.
    pub fn new(id: impl Into<String>, code: i32, detail: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            code,
            detail: detail.into(),
            status: phrase(code).to_owned(),
        }
    }

    /// The HTTP status to answer with: the code, or 500 if that is no valid error status.
    #[must_use]
    pub fn http_status(&self) -> http::StatusCode {
        u16::try_from(self.code)
            .ok()
            .filter(|code| (400..=599).contains(code))
            .and_then(|code| http::StatusCode::from_u16(code).ok())
            .unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The spelling of gRPC status messages: `{"id":…,"code":…,"detail":…,"status":…}`.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("strings and a number are always JSON")
    }

    /// The spelling of HTTP bodies: `{"Id":…,"Code":…,"Detail":…,"Status":…}`.
    #[must_use]
    pub fn to_http_json(&self) -> String {
        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        struct Titled<'a> {
            id: &'a str,
            code: i32,
            detail: &'a str,
            status: &'a str,
        }
        let Self {
            id,
            code,
            detail,
            status,
        } = self;
        serde_json::to_string(&Titled {
            id,
            code: *code,
            detail,
            status,
        })
        .expect("strings and a number are always JSON")
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.id.is_empty() {
            write!(f, "{}: ", self.id)?;
        }
        f.write_str(&self.detail)?;
        if self.code != 0 {
            write!(f, " ({} {})", self.code, self.status)?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

fn phrase(code: i32) -> &'static str {
    u16::try_from(code)
        .ok()
        .and_then(|code| http::StatusCode::from_u16(code).ok())
        .and_then(|code| code.canonical_reason())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings() {
        let error = Error::unauthorized("helloworld", "100% \"no\"");
        assert_eq!(
            error.to_json(),
            r#"{"id":"helloworld","code":401,"detail":"100% \"no\"","status":"Unauthorized"}"#
        );
        assert_eq!(
            error.to_http_json(),
            r#"{"Id":"helloworld","Code":401,"Detail":"100% \"no\"","Status":"Unauthorized"}"#
        );
        assert_eq!(Error::parse(&error.to_json()), error);
        assert_eq!(Error::parse(&error.to_http_json()), error);
    }

    #[test]
    fn phrases_and_http_status() {
        for (code, status, http) in [
            (404, "Not Found", 404),
            (408, "Request Timeout", 408),
            (500, "Internal Server Error", 500),
            (599, "", 599),
            (0, "", 500),
            (-1, "", 500),
            (200, "OK", 500),
            (70000, "", 500),
        ] {
            let error = Error::new("x", code, "d");
            assert_eq!(error.status, status, "{code}");
            assert_eq!(error.http_status().as_u16(), http, "{code}");
        }
    }

    #[test]
    fn displays_for_people() {
        assert_eq!(
            Error::not_found("x", "gone").to_string(),
            "x: gone (404 Not Found)"
        );
        assert_eq!(Error::parse("plain").to_string(), "plain");
    }
}
