//! JSON for services that know only protobuf: their messages are translated here.

use bytes::Bytes;
use micro_wire::{
    Error,
    error::CLIENT_ID,
    json::{json_to_proto, proto_to_json},
};
use prost_reflect::MethodDescriptor;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::ID;

/// Messages above this are translated on a thread that may take its time, in bytes.
const LARGE: usize = 256 * 1024;

/// The messages of a method, between JSON and protobuf.
#[derive(Clone, Debug)]
pub(crate) struct Translation {
    method: MethodDescriptor,
}

/// An answer, or the work that makes it.
pub(crate) enum Answer {
    Now(Result<Bytes, Error>),
    Later(JoinHandle<Result<Bytes, Error>>),
}

impl Translation {
    pub(crate) fn new(method: MethodDescriptor) -> Self {
        Self { method }
    }

    /// The path by which a plain gRPC server knows the method.
    pub(crate) fn path(&self) -> String {
        let service = self.method.parent_service().full_name();
        format!("/{service}/{}", self.method.name())
    }

    /// A request in protobuf.
    ///
    /// # Errors
    /// 400 for JSON that does not fit the message, saying where.
    pub(crate) async fn request(&self, json: Bytes) -> Result<Bytes, Error> {
        let message = self.method.input();
        let large = json.len() > LARGE;
        let work = move || json_to_proto(&message, &json).map_err(|error| error.into_error(ID));
        if large {
            return spawn_blocking(work).await.unwrap_or_else(|_| Err(lost()));
        }
        work()
    }

    /// An answer in JSON.
    pub(crate) fn answer(&self, proto: Bytes) -> Answer {
        let message = self.method.output();
        let large = proto.len() > LARGE;
        let work =
            move || proto_to_json(&message, proto).map_err(|error| error.into_error(CLIENT_ID));
        match large {
            true => Answer::Later(spawn_blocking(work)),
            false => Answer::Now(work()),
        }
    }
}

pub(crate) fn lost() -> Error {
    Error::internal_server_error(ID, "the message could not be translated")
}
