//! The runtime: services to run, what became of them, and what they print.

use bytes::Bytes;
use futures::{Stream, StreamExt as _, TryStreamExt as _};
pub use micro_proto::runtime::{CreateOptions, LogRecord, ReadOptions, Service, WatchEvent};
use micro_proto::runtime::{
    CreateRequest, DeleteOptions, DeleteRequest, LogsOptions, LogsRequest, ReadRequest, Resource,
    UpdateOptions, UpdateRequest, UploadRequest, WatchRequest, runtime_client::RuntimeClient,
    source_client::SourceClient,
};
use tonic::Request;

use crate::{Client, Error, ServiceChannel, client::unary};

impl Client {
    /// The runtime of the platform, used on this client's own account.
    #[must_use]
    pub fn runtime(&self) -> Runtime {
        Runtime {
            channel: self.core("runtime"),
            namespace: self.namespace().to_owned(),
        }
    }
}

/// The running services of one namespace.
#[derive(Clone, Debug)]
pub struct Runtime {
    channel: ServiceChannel,
    namespace: String,
}

/// Where a service stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Nobody knows.
    Unknown,
    /// Asked for, not begun.
    Pending,
    /// Its source is being built.
    Building,
    /// It runs and has not answered yet.
    Starting,
    /// It registered and answered its health check.
    Running,
    /// It was told to stop.
    Stopping,
    /// It stopped as it was told.
    Stopped,
    /// It failed.
    Error,
}

impl From<i32> for Status {
    fn from(number: i32) -> Self {
        match number {
            1 => Self::Pending,
            2 => Self::Building,
            3 => Self::Starting,
            4 => Self::Running,
            5 => Self::Stopping,
            6 => Self::Stopped,
            7 => Self::Error,
            _ => Self::Unknown,
        }
    }
}

/// Which lines of a service's output.
#[derive(Clone, Debug, Default)]
pub struct Logs {
    /// The service's name.
    pub service: String,
    /// Its version; blank is `latest`.
    pub version: String,
    /// How many of the last lines; 0 is as many as the platform likes to show.
    pub count: i64,
    /// Whether to go on with what it prints from now on.
    pub follow: bool,
}

impl Runtime {
    /// The services of another namespace.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    fn client(&self) -> RuntimeClient<ServiceChannel> {
        RuntimeClient::new(self.channel.clone()).max_decoding_message_size(crate::MAX_MESSAGE)
    }

    /// Asks for a service to run. The answer comes before it does: see [`Runtime::watch`].
    ///
    /// # Errors
    /// What the runtime answered.
    pub async fn create(&self, service: Service, options: CreateOptions) -> Result<(), Error> {
        let request = CreateRequest {
            resource: Some(Resource {
                service: Some(service),
                ..Resource::default()
            }),
            options: Some(CreateOptions {
                namespace: self.namespace.clone(),
                ..options
            }),
        };
        self.client().create(unary(Request::new(request))).await?;
        Ok(())
    }

    /// The services of this name and version; blank is all.
    ///
    /// # Errors
    /// What the runtime answered.
    pub async fn read(
        &self,
        name: impl Into<String>,
        version: impl Into<String>,
    ) -> Result<Vec<Service>, Error> {
        let options = ReadOptions {
            service: name.into(),
            version: version.into(),
            namespace: self.namespace.clone(),
            ..ReadOptions::default()
        };
        let request = ReadRequest {
            options: Some(options),
        };
        Ok(self
            .client()
            .read(unary(Request::new(request)))
            .await?
            .into_inner()
            .services)
    }

    /// Runs a service anew, from its present source.
    ///
    /// # Errors
    /// What the runtime answered.
    pub async fn update(&self, service: Service) -> Result<(), Error> {
        let request = UpdateRequest {
            resource: Some(Resource {
                service: Some(service),
                ..Resource::default()
            }),
            options: Some(UpdateOptions {
                namespace: self.namespace.clone(),
                ..UpdateOptions::default()
            }),
        };
        self.client().update(unary(Request::new(request))).await?;
        Ok(())
    }

    /// Stops a service and forgets it.
    ///
    /// # Errors
    /// What the runtime answered.
    pub async fn delete(&self, service: Service) -> Result<(), Error> {
        let request = DeleteRequest {
            resource: Some(Resource {
                service: Some(service),
                ..Resource::default()
            }),
            options: Some(DeleteOptions {
                namespace: self.namespace.clone(),
            }),
        };
        self.client().delete(unary(Request::new(request))).await?;
        Ok(())
    }

    /// What a service printed.
    ///
    /// # Errors
    /// What the runtime answered.
    pub async fn logs(
        &self,
        logs: Logs,
    ) -> Result<impl Stream<Item = Result<LogRecord, Error>> + use<>, Error> {
        let request = LogsRequest {
            service: logs.service,
            version: logs.version,
            count: logs.count,
            stream: logs.follow,
            since: 0,
            options: Some(LogsOptions {
                namespace: self.namespace.clone(),
            }),
        };
        let records = self
            .client()
            .logs(Request::new(request))
            .await?
            .into_inner();
        Ok(records.map_err(Error::from))
    }

    /// Follows a service from its present state on: status ([`Status`] of the number), lines of its
    /// build, and why it failed.
    ///
    /// # Errors
    /// What the runtime answered.
    pub async fn watch(
        &self,
        service: Service,
    ) -> Result<impl Stream<Item = Result<WatchEvent, Error>> + use<>, Error> {
        let request = WatchRequest {
            service: Some(service),
            namespace: self.namespace.clone(),
        };
        let events = self
            .client()
            .watch(Request::new(request))
            .await?
            .into_inner();
        Ok(events.map_err(Error::from))
    }

    /// Uploads the packed source of a service, piece by piece; returns where it lies, to be the
    /// `source` of [`Runtime::create`].
    ///
    /// # Errors
    /// What the runtime answered.
    pub async fn upload(
        &self,
        service: Service,
        pieces: impl Stream<Item = Bytes> + Send + 'static,
    ) -> Result<String, Error> {
        let messages = pieces.map(move |data| UploadRequest {
            service: Some(service.clone()),
            data,
        });
        let answer = SourceClient::new(self.channel.clone())
            .upload(Request::new(messages))
            .await?;
        Ok(answer.into_inner().id)
    }
}
