//! A layer that makes any tonic service beneath it speak JSON as well as protobuf.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body::Body;
use prost_reflect::{DescriptorPool, MethodDescriptor};
use tower_layer::Layer;
use tower_service::Service;

use super::{Methods, MethodsError, transcode_request, transcode_response};
use crate::metadata;

/// Makes [`JsonService`]s for one set of services.
#[derive(Clone, Debug)]
pub struct JsonLayer {
    methods: Methods,
}

impl JsonLayer {
    /// A layer for the services with these full names.
    ///
    /// # Errors
    /// A service that the pool does not know, or two with one last segment.
    pub fn new<N: AsRef<str>>(
        pool: &DescriptorPool,
        services: impl IntoIterator<Item = N>,
    ) -> Result<Self, MethodsError> {
        Methods::new(pool, services).map(Self::from)
    }
}

impl From<Methods> for JsonLayer {
    fn from(methods: Methods) -> Self {
        Self { methods }
    }
}

impl<S> Layer<S> for JsonLayer {
    type Service = JsonService<S>;

    fn layer(&self, inner: S) -> JsonService<S> {
        JsonService {
            inner,
            methods: self.methods.clone(),
        }
    }
}

/// Requests of `application/grpc+json` reach the service beneath as protobuf, and its answer goes
/// back as JSON; all others pass untouched. A method that is not known passes untouched too: the
/// service beneath says so.
#[derive(Clone, Debug)]
pub struct JsonService<S> {
    inner: S,
    methods: Methods,
}

impl<S, B, R> Service<Request<B>> for JsonService<S>
where
    S: Service<Request<tonic::body::Body>, Response = Response<R>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<tonic::codegen::StdError>,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Into<tonic::codegen::StdError>,
{
    type Response = Response<tonic::body::Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let json = metadata::is_json(request.headers());
        match self
            .methods
            .find(request.uri().path())
            .filter(|_| json)
            .cloned()
        {
            Some(method) => match transcode_request(request, &method) {
                Ok(request) => {
                    let answer = self.inner.call(request);
                    Box::pin(async move { Ok(transcode_response(answer.await?, &method)) })
                }
                Err(error) => Box::pin(std::future::ready(Ok(json_error(error)))),
            },
            None => {
                let answer = self.inner.call(request.map(tonic::body::Body::new));
                Box::pin(async move { Ok(answer.await?.map(tonic::body::Body::new)) })
            }
        }
    }
}

/// A refusal to a caller that speaks JSON.
pub(crate) fn json_error(error: crate::Error) -> Response<tonic::body::Body> {
    let mut response = error.grpc_response::<tonic::body::Body>();
    let json = HeaderValue::from_static(metadata::GRPC_JSON);
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// Runs a call of a known method on `inner`, in JSON if that is what the request speaks.
pub(crate) async fn call_in_its_language<F>(
    request: Request<tonic::body::Body>,
    method: &MethodDescriptor,
    inner: impl FnOnce(Request<tonic::body::Body>) -> F,
) -> Response<tonic::body::Body>
where
    F: Future<Output = Response<tonic::body::Body>>,
{
    if !metadata::is_json(request.headers()) {
        return inner(request).await;
    }
    match transcode_request(request, method) {
        Ok(request) => transcode_response(inner(request).await, method),
        Err(error) => json_error(error),
    }
}
