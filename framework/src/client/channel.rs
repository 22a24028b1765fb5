//! One service as a channel for generated clients: address, metadata, deadline, authorization, retries.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context as Task, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, Uri, request::Parts};
use http_body::Frame;
use tokio::time::Instant;
use tonic::{Code, Status, body::Body};
use tower_service::Service;
use uuid::Uuid;

use super::{
    CallOptions, Client, Unary,
    options::Account,
    replay::{CancelOnDrop, Replay},
};
use crate::{
    Error,
    body::Deadline,
    context::Context,
    wire::{error::CLIENT_ID, metadata, path::MethodPath},
};

/// The pause before the first retry; it doubles, and half of it is chance.
const PAUSE: Duration = Duration::from_millis(100);

/// What a generated client talks to: `HelloworldClient::new(client.service("helloworld"))`.
#[derive(Clone, Debug)]
pub struct ServiceChannel {
    client: Client,
    service: Arc<str>,
    options: CallOptions,
}

impl ServiceChannel {
    pub(super) fn new(client: Client, service: String, options: CallOptions) -> Self {
        Self {
            client,
            service: service.into(),
            options,
        }
    }

    /// The same service with other options: `channel.with(|options| options.retries(0))`.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(CallOptions) -> CallOptions) -> Self {
        self.options = change(self.options);
        self
    }

    /// The same service without any authorization.
    #[must_use]
    pub fn anonymous(&self) -> Self {
        self.clone().with(CallOptions::anonymous)
    }
}

impl Service<Request<Body>> for ServiceChannel {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Task<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // Here, since the future may be polled by another task.
        let context = Context::current();
        let this = self.clone();
        Box::pin(async move { Ok(this.send(request, context).await) })
    }
}

/// A call on its way: what stays the same over all attempts.
struct Call {
    parts: Parts,
    body: Replay,
    guard: CancelOnDrop,
    deadline: Option<Instant>,
    /// Ours, which may be replaced by a newer one.
    own: bool,
    timeout_error: Error,
}

impl ServiceChannel {
    /// Sends a request; what goes wrong is in the answer, as a gRPC status.
    async fn send(&self, request: Request<Body>, context: Option<Context>) -> Response<Body> {
        match self.prepare(request, context).await {
            Ok(call) => self.attempts(call).await,
            Err(error) => error.grpc_response(),
        }
    }

    async fn prepare(
        &self,
        request: Request<Body>,
        context: Option<Context>,
    ) -> Result<Call, Error> {
        let inner = &self.client.inner;
        let (mut parts, body) = request.into_parts();
        parts.uri = self.readdress(&parts.uri)?;

        let unary = parts.extensions.get::<Unary>().is_some();
        let asked = metadata::timeout(&parts.headers);
        let wait = asked.or_else(|| {
            self.options
                .timeout
                .unwrap_or_else(|| unary.then_some(inner.timeout))
        });
        let of_caller = context.as_ref().and_then(Context::deadline);
        let deadline = match (
            wait.and_then(|wait| Instant::now().checked_add(wait)),
            of_caller,
        ) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };

        for (key, value) in &self.options.metadata {
            parts.headers.insert(key, value.clone());
        }
        let explicit = parts.headers.contains_key(metadata::AUTHORIZATION);
        self.describe(&mut parts.headers, context.as_ref());
        let own = !explicit
            && match (self.options.account, &context) {
                (Account::Own, _) | (Account::Callers, None) => true,
                (Account::Callers, Some(context)) if context.is_own_account() => true,
                (Account::Callers, Some(context)) => {
                    if let Some(token) = context.get(metadata::AUTHORIZATION)
                        && let Ok(mut token) = HeaderValue::try_from(token)
                    {
                        token.set_sensitive(true);
                        parts.headers.insert(metadata::AUTHORIZATION, token);
                    }
                    false
                }
                (Account::Nobodys, _) => false,
            };
        let waited = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        let timeout_error = Error::timeout(
            CLIENT_ID,
            format!(
                "no answer from {} within {:?}",
                self.service,
                waited.unwrap_or_default()
            ),
        );
        let body = Replay::new(body);
        Ok(Call {
            parts,
            guard: body.guard(),
            body,
            deadline,
            own,
            timeout_error,
        })
    }

    /// `/package.Handler/Method` as it is addressed to this service.
    fn readdress(&self, uri: &Uri) -> Result<Uri, Error> {
        let path = MethodPath::parse(uri.path())?;
        let path = match &*self.service {
            "" => format!("/{}/{}", path.handler, path.method),
            service => format!("/{service}.{}/{}", path.handler, path.method),
        };
        Uri::builder()
            .scheme("http")
            .authority(self.client.address())
            .path_and_query(path)
            .build()
            .map_err(|error| {
                let detail = format!("cannot address service {:?}: {error}", self.service);
                Error::bad_request(CLIENT_ID, detail)
            })
    }

    /// Namespace, trace, and what the call being handled passes on.
    fn describe(&self, headers: &mut HeaderMap, context: Option<&Context>) {
        let namespace = match &self.options.namespace {
            Some(namespace) => Some(namespace.as_str()),
            None if headers.contains_key(metadata::NAMESPACE) => None,
            None => context
                .and_then(Context::namespace)
                .or(Some(self.client.namespace()).filter(|own| !own.is_empty())),
        };
        if let Some(namespace) = namespace.and_then(|text| HeaderValue::try_from(text).ok()) {
            headers.insert(metadata::NAMESPACE, namespace);
        }
        if let Some(context) = context {
            context.propagate(headers);
        }
        let id = || HeaderValue::try_from(Uuid::now_v7().to_string());
        if !headers.contains_key(metadata::TRACE_ID)
            && let Ok(trace) = id()
        {
            headers.insert(metadata::TRACE_ID, trace);
        }
        if let Ok(span) = id() {
            headers.insert(metadata::SPAN_ID, span);
        }
        let content_type = if metadata::is_json(headers) {
            metadata::GRPC_JSON
        } else {
            metadata::GRPC_PROTO
        };
        headers.insert(
            metadata::CONTENT_TYPE,
            HeaderValue::from_static(content_type),
        );
    }

    async fn attempts(&self, mut call: Call) -> Response<Body> {
        let inner = &self.client.inner;
        let mut retries = self.options.retries.unwrap_or(inner.retries);
        let mut pause = PAUSE;
        let mut replaced = false;
        inner.budget.earn();
        loop {
            if call.own {
                // Each time: another call may have renewed it meanwhile.
                let header = within(call.deadline, inner.credentials.header(&self.client)).await;
                match header {
                    Some(Ok(Some(header))) => {
                        call.parts.headers.insert(metadata::AUTHORIZATION, header);
                    }
                    Some(Ok(None)) => {}
                    Some(Err(error)) => return error.grpc_response(),
                    None => return call.timeout_error.grpc_response(),
                }
            }
            let (answer, error) = match self.attempt(&call).await {
                Ok(response) => match failure(&response) {
                    Some(error) => (response, error),
                    None => return limited(response, call),
                },
                Err(error) => (error.grpc_response(), error),
            };
            let refused = call
                .parts
                .headers
                .get(metadata::AUTHORIZATION)
                .filter(|_| call.own);
            if error.code == 401
                && !replaced
                && call.body.can_repeat()
                && refused.is_some_and(|header| inner.credentials.refused(header))
            {
                replaced = true;
                continue;
            }
            let worth_it = match error.code {
                500 | 408 => call.body.can_repeat(),
                // No connection: nobody can have seen the call.
                503 => call.body.untouched(),
                _ => false,
            };
            let next = pause.mul_f64(0.5 + chance() / 2.0);
            let in_time = call.deadline.is_none_or(|at| Instant::now() + next < at);
            if retries == 0 || !worth_it || !in_time || !inner.budget.spend() {
                return limited(answer, call);
            }
            tracing::debug!(service = %self.service, %error, "trying again");
            tokio::time::sleep(next).await;
            retries -= 1;
            pause *= 2;
        }
    }

    async fn attempt(&self, call: &Call) -> Result<Response<Body>, Error> {
        let mut request = Request::from_parts(call.parts.clone(), call.body.next_attempt());
        if let Some(at) = call.deadline {
            let left = at.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(call.timeout_error.clone());
            }
            metadata::set_timeout(request.headers_mut(), left);
        }
        let mut channel = self.client.channel();
        let sent = async {
            std::future::poll_fn(|cx| channel.poll_ready(cx)).await?;
            channel.call(request).await
        };
        match within(call.deadline, sent).await {
            None => Err(call.timeout_error.clone()),
            Some(Ok(response)) => Ok(response),
            Some(Err(error)) => {
                let unreachable = self.client.no_connection(&error);
                let status = Status::from_error(error.into());
                Err(match status.code() {
                    // The connection's own clock, which runs by the same deadline.
                    Code::DeadlineExceeded | Code::Cancelled => call.timeout_error.clone(),
                    _ if call.body.untouched() => unreachable,
                    _ => {
                        let address = self.client.address();
                        let text = status.message();
                        let detail = format!("the connection to {address} broke: {text}");
                        Error::service_unavailable(CLIENT_ID, detail)
                    }
                })
            }
        }
    }
}

/// The error of an answer that is nothing but an error.
fn failure(response: &Response<Body>) -> Option<Error> {
    let status = Status::from_header_map(response.headers())?;
    (status.code() != Code::Ok).then(|| Error::from_status(&status))
}

/// An answer that ends when its time is over, and whose call ends when it is dropped.
fn limited(response: Response<Body>, call: Call) -> Response<Body> {
    let Call {
        guard,
        deadline,
        timeout_error,
        ..
    } = call;
    response.map(|body| {
        let body = Body::new(Guarded {
            body,
            _guard: guard,
        });
        match deadline {
            Some(at) => Body::new(Deadline::new(body, at, timeout_error)),
            None => body,
        }
    })
}

/// The body of an answer, with what cancels its call.
struct Guarded {
    body: Body,
    _guard: CancelOnDrop,
}

impl http_body::Body for Guarded {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Task<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}

/// `None` if the deadline came first.
async fn within<F: Future>(deadline: Option<Instant>, future: F) -> Option<F::Output> {
    match deadline {
        Some(at) => tokio::time::timeout_at(at, future).await.ok(),
        None => Some(future.await),
    }
}

/// A number from 0 to 1.
pub(crate) fn chance() -> f64 {
    let [byte, ..] = Uuid::new_v4().into_bytes();
    f64::from(byte) / 255.0
}
