//! The rpcs of `Profile`.

use std::sync::Arc;

use futures::StreamExt as _;
use micro_access::namespace;
use micro_modules::{ModuleStatus, Progress, ReloadOptions, Reloader, Swapped};
use micro_plugin_api::BoxStream;
use micro_proto::profile::{
    self as wire, CopiedDatabase, ReloadRequest, ReloadResponse, StatusRequest, StatusResponse,
    SwappedModule, VerifiedDatabase, profile_server::Profile,
};
use micro_wire::Error;
use tokio::{runtime::Handle, sync::mpsc};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Request, Response, Status};

use crate::request;

/// The profile of this server.
pub(super) struct ProfileService {
    /// `None` for modules that no profile stands behind.
    pub(super) reloader: Option<Arc<Reloader>>,
    /// Where a reload goes on when whoever asked for it has gone.
    pub(super) background: Handle,
}

impl ProfileService {
    /// What follows the profile, for a person who administers the platform.
    fn reloader<T>(&self, id: &str, request: &Request<T>) -> Result<Arc<Reloader>, Error> {
        request::caller(request).authorize_person(id, namespace::DEFAULT)?;
        self.reloader
            .clone()
            .ok_or_else(|| Error::new(id, 501, "this server was not started from a profile"))
    }
}

#[tonic::async_trait]
impl Profile for ProfileService {
    type ReloadStream = BoxStream<Result<ReloadResponse, Status>>;

    async fn reload(
        &self,
        request: Request<ReloadRequest>,
    ) -> Result<Response<Self::ReloadStream>, Status> {
        let id = "profile.Profile.Reload";
        let reloader = self.reloader(id, &request)?;
        let copy = request.into_inner().copy;
        // A reload tells little, and must not wait for one who does not read.
        let (sender, receiver) = mpsc::unbounded_channel();
        self.background.spawn(async move {
            let tell = |message| {
                // Whoever asked may have gone; the status tells the outcome.
                let _ = sender.send(message);
            };
            let options = ReloadOptions {
                copy,
                progress: &|progress| tell(Ok(progress_out(progress))),
            };
            match reloader.reload(&options).await {
                Ok(outcome) => outcome
                    .into_iter()
                    .for_each(|one| tell(Ok(swapped_out(one)))),
                Err(error) => tell(Err(Error::bad_request(id, error.to_string()).into())),
            }
        });
        Ok(Response::new(
            UnboundedReceiverStream::new(receiver).boxed(),
        ))
    }

    async fn status(
        &self,
        request: Request<StatusRequest>,
    ) -> Result<Response<StatusResponse>, Status> {
        let reloader = self.reloader("profile.Profile.Status", &request)?;
        let status = reloader.status();
        Ok(Response::new(StatusResponse {
            profile: status.profile,
            files: status.files,
            modules: status.modules.into_iter().map(module_out).collect(),
            error: status.error.unwrap_or_default(),
            reloaded: status.reloaded.map_or(0, seconds),
        }))
    }
}

fn progress_out(progress: Progress) -> ReloadResponse {
    match progress {
        Progress::Verified {
            module,
            name,
            items,
            checksum,
        } => ReloadResponse {
            verified: Some(VerifiedDatabase {
                database: name,
                records: items,
                checksum,
                module: module.to_string(),
            }),
            ..ReloadResponse::default()
        },
        Progress::Copied {
            module,
            name,
            items,
        } => ReloadResponse {
            copied: Some(CopiedDatabase {
                database: name,
                records: items,
                module: module.to_string(),
            }),
            ..ReloadResponse::default()
        },
        _ => ReloadResponse::default(),
    }
}

fn swapped_out(swapped: Swapped) -> ReloadResponse {
    ReloadResponse {
        swapped: Some(SwappedModule {
            error: swapped.problem().unwrap_or_default(),
            module: swapped.module.to_string(),
            from: swapped.from,
            to: swapped.to,
        }),
        ..ReloadResponse::default()
    }
}

fn module_out(status: ModuleStatus) -> wire::ModuleStatus {
    wire::ModuleStatus {
        module: status.module.to_string(),
        plugin: status.plugin,
        version: status.version,
        sha256: status.sha256,
        since: seconds(status.since),
        error: status.error.unwrap_or_default(),
    }
}

fn seconds(millis: u64) -> i64 {
    i64::try_from(millis / 1_000).unwrap_or(i64::MAX)
}
