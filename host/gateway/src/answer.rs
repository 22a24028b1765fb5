//! What the gateway does with one request.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION, ORIGIN},
    request::Parts,
};
use http_body_util::Full;
use hyper::body::Incoming;
use micro_route::{Dispatcher, Target};
use micro_wire::{
    Error, frame,
    metadata::{GRPC_JSON, GRPC_PROTO, set_timeout},
    path::MethodPath,
};

use crate::{
    ID, Readiness, Settings, body, headers, origin,
    path::{self, Called},
    payload::{self, Kind},
    ready,
    reply::{self, Outcome},
    streams::{self, Streams},
};

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What `/` says.
const VERSION: &str = concat!("{\"version\": \"v", env!("CARGO_PKG_VERSION"), "\"}");

type Answer = Response<Full<Bytes>>;

/// Answers every request of a door.
pub(crate) struct Answers {
    dispatcher: Arc<Dispatcher>,
    readiness: Arc<dyn Readiness>,
    settings: Settings,
}

impl Answers {
    pub(crate) fn new(
        dispatcher: Arc<Dispatcher>,
        readiness: Arc<dyn Readiness>,
        settings: Settings,
    ) -> Self {
        Self {
            dispatcher,
            readiness,
            settings,
        }
    }

    pub(crate) fn grace(&self) -> Duration {
        self.settings.grace
    }

    /// Answers a request; `local` says that it can only have come from this machine.
    pub(crate) async fn answer(&self, local: bool, request: Request<Incoming>) -> Answer {
        let (parts, body) = request.into_parts();
        let origin = parts.headers.get(ORIGIN).cloned();
        let head = parts.method == Method::HEAD;
        let mut answer = if local && !origin::is_local(&parts) {
            refuse(&Error::new(
                ID,
                421,
                "this address answers only requests to localhost, 127.0.0.1 or [::1]",
            ))
        } else {
            self.route(parts, body)
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

    async fn route(&self, parts: Parts, body: Incoming) -> Result<Answer, Error> {
        if parts.method == Method::OPTIONS {
            return Ok(Answer::default());
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
            "/favicon.ico" => Answer::default(),
            "/healthz" => json(StatusCode::OK, "{\"status\":\"ok\"}"),
            "/readyz" => {
                let (status, report) = ready::report(&*self.readiness).await;
                json(status, report)
            }
            _ => {
                let called = path::called(&path).ok_or_else(|| {
                    Error::not_found(ID, "the path names no service: /SERVICE/METHOD")
                })?;
                self.call(called, parts, body).await?
            }
        })
    }

    async fn call(
        &self,
        called: Called,
        mut parts: Parts,
        body: Incoming,
    ) -> Result<Answer, Error> {
        let Called {
            service,
            handler,
            method,
        } = called;
        let uri = call_uri(&service, &handler, &method)?;
        let path = MethodPath {
            service: &service,
            handler: &handler,
            method: &method,
        };
        let kind = Kind::of(&parts.headers);
        let content_type = parts.headers.get(CONTENT_TYPE).cloned();
        let mut metadata = headers::metadata(&mut parts);
        let caller = self.dispatcher.admit(&mut metadata, &path).await?;
        let target = self.dispatcher.find(&caller.namespace, &service).await?;
        let streams = match &target {
            Target::Core => streams::of_core(uri.path()),
            Target::Route(route) => {
                // What a user's method does must not be half done.
                route.streams(&path.endpoint()).then_some(Streams::Requests)
            }
        };
        if streams == Some(Streams::Requests) {
            return Err(self.streams(&path));
        }
        let body = match payload::has_body(&parts.method) {
            true => body::read(body, kind.limit()).await?,
            false => Bytes::new(),
        };
        let query = parts.uri.query().unwrap_or_default();
        let message = payload::message(kind, &parts.method, query, &parts.headers, body).await?;
        let proto = kind == Kind::Proto && payload::has_body(&parts.method);
        metadata.insert(
            CONTENT_TYPE,
            HeaderValue::from_static(if proto { GRPC_PROTO } else { GRPC_JSON }),
        );
        set_timeout(&mut metadata, self.settings.call_timeout);
        let mut request = Request::new(Full::new(frame::encode(message)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        *request.headers_mut() = metadata;
        let response = self.dispatcher.send(&target, caller, request).await?;
        match reply::message(response, streams.is_some()).await? {
            Outcome::Stream => Err(self.streams(&path)),
            Outcome::Message(message) if proto => {
                let mut answer = Response::new(Full::new(message));
                if let Some(content_type) = content_type {
                    answer.headers_mut().insert(CONTENT_TYPE, content_type);
                }
                Ok(answer)
            }
            Outcome::Message(message) if message.is_empty() => Ok(json(StatusCode::OK, "{}")),
            Outcome::Message(message) => Ok(json(StatusCode::OK, message)),
        }
    }

    /// The error of a method that streams.
    fn streams(&self, path: &MethodPath<'_>) -> Error {
        let MethodPath {
            service,
            handler,
            method,
        } = path;
        let at = self.settings.grpc_address.as_deref();
        let at = at
            .map(|address| format!(" at {address}"))
            .unwrap_or_default();
        Error::not_implemented(
            ID,
            format!(
                "{service}:{handler}.{method} streams, which the gateway does not serve over HTTP: \
                 call /{service}.{handler}/{method} over gRPC{at}"
            ),
        )
    }
}

/// The path of a call as a URI.
fn call_uri(service: &str, handler: &str, method: &str) -> Result<http::Uri, Error> {
    let name = |name: &str, dots: bool| {
        let plain = |c: char| c.is_alphanumeric() || c == '_' || c == '-' || dots && c == '.';
        !name.is_empty() && name.chars().all(plain)
    };
    let path = format!("/{service}.{handler}/{method}");
    let valid = name(service, true) && name(handler, false) && name(method, false);
    match path.parse() {
        Ok(uri) if valid => Ok(uri),
        _ => Err(Error::not_found(
            micro_wire::error::CLIENT_ID,
            format!("service {service}: route not found"),
        )),
    }
}

fn json(status: StatusCode, text: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(text.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, JSON);
    answer
}

fn refuse(error: &Error) -> Answer {
    json(error.http_status(), error.to_http_json())
}

fn redirect(to: &str) -> Result<Answer, Error> {
    let to = HeaderValue::try_from(to)
        .map_err(|_| Error::bad_request(ID, "the path cannot be written in the shortest way"))?;
    let mut answer = Answer::default();
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
    Response::from_parts(parts, Full::default())
}
