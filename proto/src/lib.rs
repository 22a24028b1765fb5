//! The wire messages and services of micro, generated from its `.proto` files, with their descriptors.

#![allow(
    missing_docs,
    unused_qualifications,
    clippy::all,
    reason = "the modules below are generated; their documentation is in the .proto files"
)]

use std::sync::LazyLock;

use prost_reflect::DescriptorPool;

/// Package `api`: the blocklist of the gateway.
pub mod api {
    tonic::include_proto!("api");
}

/// Package `auth`: accounts, tokens, rules.
pub mod auth {
    tonic::include_proto!("auth");
}

/// Package `broker`.
pub mod broker {
    tonic::include_proto!("broker");
}

/// Package `config`.
pub mod config {
    tonic::include_proto!("config");
}

/// Package `debug`: served by every process.
pub mod debug {
    tonic::include_proto!("debug");
}

/// Package `errors`: the error in the details of a status.
pub mod errors {
    tonic::include_proto!("errors");
}

/// Package `events`.
pub mod events {
    tonic::include_proto!("events");
}

/// Package `network`.
pub mod network {
    tonic::include_proto!("network");
}

/// Package `profile`: which plugins a server runs by.
pub mod profile {
    tonic::include_proto!("profile");
}

/// Package `registry`.
pub mod registry {
    tonic::include_proto!("registry");
}

/// Package `router`.
pub mod router {
    tonic::include_proto!("router");
}

/// Package `runtime`: services, their source and builds.
pub mod runtime {
    tonic::include_proto!("runtime");
}

/// Package `store`: records and blobs.
pub mod store {
    tonic::include_proto!("store");
}

/// Every file here as an encoded `google.protobuf.FileDescriptorSet`, comments included:
/// what reflection serves and what JSON is read with.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// The descriptors of [`FILE_DESCRIPTOR_SET`], parsed once.
pub fn descriptor_pool() -> &'static DescriptorPool {
    static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
        DescriptorPool::decode(FILE_DESCRIPTOR_SET)
            .expect("the descriptors were written by this crate's build script")
    });
    &POOL
}
