//! The services of the platform, which answer as the test chose.

use std::sync::Arc;

use futures::{StreamExt as _, stream, stream::BoxStream};
use micro_proto::{
    auth::{self, auth_server::AuthServer},
    registry::{self, registry_server::RegistryServer},
    runtime::{self, runtime_server::RuntimeServer, source_server::SourceServer},
};
use micro_wire::{Error, handlers::Handlers};
use tonic::{Request, Response, Status, Streaming};

use super::{Shared, Step, note_upload};

type Answer<T> = Result<Response<T>, Status>;
type Events<T> = BoxStream<'static, Result<T, Status>>;

#[derive(Clone)]
struct Fake(Arc<Shared>);

pub(super) fn handlers(shared: &Arc<Shared>) -> Handlers {
    let fake = || Fake(Arc::clone(shared));
    let pool = micro_proto::descriptor_pool();
    let handlers = Handlers::new();
    let handlers = handlers.add(AuthServer::new(fake()), pool).unwrap();
    let handlers = handlers.add(RegistryServer::new(fake()), pool).unwrap();
    let handlers = handlers.add(RuntimeServer::new(fake()), pool).unwrap();
    handlers.add(SourceServer::new(fake()), pool).unwrap()
}

fn unused<T>() -> Answer<T> {
    Err(Status::unimplemented("not a part of these tests"))
}

#[tonic::async_trait]
impl auth::auth_server::Auth for Fake {
    async fn generate(&self, _: Request<auth::GenerateRequest>) -> Answer<auth::GenerateResponse> {
        unused()
    }

    async fn inspect(
        &self,
        request: Request<auth::InspectRequest>,
    ) -> Answer<auth::InspectResponse> {
        if !request.get_ref().token.starts_with("token-") {
            return Err(Error::bad_request("auth.Auth.Inspect", "invalid token provided").into());
        }
        let account = auth::Account {
            id: "0198-admin".into(),
            name: "admin".into(),
            ..auth::Account::default()
        };
        Ok(Response::new(auth::InspectResponse {
            account: Some(account),
        }))
    }

    async fn token(&self, request: Request<auth::TokenRequest>) -> Answer<auth::TokenResponse> {
        let request = request.into_inner();
        let tokens = {
            let mut seen = self.0.seen.lock().unwrap();
            seen.tokens += 1;
            seen.tokens
        };
        let refresh = !request.refresh_token.is_empty();
        if refresh && self.0.answers.refuse_refresh {
            return Err(Error::bad_request("auth.Auth.Token", "invalid token provided").into());
        }
        if !refresh && (request.id != "admin" || request.secret != "micro") {
            return Err(Error::bad_request("auth.Auth.Token", "Secret not correct").into());
        }
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let now = i64::try_from(now.unwrap().as_secs()).unwrap();
        let seconds = if refresh {
            request.token_expiry
        } else {
            self.0.answers.token_seconds
        };
        Ok(Response::new(auth::TokenResponse {
            token: Some(auth::Token {
                access_token: format!("token-{tokens}"),
                refresh_token: "refresh".into(),
                created: now,
                expiry: now + seconds,
            }),
        }))
    }
}

#[tonic::async_trait]
impl registry::registry_server::Registry for Fake {
    type WatchStream = Events<registry::Result>;

    async fn get_service(
        &self,
        request: Request<registry::GetRequest>,
    ) -> Answer<registry::GetResponse> {
        let request = request.into_inner();
        self.0.seen.lock().unwrap().lookups.push(request.clone());
        let known = &self.0.answers.service;
        let domain = request.options.unwrap_or_default().domain;
        let found = if request.service == known.name {
            if self.0.answers.lookups_meet {
                self.0.meeting.wait().await;
            }
            (domain == "micro").then(|| known.clone())
        } else {
            (request.service == "x").then(|| registry::Service {
                name: "x".into(),
                ..registry::Service::default()
            })
        };
        match found {
            Some(service) => Ok(Response::new(registry::GetResponse {
                services: vec![service],
            })),
            None => {
                Err(Error::not_found("registry.Registry.GetService", "service not found").into())
            }
        }
    }

    async fn register(&self, _: Request<registry::Service>) -> Answer<registry::EmptyResponse> {
        unused()
    }

    async fn deregister(&self, _: Request<registry::Service>) -> Answer<registry::EmptyResponse> {
        unused()
    }

    async fn list_services(
        &self,
        _: Request<registry::ListRequest>,
    ) -> Answer<registry::ListResponse> {
        Ok(Response::new(registry::ListResponse {
            services: vec![self.0.answers.service.clone()],
        }))
    }

    async fn watch(&self, _: Request<registry::WatchRequest>) -> Answer<Self::WatchStream> {
        Ok(Response::new(stream::pending().boxed()))
    }
}

#[tonic::async_trait]
impl runtime::runtime_server::Runtime for Fake {
    type LogsStream = Events<runtime::LogRecord>;
    type WatchStream = Events<runtime::WatchEvent>;

    async fn create(
        &self,
        request: Request<runtime::CreateRequest>,
    ) -> Answer<runtime::CreateResponse> {
        let mut seen = self.0.seen.lock().unwrap();
        seen.created.push(request.into_inner());
        Ok(Response::new(runtime::CreateResponse {}))
    }

    async fn read(&self, request: Request<runtime::ReadRequest>) -> Answer<runtime::ReadResponse> {
        if request.metadata().get("authorization").is_none() {
            let detail = "An account is required";
            return Err(Error::unauthorized("runtime.Runtime.Read", detail).into());
        }
        Ok(Response::new(runtime::ReadResponse::default()))
    }

    async fn delete(&self, _: Request<runtime::DeleteRequest>) -> Answer<runtime::DeleteResponse> {
        Err(Error::internal_server_error("runtime.Runtime.Delete", "not found").into())
    }

    async fn update(&self, _: Request<runtime::UpdateRequest>) -> Answer<runtime::UpdateResponse> {
        unused()
    }

    async fn logs(&self, request: Request<runtime::LogsRequest>) -> Answer<Self::LogsStream> {
        let request = request.into_inner();
        if request.service == "nosuch" {
            return Err(Error::not_found("runtime.Runtime.Logs", "service not found").into());
        }
        let lines = (1..=request.count).map(move |number| {
            Ok(runtime::LogRecord {
                message: format!("line {number} of {}", request.service),
                ..runtime::LogRecord::default()
            })
        });
        Ok(Response::new(stream::iter(lines).boxed()))
    }

    async fn watch(&self, _: Request<runtime::WatchRequest>) -> Answer<Self::WatchStream> {
        let steps = self.0.answers.steps.clone();
        let hangs = steps.iter().any(|step| matches!(step, Step::Hang));
        let events = steps.into_iter().filter_map(|step| {
            let event = runtime::WatchEvent::default();
            Some(Ok(match step {
                Step::Status(status) => runtime::WatchEvent { status, ..event },
                Step::Line(line) => runtime::WatchEvent {
                    build_line: line.into(),
                    ..event
                },
                Step::Fails(error) => runtime::WatchEvent {
                    status: 7,
                    error: error.into(),
                    ..event
                },
                Step::Hang => return None,
            }))
        });
        let events = stream::iter(events.collect::<Vec<_>>());
        Ok(Response::new(if hangs {
            events.chain(stream::pending()).boxed()
        } else {
            events.boxed()
        }))
    }
}

#[tonic::async_trait]
impl runtime::source_server::Source for Fake {
    async fn upload(
        &self,
        request: Request<Streaming<runtime::UploadRequest>>,
    ) -> Answer<runtime::UploadResponse> {
        let mut chunks = request.into_inner();
        let mut id = None;
        while let Some(chunk) = chunks.message().await? {
            note_upload(&mut self.0.seen.lock().unwrap(), &chunk.data);
            let service = chunk
                .service
                .map(|it| format!("source://{}:{}", it.name, it.version));
            id = id.or(service);
        }
        match id {
            Some(id) => Ok(Response::new(runtime::UploadResponse { id })),
            None => Err(Error::bad_request("runtime.Source.Upload", "No service was sent").into()),
        }
    }
}
