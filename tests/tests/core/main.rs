//! The core services `store`, `config`, `broker`, `events` and `registry`, in this program: what they answer, and to whom.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of tests fails as they do, by panicking"
)]

mod blob;
mod broker;
mod config;
mod events;
mod registry;
mod store;
mod transactions;

use micro_proto::store::{blob_store_client::BlobStoreClient, store_client::StoreClient};
use micro_tests::Door;
use micro_wire::{Error, frame::MAX_MESSAGE};
use tonic::Status;

fn stores(door: Door) -> StoreClient<Door> {
    StoreClient::new(door).max_decoding_message_size(MAX_MESSAGE)
}

fn blobs(door: Door) -> BlobStoreClient<Door> {
    BlobStoreClient::new(door).max_decoding_message_size(MAX_MESSAGE)
}

/// Code and detail of the error in a status, whose id must be this.
#[track_caller]
fn error<T: std::fmt::Debug>(id: &str, result: Result<T, Status>) -> (i32, String) {
    let error = Error::from_status(&result.expect_err("an error"));
    assert_eq!(error.id, id, "{error:?}");
    (error.code, error.detail)
}
