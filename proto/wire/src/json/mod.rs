//! JSON for protobuf messages: reading is lenient, writing is complete, and a layer speaks it for a service.

mod input;
mod layer;
mod methods;
mod output;
mod scalar;
#[cfg(test)]
mod tests;
mod transcode;

use bytes::Bytes;
use prost::Message as _;
use prost_reflect::{DynamicMessage, MessageDescriptor};

pub use input::from_json;
pub(crate) use layer::call_in_its_language;
pub use layer::{JsonLayer, JsonService};
pub use methods::{Methods, MethodsError};
pub use output::to_json;
pub use transcode::{transcode_request, transcode_response};

use crate::Error;

/// Why text is not a message, or a message cannot be text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// The text is no JSON, or does not fit the message; says where.
    #[error("{0}")]
    Invalid(String),
    /// The bytes are not the protobuf message that they should be.
    #[error("{0}")]
    Protobuf(String),
    /// A message that has no JSON form, such as a timestamp outside of the calendar.
    #[error("{0}")]
    Unwritable(String),
}

impl JsonError {
    /// The error as a caller sees it: 400 for what the caller wrote, 500 for the rest.
    #[must_use]
    pub fn into_error(self, id: impl Into<String>) -> Error {
        match self {
            Self::Invalid(detail) => Error::bad_request(id, detail),
            Self::Protobuf(detail) | Self::Unwritable(detail) => {
                Error::internal_server_error(id, detail)
            }
        }
    }
}

/// JSON text to the bytes of the protobuf message.
///
/// # Errors
/// As [`from_json`].
pub fn json_to_proto(message: &MessageDescriptor, json: &[u8]) -> Result<Bytes, JsonError> {
    Ok(from_json(message, json)?.encode_to_vec().into())
}

/// The bytes of a protobuf message to JSON text.
///
/// # Errors
/// [`JsonError::Protobuf`] if the bytes are not such a message, else as [`to_json`].
pub fn proto_to_json(message: &MessageDescriptor, proto: Bytes) -> Result<Bytes, JsonError> {
    let decoded = DynamicMessage::decode(message.clone(), proto).map_err(|error| {
        JsonError::Protobuf(format!("not a {} message: {error}", message.full_name()))
    })?;
    Ok(to_json(&decoded)?.into())
}
