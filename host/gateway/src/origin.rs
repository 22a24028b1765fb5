//! Where a request comes from, as far as browsers tell: the defences against pages of other sites.

use std::collections::BTreeSet;

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{
        ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS,
        ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, COOKIE, HOST, ORIGIN, VARY,
    },
    request::Parts,
    uri::Authority,
};

/// The cookie that may hold a token.
const TOKEN_COOKIE: &str = "micro-token";

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The host that a request is addressed to, with its port.
pub(crate) fn host(parts: &Parts) -> Option<String> {
    match parts.uri.authority() {
        Some(authority) => Some(authority.as_str().to_owned()),
        None => parts.headers.get(HOST)?.to_str().ok().map(str::to_owned),
    }
}

/// Whether a request may have been meant for a door that only this machine can reach. A page that
/// has rebound its own name to 127.0.0.1 still sends that name.
pub(crate) fn is_local(parts: &Parts) -> bool {
    let named = parts
        .headers
        .get(HOST)
        .map(|value| value.to_str().unwrap_or_default());
    let own = parts.uri.authority().map(Authority::as_str);
    own.into_iter().chain(named).all(|host| {
        let authority: Option<Authority> = host.parse().ok();
        authority.is_some_and(|it| {
            let host = it.host();
            host.eq_ignore_ascii_case("localhost") || host == "127.0.0.1" || host == "[::1]"
        })
    })
}

/// The token of the cookie, if the request is not one that another site has made.
pub(crate) fn cookie_token(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(COOKIE);
    let token = cookies
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .find_map(|cookie| {
            let (name, value) = cookie.trim().split_once('=')?;
            (name == TOKEN_COOKIE).then_some(value)
        })?;
    let token = token.strip_prefix("micro-token=").unwrap_or(token);
    (!token.is_empty() && is_same_origin(headers)).then_some(token)
}

fn is_same_origin(headers: &HeaderMap) -> bool {
    if let Some(site) = headers.get(SEC_FETCH_SITE) {
        // `none` is a person who typed the address.
        return site == "same-origin" || site == "none";
    }
    let Some(origin) = headers.get(ORIGIN) else {
        return true;
    };
    let host = headers.get(HOST).and_then(|value| value.to_str().ok());
    let origin = origin
        .to_str()
        .ok()
        .and_then(|origin| origin.split_once("://"));
    matches!((origin, host), (Some((_, origin)), Some(host)) if origin.eq_ignore_ascii_case(host))
}

/// Whether a request may use credentials that a browser adds by itself: it is not made by a page,
/// or by one of this door or of a listed origin. (What a page sets itself is its own.)
pub(crate) fn may_have_credentials(headers: &HeaderMap, trusted: &BTreeSet<String>) -> bool {
    let origin = headers.get(ORIGIN).and_then(|origin| origin.to_str().ok());
    is_same_origin(headers) || origin.is_some_and(|origin| trusted.contains(origin))
}

/// Adds what a browser needs to let a page read the answer. Any page may; with the credentials of
/// its user only one of a listed origin.
pub(crate) fn allow(
    headers: &mut HeaderMap,
    origin: Option<&HeaderValue>,
    trusted: &BTreeSet<String>,
) {
    match origin {
        Some(origin) => {
            if origin.to_str().is_ok_and(|origin| trusted.contains(origin)) {
                headers.insert(
                    ACCESS_CONTROL_ALLOW_CREDENTIALS,
                    HeaderValue::from_static("true"),
                );
            }
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        }
        None => {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        }
    }
    headers.insert(VARY, HeaderValue::from_static("origin"));
    headers.insert(
        ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("POST, PATCH, GET, OPTIONS, PUT, DELETE"),
    );
    headers.insert(
        ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static(
            "Accept, Content-Type, Content-Length, Accept-Encoding, X-CSRF-Token, Authorization, \
             Micro-Namespace",
        ),
    );
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    #[test]
    fn local_hosts() {
        for (uri, host, local) in [
            ("/", Some("localhost:8080"), true),
            ("/", Some("LOCALHOST"), true),
            ("/", Some("127.0.0.1:1"), true),
            ("/", Some("[::1]:8080"), true),
            ("/", Some("evil.example:8080"), false),
            ("/", Some("localhost.evil.example"), false),
            ("/", Some("127.0.0.1.nip.io"), false),
            ("/", Some("a b"), false),
            ("/", None, true),
            ("http://evil.example/", Some("localhost"), false),
            ("http://localhost:80/", Some("evil.example"), false),
            ("http://localhost:80/", None, true),
        ] {
            let mut request = Request::get(uri);
            if let Some(host) = host {
                request = request.header("host", host);
            }
            let (parts, ()) = request.body(()).unwrap().into_parts();
            assert_eq!(is_local(&parts), local, "{uri} {host:?}");
        }
    }

    #[test]
    fn cookies() {
        let cookie = ("cookie", "a=b; micro-token=T; c");
        for (pairs, token) in [
            (vec![cookie], Some("T")),
            (vec![("cookie", "micro-token=micro-token=T")], Some("T")),
            (vec![("cookie", "micro-token=")], None),
            (vec![cookie, ("sec-fetch-site", "same-origin")], Some("T")),
            (vec![cookie, ("sec-fetch-site", "none")], Some("T")),
            (vec![cookie, ("sec-fetch-site", "cross-site")], None),
            (vec![cookie, ("sec-fetch-site", "same-site")], None),
            (
                vec![cookie, ("origin", "http://h:1"), ("host", "h:1")],
                Some("T"),
            ),
            (
                vec![cookie, ("origin", "http://e:1"), ("host", "h:1")],
                None,
            ),
            (vec![cookie, ("origin", "null"), ("host", "h:1")], None),
            (vec![], None),
        ] {
            assert_eq!(cookie_token(&headers(&pairs)), token, "{pairs:?}");
        }
    }

    #[test]
    fn credentials_are_for_listed_origins() {
        let trusted = BTreeSet::from(["http://good.example".to_owned()]);
        for (origin, allowed, credentials) in [
            (Some("http://good.example"), "http://good.example", true),
            (Some("http://evil.example"), "http://evil.example", false),
            (None, "*", false),
        ] {
            let mut got = HeaderMap::new();
            allow(
                &mut got,
                origin.map(HeaderValue::from_static).as_ref(),
                &trusted,
            );
            assert_eq!(got[ACCESS_CONTROL_ALLOW_ORIGIN], allowed);
            assert_eq!(
                got.contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS),
                credentials
            );
        }
    }
}
