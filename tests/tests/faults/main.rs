//! Real backends that stop for a while, die, come late or not at all, under a real server with
//! traffic: calls fail soon and with the right error, everything recovers by itself, and nothing
//! that was acknowledged is lost.
//!
//! What is tried with one backend goes on at the same time, each with a server and a backend of its
//! own: most of it is waiting.

mod backend;
mod blobs;
mod messages;
mod platform;
mod registry;
mod store;
mod traffic;

use futures::{FutureExt as _, future::LocalBoxFuture};

use crate::backend::Backend;

/// Runs these beside each other.
async fn beside<const N: usize>(trials: [LocalBoxFuture<'static, ()>; N]) {
    futures::future::join_all(trials).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_fails_and_comes_back() {
    beside([
        store::no_acknowledged_write_is_lost(Backend::etcd().await).boxed_local(),
        store::a_watch_goes_on_or_says_that_it_ends(Backend::etcd().await).boxed_local(),
        store::a_server_waits_for_it(Backend::etcd().await).boxed_local(),
        store::an_unfinished_copy_serves_nobody(Backend::etcd().await).boxed_local(),
        store::an_emptied_store_lets_nobody_in(Backend::etcd().await).boxed_local(),
        registry::what_runs_is_called_on_and_what_comes_later_is_found(Backend::etcd().await)
            .boxed_local(),
        registry::a_server_waits_for_it(Backend::etcd().await).boxed_local(),
        platform::a_server_does_without(Backend::etcd().await, &["store", "registry"])
            .boxed_local(),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_fails_and_comes_back() {
    beside([
        store::no_acknowledged_write_is_lost(Backend::postgres().await).boxed_local(),
        store::a_watch_goes_on_or_says_that_it_ends(Backend::postgres().await).boxed_local(),
        store::a_server_waits_for_it(Backend::postgres().await).boxed_local(),
        blobs::no_acknowledged_blob_is_lost(Backend::postgres().await).boxed_local(),
        platform::a_server_does_without(Backend::postgres().await, &["store", "blob"])
            .boxed_local(),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nats_fails_and_comes_back() {
    beside([
        messages::no_acknowledged_event_is_lost(Backend::nats().await).boxed_local(),
        messages::a_subscription_goes_on(Backend::nats().await).boxed_local(),
        messages::a_server_waits_for_it(Backend::nats().await).boxed_local(),
        platform::a_server_does_without(Backend::nats().await, &["broker", "stream"]).boxed_local(),
    ])
    .await;
}
