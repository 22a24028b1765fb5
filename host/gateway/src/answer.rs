//! What the gateway does with one request.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION, ORIGIN, SEC_WEBSOCKET_VERSION},
    request::Parts,
};
use http_body_util::{Either, Full};
use hyper::{body::Incoming, upgrade::OnUpgrade};
use micro_route::{Descriptions, Dispatcher, Share};
use micro_wire::Error;
use tokio_util::sync::CancellationToken;

use crate::{
    ID, Readiness, Settings, origin, path, ready, streaming,
    websocket::{self, Afterwards, Upgrade},
};

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What `/` says.
const VERSION: &str = concat!("{\"version\": \"v", env!("CARGO_PKG_VERSION"), "\"}");

/// An answer, whole or as it comes.
pub(crate) type Answer = Response<Either<Full<Bytes>, streaming::Body>>;

/// What the requests of one connection have in common.
pub(crate) struct Connection {
    /// It can only have come from this machine.
    local: bool,
    share: Share,
    pub(crate) afterwards: Afterwards,
    /// The door closes.
    shutdown: CancellationToken,
}

impl Connection {
    /// Is cancelled when the door closes.
    pub(crate) fn shutdown(&self) -> &CancellationToken {
        &self.shutdown
    }
}

/// Answers every request of a door.
pub(crate) struct Answers {
    pub(crate) dispatcher: Arc<Dispatcher>,
    pub(crate) descriptions: Descriptions,
    readiness: Arc<dyn Readiness>,
    pub(crate) settings: Settings,
}

impl Answers {
    pub(crate) fn new(
        dispatcher: Arc<Dispatcher>,
        readiness: Arc<dyn Readiness>,
        settings: Settings,
    ) -> Self {
        Self {
            descriptions: Descriptions::new(dispatcher.clone()),
            dispatcher,
            readiness,
            settings,
        }
    }

    pub(crate) fn grace(&self) -> Duration {
        self.settings.grace
    }

    /// What the requests of a new connection have in common.
    pub(crate) fn connection(&self, local: bool, shutdown: CancellationToken) -> Connection {
        Connection {
            local,
            share: self.dispatcher.budget().connection(),
            afterwards: Afterwards::default(),
            shutdown,
        }
    }

    /// Answers a request.
    pub(crate) async fn answer(
        &self,
        connection: &Connection,
        mut request: Request<Incoming>,
    ) -> Answer {
        let upgrade = hyper::upgrade::on(&mut request);
        let (parts, body) = request.into_parts();
        let origin = parts.headers.get(ORIGIN).cloned();
        let head = parts.method == Method::HEAD;
        let mut answer = if connection.local && !origin::is_local(&parts) {
            refuse(&Error::new(
                ID,
                421,
                "this address answers only requests to localhost, 127.0.0.1 or [::1]",
            ))
        } else {
            self.route(connection, parts, body, upgrade)
                .await
                .unwrap_or_else(|error| refuse(&error))
        };
        origin::allow(
            answer.headers_mut(),
            origin.as_ref(),
            &self.settings.trusted_origins,
        );
        if head { without_body(answer) } else { answer }
    }

    async fn route(
        &self,
        connection: &Connection,
        parts: Parts,
        body: Incoming,
        upgrade: OnUpgrade,
    ) -> Result<Answer, Error> {
        if parts.method == Method::OPTIONS {
            return Ok(empty());
        }
        let not_text = || Error::bad_request(ID, "the path is not valid UTF-8");
        let path = path::decode(parts.uri.path()).ok_or_else(not_text)?;
        if let Some(mut clean) = path::canonical(&path) {
            if let Some(query) = parts.uri.query() {
                clean.push('?');
                clean.push_str(query);
            }
            return redirect(&clean);
        }
        Ok(match &*path {
            "/" => json(StatusCode::OK, VERSION),
            "/favicon.ico" => empty(),
            "/healthz" => json(StatusCode::OK, "{\"status\":\"ok\"}"),
            "/readyz" => {
                let (status, report) = ready::report(&*self.readiness).await;
                json(status, report)
            }
            _ => {
                let called = path::called(&path).ok_or_else(|| {
                    Error::not_found(ID, "the path names no service: /SERVICE/METHOD")
                })?;
                if websocket::is_requested(&parts) {
                    let upgrade = Upgrade {
                        connection: upgrade,
                        share: connection.share.clone(),
                        afterwards: connection.afterwards.clone(),
                        shutdown: connection.shutdown.clone(),
                    };
                    self.websocket(&called, parts, upgrade).await?
                } else {
                    self.call(&called, parts, body, &connection.share).await?
                }
            }
        })
    }
}

fn empty() -> Answer {
    Response::new(Either::Left(Full::default()))
}

pub(crate) fn json(status: StatusCode, text: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Either::Left(Full::new(text.into())));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, JSON);
    answer
}

fn refuse(error: &Error) -> Answer {
    let mut answer = json(error.http_status(), error.to_http_json());
    if answer.status() == StatusCode::UPGRADE_REQUIRED {
        let version = HeaderValue::from_static("13");
        answer.headers_mut().insert(SEC_WEBSOCKET_VERSION, version);
    }
    answer
}

fn redirect(to: &str) -> Result<Answer, Error> {
    let to = HeaderValue::try_from(to)
        .map_err(|_| Error::bad_request(ID, "the path cannot be written in the shortest way"))?;
    let mut answer = empty();
    *answer.status_mut() = StatusCode::MOVED_PERMANENTLY;
    answer.headers_mut().insert(LOCATION, to);
    Ok(answer)
}

/// The same answer as to GET, of which HEAD wants the head.
fn without_body(answer: Answer) -> Answer {
    use http_body::Body as _;
    let (mut parts, body) = answer.into_parts();
    if let Some(length) = body.size_hint().exact() {
        let headers: &mut HeaderMap = &mut parts.headers;
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    Response::from_parts(parts, Either::Left(Full::default()))
}
