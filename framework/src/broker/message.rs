//! A message, and the values that it is made of and read as.

use std::{collections::BTreeMap, fmt};

use bytes::Bytes;
use prost_reflect::DescriptorPool;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Error,
    wire::{error::CLIENT_ID, json::json_to_proto},
};

const CONTENT_TYPE: &str = "Content-Type";
const JSON: &str = "application/json";
const PROTOBUF: &str = "application/protobuf";

/// A message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// Facts about the body, `Content-Type` for one, and the metadata of whoever published it.
    pub header: BTreeMap<String, String>,
    /// The body.
    pub body: Bytes,
    /// Of a message that was received: how many the subscriber has lost, being too slow, since the
    /// one before.
    pub lost: u64,
}

impl Message {
    /// A message of bytes, with no content type.
    pub fn new(body: impl Into<Bytes>) -> Self {
        Self {
            body: body.into(),
            ..Self::default()
        }
    }

    /// A value as JSON.
    ///
    /// # Errors
    /// 400 for a value that JSON cannot express.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Self, Error> {
        let body = serde_json::to_vec(value).map_err(|error| {
            Error::bad_request(CLIENT_ID, format!("the message cannot be JSON: {error}"))
        })?;
        Ok(Self::new(body).with_header(CONTENT_TYPE, JSON))
    }

    /// A value as protobuf.
    pub fn proto<T: prost::Message>(value: &T) -> Self {
        Self::new(value.encode_to_vec()).with_header(CONTENT_TYPE, PROTOBUF)
    }

    /// The same message with one more entry in its header.
    #[must_use]
    pub fn with_header(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.header.insert(key.into(), value.into());
        self
    }

    /// An entry of the header; the case of `key` does not matter.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        let mut entries = self.header.iter();
        entries
            .find(|(name, _)| name.eq_ignore_ascii_case(key))
            .map(|(_, value)| value.as_str())
    }

    /// The body as a value of JSON.
    ///
    /// # Errors
    /// 400 for a body that is not such JSON.
    pub fn read_json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|error| {
            Error::bad_request(CLIENT_ID, format!("the message cannot be read: {error}"))
        })
    }

    /// Whether the body says that it is JSON.
    fn is_json(&self) -> bool {
        self.content_type("json")
    }

    fn content_type(&self, word: &str) -> bool {
        self.get(CONTENT_TYPE)
            .is_some_and(|kind| kind.to_ascii_lowercase().contains(word))
    }
}

/// The message types that a service knows, from the protos of its handlers and those that
/// [`Service::descriptors`](crate::Service::descriptors) names.
#[derive(Clone, Default)]
pub struct Types(Vec<DescriptorPool>);

impl fmt::Debug for Types {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Types").field(&self.0.len()).finish()
    }
}

impl Types {
    pub(crate) fn add(&mut self, pool: DescriptorPool) {
        self.0.push(pool);
    }
}

/// What a handler of messages takes.
pub trait FromMessage: Sized + Send + 'static {
    /// Reads it.
    ///
    /// # Errors
    /// The message is something else; its handler is then not called.
    fn from_message(message: Message, types: &Types) -> Result<Self, Error>;
}

impl FromMessage for Message {
    fn from_message(message: Message, _: &Types) -> Result<Self, Error> {
        Ok(message)
    }
}

/// A value that is published as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned + Send + 'static> FromMessage for Json<T> {
    fn from_message(message: Message, _: &Types) -> Result<Self, Error> {
        if message.content_type("protobuf") {
            let detail = "the message is protobuf, and its handler takes JSON";
            return Err(Error::bad_request(CLIENT_ID, detail));
        }
        message.read_json().map(Self)
    }
}

/// A protobuf message, published as protobuf or, as its content type then says, as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proto<T>(pub T);

impl<T: prost::Message + prost::Name + Default + 'static> FromMessage for Proto<T> {
    fn from_message(message: Message, types: &Types) -> Result<Self, Error> {
        let bad = |detail: String| Error::bad_request(CLIENT_ID, detail);
        let body = if message.is_json() {
            let name = T::full_name();
            let mut pools = types.0.iter();
            let descriptor = pools.find_map(|pool| pool.get_message_by_name(&name));
            let descriptor = descriptor.ok_or_else(|| {
                bad(format!(
                    "the message is JSON, and the service does not know {name}; name its proto \
                     with Service::descriptors"
                ))
            })?;
            json_to_proto(&descriptor, &message.body)
                .map_err(|error| error.into_error(CLIENT_ID))?
        } else {
            message.body
        };
        let value =
            T::decode(body).map_err(|error| bad(format!("the message cannot be read: {error}")))?;
        Ok(Self(value))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// What `broker.SubscribeRequest` is to an author's generated code.
    #[derive(Clone, PartialEq, prost::Message)]
    struct Subscribe {
        #[prost(string, tag = "1")]
        topic: String,
    }

    impl prost::Name for Subscribe {
        const NAME: &'static str = "SubscribeRequest";
        const PACKAGE: &'static str = "broker";
    }

    #[test]
    fn the_content_type_says_how_a_message_is_read() {
        let mut types = Types::default();
        let value = json!({"topic": "t"});
        let text = Message::json(&value).unwrap();
        assert_eq!(text.get("content-type"), Some("application/json"));
        let Json(read) = Json::<Value>::from_message(text.clone(), &types).unwrap();
        assert_eq!(read, value);

        let topic = Subscribe {
            topic: "t".to_owned(),
        };
        let binary = Message::proto(&topic);
        let untyped = Message::new(binary.body.clone());
        for message in [binary.clone(), untyped] {
            let Proto(read) = Proto::<Subscribe>::from_message(message, &types).unwrap();
            assert_eq!(read, topic);
        }
        let wrong = Json::<Value>::from_message(binary, &types).unwrap_err();
        assert!(wrong.detail.contains("protobuf"), "{wrong}");

        let unknown = Proto::<Subscribe>::from_message(text.clone(), &types).unwrap_err();
        assert!(
            unknown.detail.contains("broker.SubscribeRequest"),
            "{unknown}"
        );
        types.add(micro_proto::descriptor_pool().clone());
        let Proto(read) = Proto::<Subscribe>::from_message(text, &types).unwrap();
        assert_eq!(read, topic);
    }
}
