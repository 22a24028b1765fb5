//! The core service `store`: records and blobs of a namespace, for those who administer it.

mod blobs;
mod commits;
mod pages;
mod record;
mod records;
mod upload;

use micro_proto::store::{blob_store_server::BlobStoreServer, store_server::StoreServer};
use micro_wire::{Handlers, frame::MAX_MESSAGE, json::MethodsError};

use self::{blobs::BlobService, records::StoreService};
use crate::Platform;

/// The table of those who name none.
const DEFAULT_TABLE: &str = "micro";

/// The handlers `Store` and `BlobStore`.
pub(crate) fn handlers(platform: &Platform) -> Result<Handlers, MethodsError> {
    let store = StoreServer::new(StoreService::new(platform.modules.clone()));
    let blobs = BlobStoreServer::new(BlobService::new(platform.modules.clone()));
    let pool = micro_proto::descriptor_pool();
    Handlers::new()
        .add(store.max_decoding_message_size(MAX_MESSAGE), pool)?
        .add(blobs.max_decoding_message_size(MAX_MESSAGE), pool)
}
