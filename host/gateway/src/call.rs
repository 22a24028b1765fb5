//! A request that is a call: one message in, its answer or answers out.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header::CONTENT_TYPE,
    request::Parts,
};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use micro_access::Caller;
use micro_route::{Share, Target, door::Source};
use micro_wire::{
    Error, frame,
    metadata::{GRPC_JSON, GRPC_PROTO, set_timeout},
    path::MethodPath,
};

use crate::{
    ID,
    answer::{Answer, Answers, json},
    body, headers,
    path::Called,
    payload::{self, Kind},
    reply::{self, Messages, Outcome},
    shape::{self, Shape},
    streaming::{self, Format},
    translate::Translation,
};

/// A call that may be made, but for its messages.
pub(crate) struct Admitted {
    pub(crate) uri: Uri,
    pub(crate) metadata: HeaderMap,
    pub(crate) caller: Caller,
    pub(crate) target: Target,
    pub(crate) shape: Shape,
    /// For a service that knows no JSON.
    pub(crate) translation: Option<Translation>,
}

impl Admitted {
    /// The whole request, for a client that speaks this language.
    pub(crate) fn request<B>(
        mut self,
        mut language: Language,
        body: B,
    ) -> (Request<B>, Target, Caller) {
        if let Some(translation) = &self.translation {
            language = Language::Proto;
            // Names of protobuf are always a path.
            if let Ok(uri) = translation.path().parse() {
                self.uri = uri;
            }
        }
        self.metadata.insert(CONTENT_TYPE, language.content_type());
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri;
        *request.headers_mut() = self.metadata;
        (request, self.target, self.caller)
    }

    /// Between the service and a client that speaks this language, if they need it.
    pub(crate) fn translation(&self, language: Language) -> Option<Translation> {
        let translation = self.translation.as_ref();
        translation.filter(|_| language == Language::Json).cloned()
    }
}

/// How messages are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    Json,
    Proto,
}

impl Language {
    fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Json => GRPC_JSON,
            Self::Proto => GRPC_PROTO,
        })
    }
}

impl Answers {
    /// Finds out who makes a call, whether they may, and who answers it. `exactly` says that the
    /// shape of the call has to be known as well as it can be.
    pub(crate) async fn admit(
        &self,
        called: &Called,
        parts: &mut Parts,
        exactly: bool,
    ) -> Result<Admitted, Error> {
        let path = MethodPath {
            service: &called.service,
            handler: &called.handler,
            method: &called.method,
        };
        let uri = call_uri(&path)?;
        let mut metadata = headers::metadata(parts);
        let caller = self.dispatcher.admit(&mut metadata, &path).await?;
        let source = parts.extensions.get::<Source>();
        let caller = caller.with_source(source.map(|Source(source)| *source));
        let target = self
            .dispatcher
            .find(&caller.namespace, path.service)
            .await?;
        let (shape, translation) = match &target {
            Target::Core => (shape::of_core(uri.path()), None),
            Target::Route(route) => {
                let streams = route.streams(&path.endpoint());
                let plain = !route.speaks_json();
                let method = match plain || exactly && streams {
                    true => {
                        let (namespace, descriptions) = (&caller.namespace, &self.descriptions);
                        descriptions
                            .method(namespace, route, path.handler, path.method)
                            .await
                    }
                    false => None,
                };
                let shape = match &method {
                    Some(method) => Shape::of(method),
                    None if streams => Shape::Streams,
                    None => Shape::Unary,
                };
                (shape, method.filter(|_| plain).map(Translation::new))
            }
        };
        Ok(Admitted {
            uri,
            metadata,
            caller,
            target,
            shape,
            translation,
        })
    }

    pub(crate) async fn call(
        &self,
        called: &Called,
        mut parts: Parts,
        body: Incoming,
        share: &Share,
    ) -> Result<Answer, Error> {
        let kind = Kind::of(&parts.headers);
        let content_type = parts.headers.get(CONTENT_TYPE).cloned();
        let format = Format::of(&parts.headers);
        let mut admitted = self.admit(called, &mut parts, false).await?;
        // Until the call is answered, the body takes its part of the budget.
        let mut charge = share.charge();
        let body = match payload::has_body(&parts.method) {
            true => body::read(body, kind.limit(), &mut charge).await?,
            false => Bytes::new(),
        };
        let query = parts.uri.query().unwrap_or_default();
        let message = payload::message(kind, &parts.method, query, &parts.headers, body).await?;
        let language = match kind == Kind::Proto && payload::has_body(&parts.method) {
            true => Language::Proto,
            false => Language::Json,
        };
        let translation = admitted.translation(language);
        let message = match &translation {
            Some(translation) => translation.request(message).await?,
            None => message,
        };
        let streams = admitted.shape != Shape::Unary;
        if streams && language == Language::Proto {
            return Err(Error::new(
                ID,
                415,
                format!(
                    "{} streams, and messages of protobuf have no borders in an HTTP body: \
                     send JSON, open a websocket, or call it over gRPC",
                    name(called)
                ),
            ));
        }
        if !streams {
            set_timeout(&mut admitted.metadata, self.settings.call_timeout);
        }
        let body = Full::new(frame::encode(message));
        let (request, target, caller) = admitted.request(language, body);
        if streams {
            let dispatcher = self.dispatcher.clone();
            let opening = async move {
                let response = dispatcher.send(&target, caller, request).await?;
                Messages::of(response, translation)?.begun().await
            };
            let answer = streaming::answer(format, Box::pin(opening))
                .await
                .map_err(|error| clearer(error, called))?;
            return Ok(answer.map(Either::Right));
        }
        let response = self.dispatcher.send(&target, caller, request).await?;
        let outcome = reply::message(response, translation).await;
        match outcome.map_err(|error| clearer(error, called))? {
            Outcome::Stream => Err(undeclared(called)),
            Outcome::Message(message) if language == Language::Proto => {
                let mut answer = Response::new(Either::Left(Full::new(message)));
                if let Some(content_type) = content_type {
                    answer.headers_mut().insert(CONTENT_TYPE, content_type);
                }
                Ok(answer)
            }
            Outcome::Message(message) if message.is_empty() => Ok(json(StatusCode::OK, "{}")),
            Outcome::Message(message) => Ok(json(StatusCode::OK, message)),
        }
    }
}

/// The same error, clearer about what is unknown: for a method that a service does not have, the
/// one knows no service `Foo.Bar`, and others say nothing at all.
fn clearer(mut error: Error, called: &Called) -> Error {
    let Called {
        service,
        handler,
        method,
    } = called;
    let of_method = |detail: &str| {
        let endpoint = detail.strip_prefix("unknown service ");
        let parts = endpoint.and_then(|endpoint| endpoint.split_once('.'));
        parts == Some((handler, method))
    };
    let silent = error.code == 404 && error.detail == tonic::Code::Unimplemented.description();
    if of_method(&error.detail) || silent {
        error.detail = format!(
            "unknown service {handler}.{method}: {service} has no method {method} in {handler}"
        );
    }
    error
}

/// `service:Foo.Bar`, as errors name it.
fn name(called: &Called) -> String {
    let Called {
        service,
        handler,
        method,
    } = called;
    format!("{service}:{handler}.{method}")
}

/// The error of a method that answers more than once although the registry does not say so.
fn undeclared(called: &Called) -> Error {
    Error::not_implemented(
        ID,
        format!(
            "{} answers with several messages, but is not registered as a stream: \
             give its endpoint the metadata stream=true",
            name(called)
        ),
    )
}

/// The path of a call as a URI.
fn call_uri(path: &MethodPath<'_>) -> Result<Uri, Error> {
    let MethodPath {
        service,
        handler,
        method,
    } = *path;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_methods() {
        for (code, detail, clear) in [
            (404, "unknown service Foo.Bar", true),
            (404, tonic::Code::Unimplemented.description(), true),
            (404, "unknown service Foo", false),
            (404, "no such user", false),
            (501, tonic::Code::Unimplemented.description(), false),
        ] {
            let called = Called {
                service: "foo".into(),
                handler: "Foo".into(),
                method: "Bar".into(),
            };
            let error = clearer(Error::new("x", code, detail), &called);
            let want = match clear {
                true => "unknown service Foo.Bar: foo has no method Bar in Foo",
                false => detail,
            };
            assert_eq!(error.detail, want);
        }
    }
}
