//! The way of a call from a door to whoever answers it: admitted, routed, sent.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, Uri, Version, header::TE,
    request::Parts, uri::Scheme,
};
use micro_access::{Access, Caller};
use micro_wire::{
    Error, clipped,
    error::CLIENT_ID,
    metadata::{self, strip_hop_by_hop},
    path::MethodPath,
};

use crate::{
    Body, BodyError, Budget, Core, Gather, NoRoute, Node, Route, Routes, Share,
    body::lost,
    core::is_reserved,
    deadline::{self, Deadline},
    door,
    routes::InFlight,
    upstream::{Exchange, Failure, Replay, Upstreams},
};

/// How often a call that reached no handler is sent in all.
const ATTEMPTS: usize = 6;

/// Counts the doors that a call has passed, so that a record which points back at a door cannot
/// send a call around for ever.
const HOPS: HeaderName = HeaderName::from_static("micro-hops");

/// The most doors that a call passes on its way through services.
const MOST_HOPS: u16 = 64;

/// Who answers a call.
pub enum Target {
    /// A core service, in this process.
    Core,
    /// A node of this route.
    Route(Arc<Route>),
}

/// Takes calls from a door to whoever answers them. Each thread of a door has its own, with its
/// own connections to nodes, so that no call waits for another thread.
pub struct Dispatcher {
    access: Access,
    routes: Arc<Routes>,
    core: Arc<dyn Core>,
    upstreams: Upstreams,
    random: AtomicU64,
    budget: Budget,
}

impl Dispatcher {
    /// A dispatcher without connections yet.
    pub fn new(access: Access, routes: Arc<Routes>, core: Arc<dyn Core>) -> Self {
        Self {
            access,
            routes,
            core,
            upstreams: Upstreams::default(),
            random: AtomicU64::new(0),
            budget: Budget::default(),
        }
    }

    /// The same, with this budget for incomplete requests, which the dispatchers of a server share.
    #[must_use]
    pub fn with_budget(mut self, budget: Budget) -> Self {
        self.budget = budget;
        self
    }

    /// What incomplete requests may take.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// What is known of services.
    pub fn routes(&self) -> &Arc<Routes> {
        &self.routes
    }

    /// The services that are answered in this process.
    pub fn core(&self) -> &Arc<dyn Core> {
        &self.core
    }

    /// Makes a call in the shape of gRPC: checks who makes it and whether they may, finds who
    /// answers it, and passes everything on undecoded in both directions. The response comes as
    /// soon as its head is there; a failure is a response without a body but with a gRPC status.
    ///
    /// The call ends at the deadline in its metadata, also while its body streams. Dropping the
    /// future or the body cancels it on the way to the handler too. It is made again only when no
    /// handler can have seen it. A message to a core service is held until it is whole, within the
    /// [`Share`] in the extensions of the request.
    pub async fn call<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BodyError> + Send,
    {
        let (mut parts, body) = request.into_parts();
        let deadline = Deadline::of(&parts.headers);
        strip_hop_by_hop(&mut parts.headers);
        let work = async {
            let path = MethodPath::parse(parts.uri.path())?;
            let caller = self.admit(&mut parts.headers, &path).await?;
            let source = parts.extensions.get::<door::Source>();
            let caller = caller.with_source(source.map(|door::Source(source)| *source));
            let target = self.find(&caller.namespace, path.service).await?;
            self.forward(&target, caller, parts, body, deadline).await
        };
        within(deadline, work)
            .await
            .unwrap_or_else(|error| error.grpc_response())
    }

    /// Checks who makes a call and whether they may; the namespace stands in the headers then.
    ///
    /// # Errors
    /// What the caller is to be told: 401 or 403.
    pub async fn admit(
        &self,
        headers: &mut HeaderMap,
        path: &MethodPath<'_>,
    ) -> Result<Caller, Error> {
        self.access
            .admit(headers, path.service, &path.endpoint())
            .await
    }

    /// Finds who answers calls to a service in a namespace.
    ///
    /// # Errors
    /// 404 for a service that nobody knows, 503 if the registry could not be asked for it.
    pub async fn find(&self, namespace: &str, service: &str) -> Result<Target, Error> {
        if self.core.serves(service) {
            return Ok(Target::Core);
        }
        let found = if is_reserved(service) {
            Err(NoRoute::Unknown)
        } else {
            self.routes.find(namespace, service).await
        };
        found.map(Target::Route).map_err(|error| {
            let detail = format!("service {}: {error}", clipped(service));
            match error {
                NoRoute::Unknown => Error::not_found(CLIENT_ID, detail),
                NoRoute::Registry(_) => Error::service_unavailable(CLIENT_ID, detail),
            }
        })
    }

    /// Sends a call that has been admitted to whoever answers it, within the deadline in its
    /// metadata, as [`Dispatcher::call`] does. Its headers must be metadata alone, free of those
    /// that belong to a connection.
    ///
    /// # Errors
    /// No node can be reached, the node broke off, or the deadline passed.
    pub async fn send<B>(
        &self,
        target: &Target,
        caller: Caller,
        request: Request<B>,
    ) -> Result<Response<Body>, Error>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BodyError> + Send,
    {
        let (parts, body) = request.into_parts();
        let deadline = Deadline::of(&parts.headers);
        within(
            deadline,
            self.forward(target, caller, parts, body, deadline),
        )
        .await
    }

    async fn forward<B>(
        &self,
        target: &Target,
        caller: Caller,
        mut parts: Parts,
        body: B,
        deadline: Option<Deadline>,
    ) -> Result<Response<Body>, Error>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BodyError> + Send,
    {
        if let Some(deadline) = deadline {
            deadline.pass_on(&mut parts.headers);
        }
        match target {
            Target::Core => {
                parts.extensions.insert(caller);
                let share = parts.extensions.remove::<Share>();
                let share = share.unwrap_or_else(|| self.budget.connection());
                let body = Gather::new(body, &share);
                // What a message takes it takes until it is answered, or another one is read.
                let _tab = body.tab();
                let request = Request::from_parts(parts, tonic::body::Body::new(body));
                Ok(self.core.call(request).await.map(Body::core))
            }
            Target::Route(route) => {
                count_hop(&mut parts.headers)?;
                parts
                    .headers
                    .insert(TE, HeaderValue::from_static("trailers"));
                self.exchange(route, parts, body).await
            }
        }
    }

    /// Sends a call to one node after another until one has taken it.
    async fn exchange<B>(
        &self,
        route: &Route,
        mut parts: Parts,
        body: B,
    ) -> Result<Response<Body>, Error>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Send,
    {
        let mut body = Replay::new(body);
        // The node is told nothing of it, or calls that it makes in turn would ask for it too.
        let mut tried = match parts.headers.remove(metadata::NODE) {
            Some(only) => all_but(&only, route)?,
            None => Vec::new(),
        };
        let mut refusal = None;
        for _ in 0..ATTEMPTS {
            let Some(node) = route.pick(&tried, self.random()) else {
                break;
            };
            let lease = match self.upstreams.lease(&node).await {
                Ok(lease) => lease,
                Err(error) => {
                    node.failed();
                    refusal = Some(format!("{}: {error}", node.address()));
                    tried.push(node);
                    continue;
                }
            };
            node.answered();
            let connection = lease.number;
            let in_flight = InFlight::new(node.clone());
            let exchange = match Exchange::start(lease, in_flight, head(&parts, &node)?, body) {
                Ok(exchange) => exchange.await,
                Err(failure) => Err(failure),
            };
            let Failure { error, again } = match exchange {
                Ok(response) => return Ok(response.map(|body| Body::node(body, node))),
                Err(failure) => failure,
            };
            if error.is_go_away() || error.is_io() {
                self.upstreams.discard(&node, connection);
            }
            match again {
                Some(unsent) => body = unsent,
                None => return Err(broken(&node, &error)),
            }
            refusal = Some(format!("{}: {error}", node.address()));
            if error.is_reset() {
                // The connection is good; it is the node that takes no more.
                tried.push(node);
            }
        }
        let name = route.name();
        let nodes = route.nodes().len();
        Err(Error::service_unavailable(
            CLIENT_ID,
            match refusal {
                Some(refusal) => {
                    format!("service {name}: no node takes calls; last tried {refusal}")
                }
                None => format!(
                    "service {name}: none of its {nodes} nodes could be reached a moment ago; \
                     try again shortly"
                ),
            },
        ))
    }

    /// Any number, another one each time: a Weyl sequence, mixed.
    fn random(&self) -> u64 {
        let mut x = self
            .random
            .fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }
}

/// The nodes of a route that a call for this one alone must not go to.
fn all_but(only: &HeaderValue, route: &Route) -> Result<Vec<Arc<Node>>, Error> {
    let (wanted, others): (Vec<_>, Vec<_>) = route
        .nodes()
        .iter()
        .cloned()
        .partition(|node| node.id().as_bytes() == only.as_bytes());
    if wanted.is_empty() {
        let id = only.to_str().unwrap_or("of that id");
        let detail = format!("service {} has no node {id}", route.name());
        return Err(Error::not_found(CLIENT_ID, detail));
    }
    Ok(others)
}

/// The head of the request as the node gets it.
fn head(parts: &Parts, node: &Node) -> Result<Request<()>, Error> {
    let mut uri = http::uri::Parts::default();
    uri.scheme = Some(Scheme::HTTP);
    uri.authority = Some(node.authority().clone());
    uri.path_and_query = parts.uri.path_and_query().cloned();
    let uri = Uri::from_parts(uri)
        .map_err(|error| Error::bad_request(CLIENT_ID, format!("invalid path: {error}")))?;
    let mut head = Request::new(());
    *head.method_mut() = parts.method.clone();
    *head.uri_mut() = uri;
    *head.version_mut() = Version::HTTP_2;
    *head.headers_mut() = parts.headers.clone();
    Ok(head)
}

fn count_hop(headers: &mut HeaderMap) -> Result<(), Error> {
    let hops: u16 = headers
        .get(HOPS)
        .and_then(|hops| hops.to_str().ok()?.parse().ok())
        .unwrap_or(0);
    if hops >= MOST_HOPS {
        return Err(Error::new(
            CLIENT_ID,
            508,
            format!(
                "the call has passed {MOST_HOPS} doors: a registry record or a service sends it in a circle"
            ),
        ));
    }
    headers.insert(HOPS, HeaderValue::from(hops + 1));
    Ok(())
}

/// The error of a call that a node did not answer: by the reason of a reset, as gRPC maps it.
fn broken(node: &Node, error: &h2::Error) -> Error {
    if !error.is_reset() {
        return lost(node, error);
    }
    let detail = format!("node {} reset the call: {error}", node.address());
    let code = match error.reason() {
        Some(h2::Reason::CANCEL) => 499,
        Some(h2::Reason::REFUSED_STREAM) => 503,
        Some(h2::Reason::ENHANCE_YOUR_CALM) => 429,
        _ => 500,
    };
    Error::new(CLIENT_ID, code, detail)
}

/// Runs `work` until its end or the deadline, and lets the body of the response end there too.
async fn within(
    deadline: Option<Deadline>,
    work: impl Future<Output = Result<Response<Body>, Error>>,
) -> Result<Response<Body>, Error> {
    let Some(deadline) = deadline else {
        return work.await;
    };
    let mut work = pin!(work);
    let mut timer = deadline.timer();
    let response = poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Pending => timer.poll(cx).map(|()| Err(deadline::exceeded())),
        ready => ready,
    })
    .await?;
    Ok(response.map(|body| body.until(Some(timer))))
}
