//! A server under load whose modules are swapped.

use std::{
    fs,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use futures::StreamExt as _;
use micro_proto::{
    profile::{ReloadRequest, StatusRequest, StatusResponse, profile_client::ProfileClient},
    registry::{Node, Service, registry_client::RegistryClient},
};
use micro_tests::{Server, ServerBuilder, grpc, wait_for};
use nix::unistd::Pid;
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::Channel,
};

use super::{
    listening::{Listening, REGISTERED},
    manifest::Manifest,
    traffic::Traffic,
};

/// How many calls go on between one swap and the next, at least.
const CALLS: u64 = 25;
/// How often a swap is tried.
const ATTEMPTS: u32 = 5;
/// How many more descriptors, or threads, a server may have after a round than after the first: what
/// connections come and go by chance.
const MORE: usize = 12;

/// The proxy of the server, for whoever may do everything.
pub(super) type Door = InterceptedService<Channel, Token>;

/// Says who calls.
#[derive(Clone)]
pub(super) struct Token(MetadataValue<Ascii>);

impl Interceptor for Token {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let metadata = request.metadata_mut();
        metadata.insert("authorization", self.0.clone());
        Ok(request)
    }
}

async fn door(server: &Server) -> Door {
    let address = server.proxy().to_string();
    let token = grpc::Connection::open(&address).await.unwrap();
    let token = token.login(3_600).await.unwrap();
    let channel = Channel::from_shared(format!("http://{address}")).unwrap();
    let channel = channel.connect().await.unwrap();
    let token = format!("Bearer {token}").parse().unwrap();
    InterceptedService::new(channel, Token(token))
}

/// A server, the load that it is under, and what listens to it.
pub(super) struct Driver {
    pub(super) manifest: Manifest,
    server: Server,
    pid: Pid,
    traffic: Traffic,
    listening: Listening,
    profile: ProfileClient<Door>,
    registry: RegistryClient<Door>,
    now: StatusResponse,
    /// What the server held after the first round.
    first: Option<Held>,
    swaps: u64,
    began: Instant,
    slowest: Duration,
}

/// What a process holds.
#[derive(Clone, Copy, Debug)]
struct Held {
    descriptors: usize,
    threads: usize,
}

impl Driver {
    pub(super) async fn start(mut manifest: Manifest) -> Self {
        let builder = ServerBuilder::new("own.toml");
        let path = manifest.settle(builder.home());
        let mut server = builder.profile(path).start().await;
        let door = door(&server).await;
        let listening = Listening::start(&door).await;
        let traffic = Traffic::start(&door);
        let mut profile = ProfileClient::new(door.clone());
        let now = status(&mut profile).await;
        Self {
            manifest,
            pid: server.process().pid(),
            server,
            traffic,
            listening,
            profile,
            registry: RegistryClient::new(door),
            now,
            first: None,
            swaps: 0,
            began: Instant::now(),
            slowest: Duration::ZERO,
        }
    }

    /// Has a change applied which concerns these modules, and no other, while calls go on.
    pub(super) async fn swap(&mut self, modules: &[&str]) {
        self.traffic.go_on(CALLS).await;
        let began = Instant::now();
        for attempt in 1.. {
            let Some(error) = self.reload().await else {
                break;
            };
            // A machine so busy that a call takes five seconds: the one before serves on, and this
            // is what a user is told to do.
            assert!(error.contains("try again") && attempt < ATTEMPTS, "{error}");
        }
        self.slowest = self.slowest.max(began.elapsed());
        // Whether asked for, or noticed before: it is done.
        let now = status(&mut self.profile).await;
        assert_eq!(now.error, "");
        let mut changed = Vec::new();
        for (before, now) in self.now.modules.iter().zip(&now.modules) {
            assert_eq!(now.error, "", "{now:?}");
            if before.plugin != now.plugin || before.sha256 != now.sha256 {
                changed.push(now.module.as_str());
            }
        }
        assert_eq!(changed, modules);
        self.now = now;
        let service = Service {
            name: REGISTERED.to_owned(),
            version: self.swaps.to_string(),
            nodes: vec![Node {
                id: self.swaps.to_string(),
                address: "127.0.0.1:1".to_owned(),
                ..Node::default()
            }],
            ..Service::default()
        };
        self.registry.register(service).await.unwrap();
        self.swaps += 1;
    }

    /// Has the profile applied, and gives why a module was not swapped.
    async fn reload(&mut self) -> Option<String> {
        let request = ReloadRequest { copy: true };
        let mut told = self.profile.reload(request).await.unwrap().into_inner();
        let mut errors = Vec::new();
        while let Some(message) = told.next().await {
            errors.extend(message.unwrap().swapped.map(|swapped| swapped.error));
        }
        errors.into_iter().find(|error| !error.is_empty())
    }

    /// The modules are those that they were a round ago: nothing may be left of those in between.
    pub(super) async fn round(&mut self) {
        let Some(first) = self.first else {
            self.first = Some(self.held());
            return;
        };
        let held = || async {
            let held = self.held();
            let few = held.descriptors <= first.descriptors + MORE
                && held.threads <= first.threads + MORE;
            few.then_some(())
        };
        wait_for(format!("what was left to be closed, to {first:?}"), held).await;
    }

    fn held(&self) -> Held {
        let entries = |of: &str| {
            let path = format!("/proc/{}/{of}", self.pid);
            fs::read_dir(path).unwrap().count()
        };
        Held {
            descriptors: entries("fd"),
            threads: entries("task"),
        }
    }

    /// Ends it after this many swaps.
    pub(super) async fn end(mut self, swaps: u64) {
        assert_eq!(self.swaps, swaps);
        self.traffic.go_on(CALLS).await;
        let took = self.began.elapsed();
        let counts = self.traffic.counts.clone();
        self.traffic.end().await;
        self.listening.end(&counts, self.swaps).await;
        let calls = counts.calls.load(Ordering::Relaxed);
        eprintln!(
            "{swaps} swaps in {took:?}, the slowest in {:?}, under {:.0} calls a second, none of \
             which failed",
            self.slowest,
            f64::from(u32::try_from(calls).unwrap()) / took.as_secs_f64()
        );
        assert!(self.server.stop().await.success());
    }
}

async fn status(profile: &mut ProfileClient<Door>) -> StatusResponse {
    profile.status(StatusRequest {}).await.unwrap().into_inner()
}
