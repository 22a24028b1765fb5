//! The token in an `authorization` header: `Bearer TOKEN`, or `Basic` with the token as password.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, header::AUTHORIZATION};

/// An `authorization` header that holds no token. The texts are what clients know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HeaderError {
    /// Neither Bearer nor Basic.
    #[error("invalid authorization header. Expected Bearer or Basic schema")]
    Schema,
    /// Basic, but not base64 of `user:password`.
    #[error("invalid authorization header. Incorrect format")]
    Format,
}

/// The token that a request carries; `None` without the header, or with an empty one.
///
/// # Errors
/// A header of another schema, or malformed Basic credentials.
pub(crate) fn token(headers: &HeaderMap) -> Result<Option<Cow<'_, str>>, HeaderError> {
    let Some(value) = headers.get(AUTHORIZATION) else {
        return Ok(None);
    };
    let value = value.to_str().map_err(|_| HeaderError::Schema)?.trim();
    if value.is_empty() {
        return Ok(None);
    }
    let (schema, rest) = value.split_once(' ').unwrap_or((value, ""));
    if schema.eq_ignore_ascii_case("bearer") {
        return Ok(Some(Cow::Borrowed(rest.trim_start())));
    }
    if !schema.eq_ignore_ascii_case("basic") {
        return Err(HeaderError::Schema);
    }
    let decoded = STANDARD
        .decode(rest.trim_start())
        .map_err(|_| HeaderError::Format)?;
    let mut credentials = String::from_utf8(decoded).map_err(|_| HeaderError::Format)?;
    let colon = credentials.find(':').ok_or(HeaderError::Format)?;
    Ok(Some(Cow::Owned(credentials.split_off(colon + 1))))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn check(value: &'static str, expected: Result<Option<&str>, HeaderError>) {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_static(value));
        assert_eq!(
            token(&headers),
            expected.map(|token| token.map(Cow::Borrowed)),
            "{value}"
        );
    }

    #[test]
    fn schemas() {
        assert_eq!(token(&HeaderMap::new()), Ok(None));
        check("", Ok(None));
        check("Bearer 123355", Ok(Some("123355")));
        check("Bearer", Ok(Some("")));
        check("Basic", Err(HeaderError::Format));
        check("bearer 123355", Ok(Some("123355")));
        check("Basic Zm9vOmJhcg==", Ok(Some("bar")));
        check("Basic Zm9v", Err(HeaderError::Format));
        check("Basic %%%", Err(HeaderError::Format));
        check("Basic //8=", Err(HeaderError::Format));
        check("bad", Err(HeaderError::Schema));
        check("Digest abc", Err(HeaderError::Schema));
    }
}
