//! A platform, its admin, and what they do to services.

use std::{collections::BTreeMap, fmt::Debug};

use futures::{StreamExt as _, stream};
use micro_plugin_api::{
    Call,
    registry::{Filter, Node, Service as Registered},
};
use micro_proto::runtime::{
    CreateOptions, CreateRequest, DeleteRequest, LogsRequest, ReadOptions, ReadRequest, Resource,
    Service, UpdateRequest, UploadRequest, WatchEvent, WatchRequest, runtime_client::RuntimeClient,
    source_client::SourceClient,
};
use micro_tests::{Core, Door, PATIENCE, wait_for};
use micro_wire::Error;
use tokio::{net::TcpListener, time::timeout};
use tonic::{Status, Streaming, service::Routes, transport::server::TcpIncoming};
use tonic_health::{ServingStatus, server::health_reporter};

pub(crate) const BUILDING: i32 = 2;
pub(crate) const RUNNING: i32 = 4;
pub(crate) const STOPPED: i32 = 6;
pub(crate) const ERROR: i32 = 7;

/// What a service does that never ends by itself.
pub(crate) const WAITS: &str = "#!/bin/sh\nenv\nwhile :; do sleep 0.05; done\n";

/// A tar of executable files.
pub(crate) fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o755);
        builder
            .append_data(&mut header, name, content.as_bytes())
            .unwrap();
    }
    builder.into_inner().unwrap()
}

pub(crate) fn service(name: &str) -> Service {
    Service {
        name: name.to_owned(),
        ..Service::default()
    }
}

pub(crate) fn resource(service: Service) -> Option<Resource> {
    Some(Resource {
        service: Some(service),
        ..Resource::default()
    })
}

/// The error in a status; what it says.
pub(crate) fn error<T: Debug>(result: Result<T, Status>) -> (i32, String) {
    let error = Error::from_status(&result.unwrap_err());
    (error.code, error.detail)
}

/// A platform, and its admin.
pub(crate) struct Bench {
    pub(crate) core: Core,
    pub(crate) door: Door,
    pub(crate) runtime: RuntimeClient<Door>,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        Self::of(Core::start().await).await
    }

    /// This server, with its admin.
    pub(crate) async fn of(core: Core) -> Self {
        let door = core.admin().await;
        Self {
            runtime: RuntimeClient::new(door.clone()),
            door,
            core,
        }
    }

    pub(crate) async fn upload(&self, name: &str, bytes: Vec<u8>) -> Result<String, Status> {
        let mut messages: Vec<_> = bytes
            .chunks(1000)
            .map(|chunk| UploadRequest {
                data: chunk.to_vec().into(),
                ..UploadRequest::default()
            })
            .collect();
        messages[0].service = Some(service(name));
        let answer = SourceClient::new(self.door.clone())
            .upload(stream::iter(messages))
            .await?;
        Ok(answer.into_inner().id)
    }

    pub(crate) async fn create(&self, name: &str, options: CreateOptions) -> Result<(), Status> {
        let service = Service {
            source: format!("source://{name}:latest"),
            ..service(name)
        };
        let request = CreateRequest {
            resource: resource(service),
            options: Some(options),
        };
        self.runtime.clone().create(request).await.map(drop)
    }

    pub(crate) async fn update(&self, name: &str) -> Result<(), Status> {
        let request = UpdateRequest {
            resource: resource(service(name)),
            ..UpdateRequest::default()
        };
        self.runtime.clone().update(request).await.map(drop)
    }

    /// The platform as the same server's next start finds it.
    pub(crate) async fn again(&self) -> Self {
        Self::of(self.core.again().await).await
    }

    /// Uploads files and has them run.
    pub(crate) async fn run(&self, name: &str, files: &[(&str, &str)]) {
        self.upload(name, archive(files)).await.unwrap();
        self.create(name, CreateOptions::default()).await.unwrap();
    }

    pub(crate) async fn watch(&self, name: &str) -> Streaming<WatchEvent> {
        let request = WatchRequest {
            service: Some(service(name)),
            ..WatchRequest::default()
        };
        let events = self.runtime.clone().watch(request).await;
        events.unwrap().into_inner()
    }

    /// Everything that happens until a status is reached.
    pub(crate) async fn events(&self, name: &str, until: i32) -> Vec<WatchEvent> {
        let mut events = self.watch(name).await;
        let mut seen = Vec::new();
        loop {
            let event = timeout(PATIENCE, events.next()).await.expect("in time");
            seen.push(event.expect("not yet at its end").unwrap());
            if seen.last().is_some_and(|event| event.status == until) {
                return seen;
            }
        }
    }

    pub(crate) async fn ends_with(&self, name: &str) -> WatchEvent {
        self.events(name, ERROR).await.pop().unwrap()
    }

    pub(crate) async fn read(&self, name: &str) -> Option<Service> {
        let request = ReadRequest {
            options: Some(ReadOptions {
                service: name.to_owned(),
                ..ReadOptions::default()
            }),
        };
        let answer = self.runtime.clone().read(request).await.unwrap();
        answer.into_inner().services.pop()
    }

    pub(crate) async fn delete(&self, name: &str) -> Result<(), Status> {
        let request = DeleteRequest {
            resource: resource(service(name)),
            ..DeleteRequest::default()
        };
        self.runtime.clone().delete(request).await.map(drop)
    }

    pub(crate) async fn logs(&self, name: &str, count: i64) -> Result<Vec<String>, Status> {
        let request = LogsRequest {
            service: name.to_owned(),
            count,
            ..LogsRequest::default()
        };
        let records = self.runtime.clone().logs(request).await?.into_inner();
        Ok(records
            .map(|record| record.unwrap().message)
            .collect()
            .await)
    }

    /// The variables that a service of [`WAITS`] printed.
    pub(crate) async fn environment(&self, name: &str) -> BTreeMap<String, String> {
        let lines = wait_for("its environment", async || {
            let lines = self.logs(name, 0).await.unwrap();
            let whole = lines.iter().any(|line| line.starts_with("PATH="));
            (whole && lines.len() >= 9).then_some(lines)
        });
        let pairs = lines.await;
        let pairs = pairs.iter().filter_map(|line| line.split_once('='));
        pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    /// Registers a node of a service, as its process would.
    pub(crate) async fn register(&self, name: &str, id: &str, address: &str) {
        let registered = Registered {
            domain: "micro".to_owned(),
            name: name.to_owned(),
            version: "latest".to_owned(),
            nodes: vec![Node {
                id: id.to_owned(),
                address: address.to_owned(),
                ..Node::default()
            }],
            ..Registered::default()
        };
        let registry = self.core.modules.registry();
        registry
            .register(&Call::new("micro"), &registered, None)
            .await
            .unwrap();
    }

    /// Waits until the process of a service was started.
    pub(crate) async fn started(&self, name: &str) -> u32 {
        wait_for("its process", async || {
            let all = self
                .core
                .modules
                .runtime()
                .list(&Call::new(""), None)
                .await
                .unwrap();
            all.into_iter()
                .find(|instance| instance.key.name == name)?
                .pid
        })
        .await
    }

    pub(crate) async fn processes(&self) -> usize {
        let all = self.core.modules.runtime().list(&Call::new(""), None).await;
        all.unwrap().len()
    }

    pub(crate) async fn nodes(&self, name: &str) -> usize {
        let filter = Filter {
            domain: None,
            name: Some(name.to_owned()),
        };
        let all = self
            .core
            .modules
            .registry()
            .list(&Call::new(""), &filter)
            .await;
        all.unwrap().iter().map(|service| service.nodes.len()).sum()
    }
}

/// Serves `grpc.health.v1` with this status; the address.
pub(crate) async fn health(status: ServingStatus) -> String {
    let (reporter, service) = health_reporter();
    reporter.set_service_status("", status).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = tonic::transport::Server::builder()
        .add_routes(Routes::new(service))
        .serve_with_incoming(TcpIncoming::from(listener));
    tokio::spawn(server);
    address
}
