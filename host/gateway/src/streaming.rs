//! Streams over plain HTTP: messages as JSON one after another, as lines, or as server-sent events.

use std::{convert::Infallible, time::Duration};

use bytes::{BufMut, Bytes, BytesMut};
use futures::{StreamExt, future::BoxFuture, stream};
use http::{
    HeaderMap, HeaderName, HeaderValue, Response,
    header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE},
};
use http_body::Frame;
use http_body_util::StreamBody;
use micro_wire::Error;
use tokio::time::{sleep, timeout};

use crate::{reply::Messages, source::Source};

/// How long the head of an event stream waits for the first message, so that a call which fails
/// at once gets an HTTP status of its own.
const HEAD_START: Duration = Duration::from_secs(1);

/// How often an event stream without events shows that it is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The body of an answer that streams.
pub(crate) type Body = StreamBody<stream::BoxStream<'static, Result<Frame<Bytes>, Infallible>>>;

/// How the messages of a stream are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// JSON, back to back.
    Json,
    /// JSON, one a line.
    Lines,
    /// Server-sent events.
    Events,
}

impl Format {
    /// What the client accepts; JSON unless it says something else that is known here.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let accepted = headers
            .get_all(ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|range| range.split(';').next());
        for range in accepted {
            match range.trim().to_ascii_lowercase().as_str() {
                "text/event-stream" => return Self::Events,
                "application/x-ndjson" | "application/jsonl" => return Self::Lines,
                "application/json" | "*/*" => return Self::Json,
                _ => {}
            }
        }
        Self::Json
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Lines => "application/x-ndjson",
            Self::Events => "text/event-stream",
        }
    }

    fn message(self, message: Bytes) -> Bytes {
        let message = if message.is_empty() {
            Bytes::from_static(b"{}")
        } else {
            message
        };
        match self {
            Self::Json => message,
            Self::Lines => {
                // A line break within JSON is white space: within strings it is escaped.
                let mut line = BytesMut::with_capacity(message.len() + 1);
                line.extend(message.iter().map(|&byte| match byte {
                    b'\n' | b'\r' => b' ',
                    byte => byte,
                }));
                line.put_u8(b'\n');
                line.freeze()
            }
            Self::Events => event(None, &message),
        }
    }

    fn error(self, error: &Error) -> Bytes {
        let mut json = error.to_http_json();
        match self {
            Self::Json => json.into(),
            Self::Lines => {
                json.push('\n');
                json.into()
            }
            Self::Events => event(Some("error"), json.as_bytes()),
        }
    }
}

/// An event: its data, a field for each line of it.
fn event(name: Option<&str>, data: &[u8]) -> Bytes {
    let mut event = BytesMut::with_capacity(data.len() + 32);
    if let Some(name) = name {
        event.put_slice(b"event: ");
        event.put_slice(name.as_bytes());
        event.put_u8(b'\n');
    }
    for line in data.split(|&byte| byte == b'\n' || byte == b'\r') {
        event.put_slice(b"data: ");
        event.put_slice(line);
        event.put_u8(b'\n');
    }
    event.put_u8(b'\n');
    event.freeze()
}

/// The answer that streams what `opening` gives. A failure after the first message, or one that an
/// event stream did not wait for, is the last thing in the body.
///
/// # Errors
/// The call failed before its first message.
pub(crate) async fn answer(
    format: Format,
    mut opening: BoxFuture<'static, Result<Messages, Error>>,
) -> Result<Response<Body>, Error> {
    let source = match format {
        Format::Events => match timeout(HEAD_START, &mut opening).await {
            Ok(messages) => Source::Open(messages?),
            Err(_) => Source::Opening(opening),
        },
        Format::Json | Format::Lines => Source::Open(opening.await?),
    };
    let frames = stream::unfold(source, move |mut source| async move {
        let frame = frame(format, &mut source).await?;
        Some((Ok(Frame::data(frame)), source))
    });
    let mut answer = Response::new(StreamBody::new(frames.boxed()));
    let headers = answer.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static(format.content_type()),
    );
    // What stands between may neither keep a stream nor wait for more of it.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(
        HeaderName::from_static("x-accel-buffering"),
        HeaderValue::from_static("no"),
    );
    Ok(answer)
}

/// What the body says next.
async fn frame(format: Format, source: &mut Source) -> Option<Bytes> {
    let next = match format {
        Format::Events => tokio::select! {
            biased;
            next = source.next() => next,
            () = sleep(KEEP_ALIVE) => return Some(Bytes::from_static(b": still here\n\n")),
        },
        Format::Json | Format::Lines => source.next().await,
    };
    Some(match next? {
        Ok(message) => format.message(message),
        Err(error) => {
            *source = Source::Ended;
            format.error(&error)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_by_what_is_accepted() {
        for (accept, format) in [
            (None, Format::Json),
            (Some("*/*"), Format::Json),
            (Some("text/html"), Format::Json),
            (Some("text/event-stream"), Format::Events),
            (Some("Text/Event-Stream; charset=utf-8"), Format::Events),
            (Some("text/html, text/event-stream"), Format::Events),
            (Some("application/json, text/event-stream"), Format::Json),
            (Some("application/x-ndjson"), Format::Lines),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(accept) = accept {
                headers.insert(ACCEPT, HeaderValue::from_static(accept));
            }
            assert_eq!(Format::of(&headers), format, "{accept:?}");
        }
    }

    #[test]
    fn messages_as_they_are_written() {
        let text = "{\n \"a\": 1\r\n}";
        for (format, message, want) in [
            (Format::Json, text, text),
            (Format::Json, "", "{}"),
            (Format::Lines, text, "{  \"a\": 1  }\n"),
            (Format::Events, "{}", "data: {}\n\n"),
            (Format::Events, "{\n\"a\":1}", "data: {\ndata: \"a\":1}\n\n"),
        ] {
            assert_eq!(format.message(message.into()), want, "{format:?}");
        }
        let error = Error::not_found("x", "gone");
        let want = format!("event: error\ndata: {}\n\n", error.to_http_json());
        assert_eq!(Format::Events.error(&error), want);
    }
}
