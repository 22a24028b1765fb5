//! The arguments of the methods that cross as JSON documents.

use std::{borrow::Cow, time::Duration};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    Error, Result,
    registry::{Filter, Service},
    runtime::{InstanceKey, LogOptions, Spec, StopOptions},
};

#[derive(Serialize, Deserialize)]
pub(crate) struct Register<'a> {
    pub(crate) service: Cow<'a, Service>,
    #[serde(default)]
    ttl_nanos: Option<u64>,
}

impl<'a> Register<'a> {
    pub(crate) fn new(service: &'a Service, ttl: Option<Duration>) -> Self {
        Self {
            service: Cow::Borrowed(service),
            ttl_nanos: ttl.map(|ttl| ttl.as_nanos().try_into().unwrap_or(u64::MAX)),
        }
    }

    pub(crate) fn ttl(&self) -> Option<Duration> {
        self.ttl_nanos.map(Duration::from_nanos)
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Deregister<'a> {
    pub(crate) service: Cow<'a, Service>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Matching<'a> {
    pub(crate) filter: Cow<'a, Filter>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Start<'a> {
    pub(crate) spec: Cow<'a, Spec>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Stop<'a> {
    pub(crate) key: Cow<'a, InstanceKey>,
    pub(crate) options: Cow<'a, StopOptions>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct ListInstances<'a> {
    #[serde(default)]
    pub(crate) namespace: Option<Cow<'a, str>>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Logs<'a> {
    pub(crate) key: Cow<'a, InstanceKey>,
    pub(crate) options: Cow<'a, LogOptions>,
}

/// A method that takes nothing.
#[derive(Serialize, Deserialize)]
pub(crate) struct Nothing {}

/// The text of a document that is sent.
pub(crate) fn write(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value)
        // The values may be somebody's secrets; what kind of thing failed is enough.
        .map_err(|error| {
            Error::invalid(format!(
                "cannot be sent to the plugin: {:?}",
                error.classify()
            ))
        })
}

/// The value of a document that was received.
pub(crate) fn read<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| {
        Error::internal(format!(
            "the other side of the plugin boundary sent a document that is not understood ({:?})",
            error.classify()
        ))
    })
}
