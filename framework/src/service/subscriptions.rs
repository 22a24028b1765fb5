//! What a service subscribes to: each message goes to its handler, which may fail without ending
//! the subscription.

use std::{any::Any, fmt::Display, future::Future, panic::AssertUnwindSafe, sync::Arc};

use futures::{FutureExt as _, future::BoxFuture};
use http::HeaderMap;
use tokio::{
    sync::{oneshot, watch},
    task::JoinSet,
    time::{Duration, timeout},
};

use crate::{
    Client, Context,
    broker::{FromMessage, Message, Subscription, Target, Types},
    context,
    wire::metadata,
};

/// How long the service waits for its subscriptions before it registers without them.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a handler may take to end when the service stops.
const GRACE: Duration = Duration::from_secs(10);

type Handle = Arc<dyn Fn(Message, &Types) -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// A topic and its handler.
pub(super) struct Subscriber {
    target: Target,
    handle: Handle,
}

impl Subscriber {
    pub(super) fn new<M, F, R, E>(target: Target, handler: F) -> Self
    where
        M: FromMessage,
        F: Fn(M) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), E>> + Send + 'static,
        E: Display,
    {
        let handler = Arc::new(handler);
        let handle: Handle = Arc::new(move |message, types| {
            let (handler, value) = (handler.clone(), M::from_message(message, types));
            Box::pin(async move {
                let value = value.map_err(|error| error.detail)?;
                handler(value).await.map_err(|error| error.to_string())
            })
        });
        Self { target, handle }
    }
}

/// Subscriptions that are being served.
pub(super) struct Subscriptions {
    running: JoinSet<()>,
    first: Vec<oneshot::Receiver<()>>,
}

impl Subscriptions {
    /// Serves all of them until `stopped` says so.
    pub(super) fn start(
        client: &Client,
        subscribers: Vec<Subscriber>,
        types: Types,
        stopped: &watch::Receiver<bool>,
    ) -> Self {
        let (types, mut running, mut first) = (Arc::new(types), JoinSet::new(), Vec::new());
        for subscriber in subscribers {
            let (tried, first_try) = oneshot::channel();
            first.push(first_try);
            let (client, types, stopped) = (client.clone(), types.clone(), stopped.clone());
            running.spawn(serve(client, subscriber, types, tried, stopped));
        }
        Self { running, first }
    }

    /// Waits until each has been tried once: a service that is registered gets its messages, too.
    pub(super) fn tried(&mut self) -> impl Future<Output = ()> + Send + use<> {
        let first = futures::future::join_all(std::mem::take(&mut self.first));
        async move {
            // A server that does not answer has been told of by then, and is tried again.
            let _ = timeout(PATIENCE, first).await;
        }
    }

    /// Waits, once they were told to stop, until the handlers that run have ended.
    pub(super) async fn end(mut self) {
        let all = async { while self.running.join_next().await.is_some() {} };
        if timeout(GRACE, all).await.is_err() {
            tracing::warn!("handlers of messages still ran after {GRACE:?} and are cut off");
        }
    }
}

async fn serve(
    client: Client,
    subscriber: Subscriber,
    types: Arc<Types>,
    tried: oneshot::Sender<()>,
    mut stopped: watch::Receiver<bool>,
) {
    let Subscriber { target, handle } = subscriber;
    let topic = target.topic.clone();
    let broker = client.broker();
    let subscribing = broker.open(target.clone());
    let subscribed = tokio::select! {
        _ = stopped.wait_for(|stop| *stop) => return,
        subscribed = subscribing => subscribed,
    };
    let mut subscription = subscribed.unwrap_or_else(|error| {
        tracing::warn!(topic, %error, "cannot subscribe yet; trying until it works");
        Subscription::lost(broker, target)
    });
    // Nobody waits any more if it took too long.
    let _ = tried.send(());
    loop {
        let message = tokio::select! {
            biased;
            _ = stopped.wait_for(|stop| *stop) => return,
            message = subscription.next() => message,
        };
        if message.lost > 0 {
            tracing::warn!(
                topic,
                lost = message.lost,
                "messages were lost: they come faster than they are handled"
            );
        }
        let context = Context::of_message(&headers(&message));
        let handled = AssertUnwindSafe(async { handle(message, &types).await });
        let handled = context.scope(handled.catch_unwind()).await;
        match handled {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(topic, error, "a message was not handled"),
            Err(panic) => {
                let panic = text(&*panic);
                tracing::error!(topic, panic, "the handler of a message panicked");
            }
        }
    }
}

fn text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a value that is no text")
}

/// The header of a message as the metadata of its handler. Who published it decides neither on
/// whose account nor where nor for how long its handler acts.
fn headers(message: &Message) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (key, value) in &message.header {
        if let Ok((name, value)) = context::header(key, value) {
            headers.append(name, value);
        }
    }
    for key in [
        metadata::AUTHORIZATION,
        metadata::NAMESPACE,
        metadata::TIMEOUT,
        metadata::GRPC_TIMEOUT,
        http::header::CONTENT_TYPE.as_str(),
    ] {
        headers.remove(key);
    }
    headers
}
