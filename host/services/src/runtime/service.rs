//! `Runtime`: create, read, delete, logs and watch, as the wire has them.

use std::{
    collections::BTreeMap,
    path::{Component, Path, PathBuf},
    time::Duration,
};

use futures::{StreamExt as _, stream::BoxStream};
use micro_access::{Account, Caller};
use micro_plugin_api::{Call, blob::BlobKey, runtime::InstanceKey};
use micro_proto::runtime::{
    CreateOptions, CreateRequest, CreateResponse, DeleteRequest, DeleteResponse, LogRecord,
    LogsRequest, ReadRequest, ReadResponse, Resource, Service, UpdateRequest, UpdateResponse,
    WatchEvent, WatchRequest, runtime_server::Runtime,
};
use micro_wire::{Error, clipped, shown};
use tonic::{Request, Response, Status};

use super::{
    Manager,
    announce::{What, announce},
    logs,
    plan::Plan,
    record,
    record::Record,
    relay,
    update::Change,
    validate, watch,
};
use crate::{error, request};

/// Serves `runtime.Runtime`.
pub(super) struct RuntimeService(pub(super) Manager);

#[tonic::async_trait]
impl Runtime for RuntimeService {
    async fn create(
        &self,
        request: Request<CreateRequest>,
    ) -> Result<Response<CreateResponse>, Status> {
        const ID: &str = "runtime.Runtime.Create";
        let (caller, call) = (request::caller(&request), request::call(&request));
        let CreateRequest { resource, options } = request.into_inner();
        let options = options.unwrap_or_default();
        let namespace = request::namespace_of(Some(&options.namespace), &caller).to_owned();
        let account = caller.authorize_admin(ID, &namespace)?;
        let Some(service) = service_of(ID, resource)? else {
            return Ok(Response::new(Default::default()));
        };
        let wanted = wanted(ID, service, options, &namespace, account, &caller, self)?;
        self.check_source(ID, &call, &wanted.record.plan.source, &caller)
            .await?;
        let key = wanted.record.key.clone();
        self.0
            .create(&call, wanted.record, wanted.force)
            .await
            .map_err(error::module(ID))?;
        announce(self.0.modules(), What::Created, &key).await;
        Ok(Response::new(Default::default()))
    }

    async fn read(&self, request: Request<ReadRequest>) -> Result<Response<ReadResponse>, Status> {
        const ID: &str = "runtime.Runtime.Read";
        let (caller, call) = (request::caller(&request), request::call(&request));
        let options = request.into_inner().options.unwrap_or_default();
        let namespace = request::namespace_of(Some(&options.namespace), &caller);
        caller.authorize(ID, namespace)?;
        let wanted = (namespace != "*").then_some(namespace);
        let records = record::list(self.0.modules(), &call, wanted).await;
        let matches = |wanted: &str, is: &str| wanted.is_empty() || wanted == is;
        let services = records
            .map_err(error::module(ID))?
            .iter()
            .filter(|record| matches(&options.service, &record.key.name))
            .filter(|record| matches(&options.version, &record.key.version))
            .filter(|record| matches(&options.r#type, &record.kind))
            .map(Record::to_wire)
            .collect();
        Ok(Response::new(ReadResponse { services }))
    }

    async fn delete(
        &self,
        request: Request<DeleteRequest>,
    ) -> Result<Response<DeleteResponse>, Status> {
        const ID: &str = "runtime.Runtime.Delete";
        let (caller, call) = (request::caller(&request), request::call(&request));
        let DeleteRequest { resource, options } = request.into_inner();
        let options = options.unwrap_or_default();
        let namespace = request::namespace_of(Some(&options.namespace), &caller);
        caller.authorize_admin(ID, namespace)?;
        let Some(service) = service_of(ID, resource)? else {
            return Ok(Response::new(Default::default()));
        };
        let key = key_of(namespace, service.name, service.version);
        let deleted = self
            .0
            .delete(&call, &key)
            .await
            .map_err(error::module(ID))?;
        if !deleted {
            return Err(Error::not_found(ID, "not found").into());
        }
        announce(self.0.modules(), What::Deleted, &key).await;
        Ok(Response::new(Default::default()))
    }

    async fn update(
        &self,
        request: Request<UpdateRequest>,
    ) -> Result<Response<UpdateResponse>, Status> {
        const ID: &str = "runtime.Runtime.Update";
        let (caller, call) = (request::caller(&request), request::call(&request));
        let UpdateRequest { resource, options } = request.into_inner();
        let options = options.unwrap_or_default();
        let namespace = request::namespace_of(Some(&options.namespace), &caller).to_owned();
        caller.authorize_admin(ID, &namespace)?;
        let Some(service) = service_of(ID, resource)? else {
            return Ok(Response::new(Default::default()));
        };
        let key = key_of(&namespace, service.name, service.version);
        let entrypoint = entrypoint_of(ID, &options.entrypoint)?;
        validate::instances(options.instances).map_err(|text| Error::bad_request(ID, text))?;
        let source = if service.source.is_empty() {
            None
        } else {
            let source = source_of(ID, &service.source, &caller)?;
            self.check_source(ID, &call, &source, &caller).await?;
            Some(source)
        };
        let change = Change {
            source,
            entrypoint: (!options.entrypoint.is_empty()).then_some(entrypoint),
            metadata: service.metadata.into_iter().collect(),
        };
        let found = self
            .0
            .update(&call, &key, change)
            .await
            .map_err(error::module(ID))?;
        if !found {
            return Err(Error::not_found(ID, "not found").into());
        }
        announce(self.0.modules(), What::Updated, &key).await;
        Ok(Response::new(Default::default()))
    }

    type LogsStream = BoxStream<'static, Result<LogRecord, Status>>;

    async fn logs(
        &self,
        request: Request<LogsRequest>,
    ) -> Result<Response<Self::LogsStream>, Status> {
        const ID: &str = "runtime.Runtime.Logs";
        let (caller, call) = (request::caller(&request), request::call(&request));
        let metadata = request.metadata().clone();
        let request = request.into_inner();
        let options = request.options.clone().unwrap_or_default();
        let namespace = request::namespace_of(Some(&options.namespace), &caller);
        caller.authorize_admin(ID, namespace)?;
        let key = key_of(namespace, request.service.clone(), request.version.clone());
        let owner = self.0.owner_of(&call, &key).await;
        if let Some(lease) = owner.map_err(error::module(ID))?
            && !relay::is_relayed(&metadata)
        {
            let mut client = relay::client(&lease, ID, "the log").await?;
            let records = client.logs(relay::request(request, &metadata)).await?;
            return Ok(Response::new(records.into_inner().boxed()));
        }
        let since = u64::try_from(request.since)
            .ok()
            .filter(|since| *since > 0)
            .map(|seconds| seconds.saturating_mul(1000));
        let count = match request.count {
            0 => None,
            count => Some(u64::try_from(count).unwrap_or(0)),
        };
        let records = logs::records(&self.0, &call, key, count, since, request.stream).await?;
        Ok(Response::new(records))
    }

    type WatchStream = BoxStream<'static, Result<WatchEvent, Status>>;

    async fn watch(
        &self,
        request: Request<WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        const ID: &str = "runtime.Runtime.Watch";
        let (caller, call) = (request::caller(&request), request::call(&request));
        let metadata = request.metadata().clone();
        let request = request.into_inner();
        let namespace = request::namespace_of(Some(&request.namespace), &caller);
        caller.authorize(ID, namespace)?;
        let service = request.service.clone().unwrap_or_default();
        let key = key_of(namespace, service.name, service.version);
        let owner = self.0.owner_of(&call, &key).await;
        let events = match owner.map_err(error::module(ID))? {
            Some(lease) if !relay::is_relayed(&metadata) => {
                let request = relay::request(request, &metadata);
                watch::relayed(self.0.clone(), lease, key, request)
            }
            Some(_) => watch::of_record(self.0.clone(), key),
            None => watch::events(&self.0, &call, key).await?,
        };
        Ok(Response::new(events))
    }
}

impl RuntimeService {
    /// Whether the source was uploaded, before a run is promised.
    async fn check_source(
        &self,
        id: &str,
        call: &Call,
        (namespace, key): &(String, String),
        caller: &Caller,
    ) -> Result<(), Error> {
        caller.authorize(id, namespace)?;
        let read = self
            .0
            .modules()
            .blob()
            .read(call, BlobKey::new(namespace, key))
            .await;
        match read {
            Ok(_) => Ok(()),
            Err(error) if error.code() == micro_plugin_api::Code::NOT_FOUND => Err(
                Error::bad_request(id, format!("the source {} was not uploaded", clipped(key))),
            ),
            Err(error) => Err(error::from_module(id, &error)),
        }
    }
}

/// The service of a resource; `None` for a kind that means nothing to processes.
fn service_of(id: &str, resource: Option<Resource>) -> Result<Option<Service>, Error> {
    let resource = resource.unwrap_or_default();
    match resource.service {
        Some(service) => Ok(Some(service)),
        None if resource.namespace.is_some()
            || resource.networkpolicy.is_some()
            || resource.resourcequota.is_some() =>
        {
            Ok(None)
        }
        None => Err(Error::bad_request(id, "blank resource")),
    }
}

/// Which service is meant. One that may not be called so is found nowhere.
fn key_of(namespace: &str, name: String, version: String) -> InstanceKey {
    InstanceKey {
        namespace: namespace.to_owned(),
        name,
        version: if version.is_empty() {
            validate::LATEST.to_owned()
        } else {
            version
        },
    }
}

/// A Create, checked.
struct Wanted {
    record: Record,
    force: bool,
}

fn wanted(
    id: &str,
    service: Service,
    options: CreateOptions,
    namespace: &str,
    account: &Account,
    caller: &Caller,
    of: &RuntimeService,
) -> Result<Wanted, Error> {
    let bad = |text: String| Error::bad_request(id, text);
    validate::name(&service.name).map_err(bad)?;
    let version = validate::version(&service.version).map_err(bad)?;
    let key = key_of(namespace, service.name, version);
    let source = source_of(id, &service.source, caller)?;
    let entrypoint = entrypoint_of(id, &options.entrypoint)?;
    let mut env = validate::environment(&options.env).map_err(bad)?;
    for (name, value) in options.secrets {
        validate::variable(&name, &value).map_err(bad)?;
        env.insert(name, value);
    }
    validate::instances(options.instances).map_err(bad)?;
    let start_timeout = match u64::try_from(options.start_timeout) {
        Ok(0) => of.0.config().start_timeout,
        Ok(milliseconds) => Duration::from_millis(milliseconds),
        Err(_) => return Err(bad("the start timeout is negative".to_owned())),
    };
    let mut metadata: BTreeMap<String, String> = service.metadata.into_iter().collect();
    let owner = if account.name.is_empty() {
        &account.id
    } else {
        &account.name
    };
    metadata.insert("owner".to_owned(), owner.clone());
    metadata.insert("group".to_owned(), account.issuer.clone());
    Ok(Wanted {
        record: Record {
            key,
            source: service.source,
            kind: options.r#type,
            metadata,
            plan: Plan {
                source,
                entrypoint,
                command: options.command,
                arguments: options.args,
                env,
                start_timeout,
            },
            ..Record::default()
        },
        force: options.force,
    })
}

/// Where a source is that was uploaded: namespace and key of its blob.
fn source_of(id: &str, source: &str, caller: &Caller) -> Result<(String, String), Error> {
    if !source.starts_with("source://") {
        return Err(Error::bad_request(
            id,
            format!(
                "the source {} cannot be fetched; upload a folder, as `micro run ./folder` does",
                shown(source)
            ),
        ));
    }
    Ok((caller.namespace.clone(), source.to_owned()))
}

fn entrypoint_of(id: &str, entrypoint: &str) -> Result<PathBuf, Error> {
    let path = PathBuf::from(entrypoint);
    if !is_below(&path) {
        let text = format!(
            "the entrypoint {} lies outside the source",
            clipped(entrypoint)
        );
        return Err(Error::bad_request(id, text));
    }
    Ok(path)
}

/// Whether a path stays below where it begins.
fn is_below(path: &Path) -> bool {
    let plain = |part| matches!(part, Component::Normal(_) | Component::CurDir);
    path.components().all(plain)
}
