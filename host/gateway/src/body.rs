//! Reading a request body: all of it, but neither too much nor for too long.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use micro_route::Charge;
use micro_wire::{Error, frame::MAX_MESSAGE};
use tokio::time::{Instant, timeout, timeout_at};

use crate::{ID, payload::MAX_BODY};

/// How long a client may pause within a body.
const PAUSE: Duration = Duration::from_secs(5);

/// How long the rest of a body that is too large is read, so that the client gets to the answer.
const DRAIN: Duration = Duration::from_secs(2);

/// The body of a request, of up to `limit` bytes.
///
/// # Errors
/// 413 if it is larger, 408 if it does not go on, 400 if the connection breaks off; 429 or 503 if
/// it is beyond what `charge` can take.
pub(crate) async fn read(
    mut body: Incoming,
    limit: usize,
    charge: &mut Charge,
) -> Result<Bytes, Error> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let announced = body
        .size_hint()
        .exact()
        .and_then(|length| usize::try_from(length).ok());
    if announced.is_some_and(|length| length > limit) {
        drain(body).await;
        return Err(too_large(limit));
    }
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    loop {
        let frame = match timeout(PAUSE, body.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(None) => break,
            Ok(Some(Err(error))) => {
                return Err(Error::bad_request(
                    ID,
                    format!("the body broke off: {error}"),
                ));
            }
            Err(_) => {
                return Err(Error::timeout(
                    ID,
                    format!("the body did not go on for {} s", PAUSE.as_secs()),
                ));
            }
        };
        let Ok(chunk) = frame.into_data() else {
            continue;
        };
        if first.len() + rest.len() + chunk.len() > limit {
            drop(rest);
            drain(body).await;
            return Err(too_large(limit));
        }
        if let Err(error) = charge.grow(chunk.len()) {
            drop((first, rest));
            drain(body).await;
            return Err(error);
        }
        // Most bodies are one chunk, which then is not copied.
        if first.is_empty() && rest.is_empty() {
            first = chunk;
        } else {
            if !first.is_empty() {
                // Not for what is announced, which need not come.
                rest.extend_from_slice(&std::mem::take(&mut first));
            }
            rest.extend_from_slice(&chunk);
        }
    }
    Ok(if rest.is_empty() {
        first
    } else {
        rest.freeze()
    })
}

async fn drain(mut body: Incoming) {
    let until = Instant::now() + DRAIN;
    while let Ok(Some(Ok(_))) = timeout_at(until, body.frame()).await {}
}

fn too_large(limit: usize) -> Error {
    let why = match limit {
        MAX_BODY => "which is all that this address takes".to_owned(),
        MAX_MESSAGE => {
            "the largest message of a call; send what is larger in pieces over gRPC".to_owned()
        }
        other => format!("{other} bytes"),
    };
    Error::new(
        ID,
        413,
        format!("the body is larger than {limit} bytes, {why}"),
    )
}
