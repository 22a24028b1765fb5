//! Configuration: JSON values under dotted paths, shared by all services of a namespace.
//!
//! ```no_run
#![doc = include_str!("../examples/config.rs")]
//! ```

mod duration;
mod value;
mod watch;

use micro_proto::config as proto;
use proto::{DeleteRequest, GetRequest, Options, SetRequest, config_client::ConfigClient};
use serde::Serialize;
use tonic::Request;

pub(crate) use self::watch::is_for_good;
pub use self::{
    value::Value,
    watch::{Update, Watch},
};
use crate::{Client, Error, ServiceChannel, client::unary};

impl Client {
    /// The configuration of this client's namespace, used on its own account.
    #[must_use]
    pub fn config(&self) -> Config {
        Config {
            channel: self.core("config"),
            namespace: self.namespace().to_owned(),
            secret: false,
        }
    }
}

/// The configuration of a namespace.
#[derive(Clone, Debug)]
pub struct Config {
    channel: ServiceChannel,
    namespace: String,
    secret: bool,
}

impl Config {
    /// The configuration of another namespace.
    #[must_use]
    pub fn of_namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// With secrets: what is read is decrypted, and what is set is encrypted at rest. Without, a
    /// secret reads as the text `[secret]`.
    #[must_use]
    pub fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    fn client(&self) -> ConfigClient<ServiceChannel> {
        ConfigClient::new(self.channel.clone()).max_decoding_message_size(crate::MAX_MESSAGE)
    }

    fn options(&self) -> Option<Options> {
        Some(Options {
            secret: self.secret,
        })
    }

    /// The value under a path (`key.subkey`; empty for everything). Where there is none, it is a
    /// value that does not [exist](Value::exists), which gives the defaults that it is asked for.
    ///
    /// # Errors
    /// What the platform answered.
    pub async fn get(&self, path: impl Into<String>) -> Result<Value, Error> {
        let request = GetRequest {
            namespace: self.namespace.clone(),
            path: path.into(),
            options: self.options(),
        };
        let answer = self.client().get(unary(Request::new(request))).await;
        match answer.map_err(Error::from) {
            Ok(answer) => Value::read(answer.into_inner().value),
            Err(error) if error.code == 404 => Ok(Value::default()),
            Err(error) => Err(error),
        }
    }

    /// Sets what is under a path. What becomes a JSON object goes into the object that is there,
    /// key by key; anything else replaces what is there.
    ///
    /// # Errors
    /// 400 for what cannot be written as JSON, an empty path, or one that leads through a value;
    /// else what the platform answered.
    pub async fn set(&self, path: impl Into<String>, value: impl Serialize) -> Result<(), Error> {
        let data = serde_json::to_string(&value).map_err(|error| {
            let detail = format!("the value cannot be written as JSON: {error}");
            Error::bad_request("config.Config.Set", detail)
        })?;
        let request = SetRequest {
            namespace: self.namespace.clone(),
            path: path.into(),
            value: Some(proto::Value {
                data,
                format: "json".to_owned(),
            }),
            options: self.options(),
        };
        self.client().set(unary(Request::new(request))).await?;
        Ok(())
    }

    /// Deletes what is under a path, with all below it; there need not be anything.
    ///
    /// # Errors
    /// What the platform answered; 404 if nothing was ever set in the namespace.
    pub async fn delete(&self, path: impl Into<String>) -> Result<(), Error> {
        let request = DeleteRequest {
            namespace: self.namespace.clone(),
            path: path.into(),
        };
        self.client().delete(unary(Request::new(request))).await?;
        Ok(())
    }
}
