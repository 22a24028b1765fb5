//! The rpcs of `Config`.

use std::time::{SystemTime, UNIX_EPOCH};

use futures::StreamExt as _;
use micro_access::{ConfigKey, SealError, namespace};
use micro_plugin_api::BoxStream;
use micro_proto::config::{
    Change as ProtoChange, ChangeSet, DeleteRequest, DeleteResponse, GetRequest, GetResponse,
    Options, ReadRequest, ReadResponse, SetRequest, SetResponse, Value as ProtoValue, WatchRequest,
    WatchResponse, config_server::Config,
};
use micro_wire::Error;
use tonic::{Request, Response, Status};

use super::{
    path::{Path, PathError},
    stored::{ConfigError, Stored},
    tree::Node,
    value, watch,
    writer::{Change, Writer},
};
use crate::{Platform, error, request};

/// How values are written.
const JSON: &str = "json";

/// The configuration of every namespace.
pub(super) struct ConfigService {
    stored: Stored,
    writer: Writer,
    key: ConfigKey,
}

/// One call, authorized: which namespace it is about.
struct Scope {
    id: &'static str,
    namespace: String,
}

impl Scope {
    /// The namespace that a call names, if its caller administers it.
    fn of<T>(id: &'static str, request: &Request<T>, named: &str) -> Result<Self, Error> {
        let caller = request::caller(request);
        let namespace = request::namespace_of(Some(named), &caller);
        caller.authorize_admin(id, namespace)?;
        if !namespace::is_valid(namespace) {
            let detail = format!("{namespace:?} cannot be the name of a namespace");
            return Err(Error::bad_request(id, detail));
        }
        Ok(Self {
            id,
            namespace: namespace.to_owned(),
        })
    }

    fn path(&self, parsed: Result<Path, PathError>) -> Result<Path, Error> {
        parsed.map_err(|error| Error::bad_request(self.id, error.to_string()))
    }

    fn failed(&self, error: ConfigError) -> Error {
        let code = match &error {
            ConfigError::Change(_) | ConfigError::TooLarge => 400,
            ConfigError::Missing => 404,
            ConfigError::Damaged { .. } => 500,
            ConfigError::Busy | ConfigError::Stopping => 503,
            ConfigError::Store(error) => return error::from_module(self.id, error),
        };
        Error::new(self.id, code, error.to_string())
    }

    fn unreadable(&self, error: &SealError) -> Error {
        let detail = format!("Error in config structure: Can't decode secret: {error}");
        Error::internal_server_error(self.id, detail)
    }
}

impl ConfigService {
    pub(super) fn new(platform: &Platform) -> Self {
        let stored = Stored {
            modules: platform.modules.clone(),
        };
        Self {
            writer: Writer::new(stored.clone(), platform.background.clone()),
            stored,
            key: platform.config_key.clone(),
        }
    }

    /// The key, for those who want to see secrets.
    fn key(&self, options: Option<&Options>) -> Option<&ConfigKey> {
        options
            .is_some_and(|options| options.secret)
            .then_some(&self.key)
    }

    /// The JSON text of the node at a path.
    async fn get(
        &self,
        scope: &Scope,
        path: &Path,
        key: Option<&ConfigKey>,
    ) -> Result<String, Error> {
        let read = self.stored.read(&scope.namespace).await;
        let read = read.map_err(|error| scope.failed(error))?;
        let (tree, _) = read.ok_or_else(|| scope.failed(ConfigError::Missing))?;
        text(scope, tree.at(path), path, key)
    }
}

/// The JSON text of a node; `null` where there is none.
fn text(
    scope: &Scope,
    node: Option<&Node>,
    path: &Path,
    key: Option<&ConfigKey>,
) -> Result<String, Error> {
    let Some(node) = node else {
        return Ok("null".to_owned());
    };
    let value = node.render(&scope.namespace, path, key);
    let value = value.map_err(|error| scope.unreadable(&error))?;
    Ok(value.to_string())
}

fn json(data: String) -> Option<ProtoValue> {
    Some(ProtoValue {
        data,
        format: JSON.to_owned(),
    })
}

#[tonic::async_trait]
impl Config for ConfigService {
    type WatchStream = BoxStream<Result<WatchResponse, Status>>;

    async fn get(&self, request: Request<GetRequest>) -> Result<Response<GetResponse>, Status> {
        let scope = Scope::of("config.Config.Get", &request, &request.get_ref().namespace)?;
        let request = request.into_inner();
        let path = scope.path(Path::parse(&request.path))?;
        let key = self.key(request.options.as_ref());
        let data = self.get(&scope, &path, key).await?;
        Ok(Response::new(GetResponse { value: json(data) }))
    }

    async fn set(&self, request: Request<SetRequest>) -> Result<Response<SetResponse>, Status> {
        let scope = Scope::of("config.Config.Set", &request, &request.get_ref().namespace)?;
        let request = request.into_inner();
        let path = scope.path(Path::parse_key(&request.path))?;
        let invalid = |detail: String| Error::bad_request(scope.id, detail);
        let value = request
            .value
            .ok_or_else(|| invalid("invalid change".to_owned()))?;
        if !(value.format.is_empty() || value.format == JSON) {
            let detail = format!(
                "values of format {:?} are not known; use json",
                value.format
            );
            return Err(invalid(detail).into());
        }
        let value = value::parse(&value.data).map_err(|error| invalid(error.to_string()))?;
        let key = self.key(request.options.as_ref());
        let node = Node::new(value, &path, key.map(|key| (key, &*scope.namespace)));
        let node = node.map_err(|error| {
            Error::internal_server_error(scope.id, format!("the secret cannot be sealed: {error}"))
        })?;
        let changed = self
            .writer
            .change(&scope.namespace, Change::Set(path, node))
            .await;
        changed.map_err(|error| scope.failed(error))?;
        Ok(Response::new(SetResponse {}))
    }

    async fn delete(
        &self,
        request: Request<DeleteRequest>,
    ) -> Result<Response<DeleteResponse>, Status> {
        let named = &request.get_ref().namespace;
        let scope = Scope::of("config.Config.Delete", &request, named)?;
        let path = scope.path(Path::parse_key(&request.get_ref().path))?;
        let changed = self
            .writer
            .change(&scope.namespace, Change::Delete(path))
            .await;
        changed.map_err(|error| scope.failed(error))?;
        Ok(Response::new(DeleteResponse {}))
    }

    async fn read(&self, request: Request<ReadRequest>) -> Result<Response<ReadResponse>, Status> {
        let scope = Scope::of("config.Config.Read", &request, &request.get_ref().namespace)?;
        let request = request.into_inner();
        let path = scope.path(Path::parse(&request.path))?;
        let data = self.get(&scope, &path, None).await?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let change = ProtoChange {
            namespace: scope.namespace,
            path: request.path,
            change_set: Some(ChangeSet {
                data,
                format: JSON.to_owned(),
                timestamp: now.map_or(0, |now| now.as_secs().try_into().unwrap_or(0)),
                ..ChangeSet::default()
            }),
        };
        Ok(Response::new(ReadResponse {
            change: Some(change),
        }))
    }

    async fn watch(
        &self,
        request: Request<WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let named = &request.get_ref().namespace;
        let scope = Scope::of("config.Config.Watch", &request, named)?;
        let request = request.into_inner();
        let path = scope.path(Path::parse(&request.path))?;
        let key = self.key(request.options.as_ref()).cloned();
        let told = watch::watch(self.stored.clone(), scope.namespace.clone(), path.clone());
        let messages = told.map(move |told| {
            let told = told.map_err(|error| scope.failed(error))?;
            let data = text(&scope, told.node.as_ref(), &path, key.as_ref())?;
            Ok(WatchResponse {
                value: json(data),
                changed: told.changed,
            })
        });
        Ok(Response::new(messages.boxed()))
    }
}
