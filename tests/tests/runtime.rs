//! The core service `runtime`, with real processes: what is uploaded is run, and its status is the
//! truth.

use std::{collections::BTreeMap, fmt::Debug, time::Duration};

use futures::{StreamExt as _, stream};
use micro_plugin_api::{
    Call,
    registry::{Filter, Node, Service as Registered},
};
use micro_proto::runtime::{
    CreateOptions, CreateRequest, DeleteOptions, DeleteRequest, LogsRequest, Namespace,
    ReadOptions, ReadRequest, Resource, Service, UploadRequest, WatchEvent, WatchRequest,
    build_client::BuildClient, runtime_client::RuntimeClient, source_client::SourceClient,
};
use micro_tests::{Core, Door, PATIENCE, wait_for};
use micro_wire::Error;
use tokio::{net::TcpListener, time::timeout};
use tonic::{Code, Status, Streaming, service::Routes, transport::server::TcpIncoming};
use tonic_health::{ServingStatus, server::health_reporter};

const BUILDING: i32 = 2;
const RUNNING: i32 = 4;
const STOPPED: i32 = 6;
const ERROR: i32 = 7;

/// What a service does that never ends by itself.
const WAITS: &str = "#!/bin/sh\nenv\nwhile :; do sleep 0.05; done\n";

/// A tar of executable files.
fn archive(files: &[(&str, &str)]) -> Vec<u8> {
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

fn service(name: &str) -> Service {
    Service {
        name: name.to_owned(),
        ..Service::default()
    }
}

fn resource(service: Service) -> Option<Resource> {
    Some(Resource {
        service: Some(service),
        ..Resource::default()
    })
}

/// The error in a status; what it says.
fn error<T: Debug>(result: Result<T, Status>) -> (i32, String) {
    let error = Error::from_status(&result.unwrap_err());
    (error.code, error.detail)
}

/// A platform, and its admin.
struct Bench {
    core: Core,
    door: Door,
    runtime: RuntimeClient<Door>,
}

impl Bench {
    async fn new() -> Self {
        let core = Core::start().await;
        let door = core.admin().await;
        Self {
            runtime: RuntimeClient::new(door.clone()),
            door,
            core,
        }
    }

    async fn upload(&self, name: &str, bytes: Vec<u8>) -> Result<String, Status> {
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

    async fn create(&self, name: &str, options: CreateOptions) -> Result<(), Status> {
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

    /// Uploads files and has them run.
    async fn run(&self, name: &str, files: &[(&str, &str)]) {
        self.upload(name, archive(files)).await.unwrap();
        self.create(name, CreateOptions::default()).await.unwrap();
    }

    async fn watch(&self, name: &str) -> Streaming<WatchEvent> {
        let request = WatchRequest {
            service: Some(service(name)),
            ..WatchRequest::default()
        };
        let events = self.runtime.clone().watch(request).await;
        events.unwrap().into_inner()
    }

    /// Everything that happens until a status is reached.
    async fn events(&self, name: &str, until: i32) -> Vec<WatchEvent> {
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

    async fn ends_with(&self, name: &str) -> WatchEvent {
        self.events(name, ERROR).await.pop().unwrap()
    }

    async fn read(&self, name: &str) -> Option<Service> {
        let request = ReadRequest {
            options: Some(ReadOptions {
                service: name.to_owned(),
                ..ReadOptions::default()
            }),
        };
        let answer = self.runtime.clone().read(request).await.unwrap();
        answer.into_inner().services.pop()
    }

    async fn delete(&self, name: &str) -> Result<(), Status> {
        let request = DeleteRequest {
            resource: resource(service(name)),
            ..DeleteRequest::default()
        };
        self.runtime.clone().delete(request).await.map(drop)
    }

    async fn logs(&self, name: &str, count: i64) -> Result<Vec<String>, Status> {
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
    async fn environment(&self, name: &str) -> BTreeMap<String, String> {
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
    async fn register(&self, name: &str, id: &str, address: &str) {
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
    async fn started(&self, name: &str) -> u32 {
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

    async fn processes(&self) -> usize {
        let all = self.core.modules.runtime().list(&Call::new(""), None).await;
        all.unwrap().len()
    }

    async fn nodes(&self, name: &str) -> usize {
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
async fn health(status: ServingStatus) -> String {
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

#[tokio::test(flavor = "multi_thread")]
async fn a_service_lives_and_is_killed() {
    let bench = Bench::new().await;
    let healthy = health(ServingStatus::Serving).await;
    // A node of somebody else's that was there before says nothing of this one.
    bench.register("hello", "other", &healthy).await;
    bench
        .upload("hello", archive(&[("run", WAITS)]))
        .await
        .unwrap();
    let options = CreateOptions {
        env: vec![
            "GREETING=hi=there".to_owned(),
            "MICRO_PROXY=elsewhere".to_owned(),
        ],
        ..CreateOptions::default()
    };
    bench.create("hello", options).await.unwrap();
    let pid = bench.started("hello").await;
    assert_ne!(bench.read("hello").await.unwrap().status, RUNNING);
    bench.register("hello", "own", &healthy).await;
    let statuses: Vec<_> = bench
        .events("hello", RUNNING)
        .await
        .iter()
        .map(|event| event.status)
        .collect();
    assert!(statuses == [1, 2, 3, 4] || statuses == [4], "{statuses:?}");
    let read = bench.read("hello").await.unwrap();
    assert_eq!((read.status, read.version.as_str()), (RUNNING, "latest"));
    assert_eq!(read.metadata["owner"], "admin");
    assert_eq!(read.metadata["group"], "micro");
    assert!(read.metadata["started"].ends_with('Z'), "{read:?}");

    let env = bench.environment("hello").await;
    for (name, value) in [
        ("MICRO_PROFILE", "service"),
        ("MICRO_SERVICE_NAME", "hello"),
        ("MICRO_SERVICE_VERSION", "latest"),
        ("MICRO_SERVICE_ADDRESS", "127.0.0.1:0"),
        ("MICRO_NAMESPACE", "micro"),
        ("MICRO_PROXY", "elsewhere"),
        ("GREETING", "hi=there"),
    ] {
        assert_eq!(env[name], value);
    }
    assert!(!env.contains_key("HOME"), "{env:?}");
    let login = async || {
        bench
            .core
            .login("micro", &env["MICRO_AUTH_ID"], &env["MICRO_AUTH_SECRET"])
            .await
    };
    login().await.unwrap();

    let (code, detail) = error(bench.create("hello", CreateOptions::default()).await);
    assert_eq!(code, 409);
    assert!(
        detail.starts_with("hello@latest is running already"),
        "{detail}"
    );

    let mut events = bench.watch("hello").await;
    assert_eq!(events.next().await.unwrap().unwrap().status, RUNNING);
    bench.delete("hello").await.unwrap();
    let rest: Vec<_> = events.map(|event| event.unwrap().status).collect().await;
    assert_eq!(rest.last(), Some(&STOPPED), "{rest:?}");
    assert!(bench.read("hello").await.is_none());
    assert!(!std::path::Path::new(&format!("/proc/{pid}/cmdline")).exists());
    assert_eq!(
        (bench.processes().await, bench.nodes("hello").await),
        (0, 1)
    );
    assert!(login().await.is_err());
    assert_eq!(
        error(bench.delete("hello").await),
        (404, "not found".to_owned())
    );
    // What it printed can still be read.
    assert!(!bench.logs("hello", 2).await.unwrap().is_empty());
    assert_eq!(
        bench.logs("nosuch", 2).await.unwrap_err().code(),
        Code::NotFound
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_is_never_called_running() {
    let bench = Bench::new().await;
    bench
        .run(
            "ends",
            &[("ends", "#!/bin/sh\necho one; echo two >&2; exit 3\n")],
        )
        .await;
    let events = bench.events("ends", ERROR).await;
    assert!(
        events.iter().all(|event| event.status != RUNNING),
        "{events:?}"
    );
    let last = events.last().unwrap();
    assert_eq!(
        (last.error.as_str(), last.output.as_slice()),
        (
            "exit status 3",
            ["one", "two"].map(str::to_owned).as_slice()
        )
    );
    let read = bench.read("ends").await.unwrap();
    assert_eq!(
        (read.status, read.metadata["error"].as_str()),
        (ERROR, "exit status 3")
    );
    assert_eq!(bench.processes().await, 0);
    // It may be run again without force, and only its own words are shown.
    bench
        .run("ends", &[("ends", "#!/bin/sh\nkill -9 $$\n")])
        .await;
    let last = bench.ends_with("ends").await;
    assert_eq!(
        (last.error.as_str(), last.output.len()),
        ("killed by signal 9", 0)
    );
    bench.delete("ends").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_well_in_time_is_an_error() {
    let bench = Bench::new().await;
    let hurry = || CreateOptions {
        start_timeout: 1500,
        ..CreateOptions::default()
    };
    bench
        .upload("silent", archive(&[("run", WAITS)]))
        .await
        .unwrap();
    bench.create("silent", hurry()).await.unwrap();
    assert_eq!(
        bench.ends_with("silent").await.error,
        "not ready within 1.5 s: it did not register"
    );
    bench
        .upload("ill", archive(&[("run", WAITS)]))
        .await
        .unwrap();
    bench.create("ill", hurry()).await.unwrap();
    bench.started("ill").await;
    let address = health(ServingStatus::NotServing).await;
    bench.register("ill", "ill-1", &address).await;
    assert_eq!(
        bench.ends_with("ill").await.error,
        "not ready within 1.5 s: registered, but it says that it is not serving"
    );
    assert_eq!((bench.processes().await, bench.nodes("ill").await), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_dies_later_is_an_error() {
    let bench = Bench::new().await;
    bench
        .run(
            "dies",
            &[(
                "run",
                "#!/bin/sh\nwhile [ ! -e stop ]; do sleep 0.02; done; echo bye; exit 1\n",
            )],
        )
        .await;
    let pid = bench.started("dies").await;
    bench
        .register("dies", "dies-1", &health(ServingStatus::Serving).await)
        .await;
    bench.events("dies", RUNNING).await;
    std::fs::write(format!("/proc/{pid}/cwd/stop"), "").unwrap();
    let last = bench.ends_with("dies").await;
    assert_eq!(
        (last.error.as_str(), last.output.as_slice()),
        ("exit status 1", ["bye".to_owned()].as_slice())
    );
    assert_eq!(bench.nodes("dies").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_is_told_line_by_line() {
    let bench = Bench::new().await;
    bench
        .run(
            "bad",
            &[(
                "micro.toml",
                "build = 'echo compiling; echo oops >&2; exit 1'",
            )],
        )
        .await;
    let events = bench.events("bad", ERROR).await;
    let lines: Vec<_> = events
        .iter()
        .map(|event| event.build_line.as_str())
        .filter(|line| !line.is_empty())
        .collect();
    assert!(
        lines.contains(&"compiling") && lines.contains(&"oops"),
        "{events:?}"
    );
    assert!(events.iter().any(|event| event.status == BUILDING));
    assert_eq!(
        events.last().unwrap().error,
        "the build command of micro.toml failed (exit status 1)"
    );
    // A health command in place of a call: it is told the address.
    let manifest = "run = './serve'\nhealth = 'test \"$MICRO_SERVICE_ADDRESS\" = 192.0.2.1:99'";
    bench
        .run("own", &[("micro.toml", manifest), ("serve", WAITS)])
        .await;
    bench.started("own").await;
    bench.register("own", "own-1", "192.0.2.1:99").await;
    bench.events("own", RUNNING).await;
    bench.core.manager.shutdown().await;
    assert_eq!(bench.processes().await, 0);
    assert_eq!(bench.read("own").await.unwrap().status, STOPPED);
    assert_eq!(
        bench
            .create("own", CreateOptions::default())
            .await
            .unwrap_err()
            .code(),
        Code::Unavailable
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn force_replaces_and_a_kill_ends_a_build() {
    let bench = Bench::new().await;
    bench.run("twice", &[("run", WAITS)]).await;
    let first = bench.started("twice").await;
    bench
        .register("twice", "a", &health(ServingStatus::Serving).await)
        .await;
    bench.events("twice", RUNNING).await;
    let force = CreateOptions {
        force: true,
        ..CreateOptions::default()
    };
    bench.create("twice", force).await.unwrap();
    wait_for("another process", async || {
        (bench.started("twice").await != first).then_some(())
    })
    .await;
    assert_eq!(
        (bench.processes().await, bench.nodes("twice").await),
        (1, 0)
    );
    bench
        .register("twice", "b", &health(ServingStatus::Serving).await)
        .await;
    bench.events("twice", RUNNING).await;
    bench.delete("twice").await.unwrap();

    bench
        .run(
            "slow",
            &[("micro.toml", "build = 'echo on; sleep 100'\nrun = 'true'")],
        )
        .await;
    let mut events = bench.watch("slow").await;
    while events.next().await.unwrap().unwrap().build_line != "on" {}
    timeout(PATIENCE, bench.delete("slow"))
        .await
        .unwrap()
        .unwrap();
    assert!(bench.read("slow").await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_sources_are_named() {
    let bench = Bench::new().await;
    let mut link = tar::Header::new_gnu();
    link.set_entry_type(tar::EntryType::Symlink);
    link.set_size(0);
    let mut builder = tar::Builder::new(Vec::new());
    builder
        .append_link(&mut link, "passwd", "/etc/passwd")
        .unwrap();
    for (name, bytes, expected) in [
        (
            "text",
            b"not a tar".repeat(200),
            "the source is not a tar archive",
        ),
        (
            "link",
            builder.into_inner().unwrap(),
            "the link \"passwd\" in the source leads outside its folder",
        ),
        (
            "none",
            archive(&[("data", "x")]),
            "nothing to run: the folder has no Cargo.toml",
        ),
    ] {
        bench.upload(name, bytes).await.unwrap();
        bench.create(name, CreateOptions::default()).await.unwrap();
        let last = bench.ends_with(name).await;
        assert!(last.error.contains(expected), "{name}: {}", last.error);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_checked() {
    let bench = Bench::new().await;
    bench
        .upload("good", archive(&[("run", WAITS)]))
        .await
        .unwrap();
    let create = async |change: &dyn Fn(&mut Service, &mut CreateOptions)| {
        let mut service = Service {
            source: "source://good:latest".to_owned(),
            ..service("good")
        };
        let mut options = CreateOptions::default();
        change(&mut service, &mut options);
        let request = CreateRequest {
            resource: resource(service),
            options: Some(options),
        };
        error(bench.runtime.clone().create(request).await)
    };
    type Change = dyn Fn(&mut Service, &mut CreateOptions);
    let cases: [(&Change, &str); 8] = [
        (
            &|service, _| service.name.clear(),
            "the service has no name",
        ),
        (
            &|service, _| service.name = "../x".into(),
            "the name \"../x\" is not allowed",
        ),
        (
            &|service, _| service.name = "store".into(),
            "store is the name of a service of the platform",
        ),
        (
            &|service, _| service.version = "a b".into(),
            "the version \"a b\" is not allowed",
        ),
        (
            &|service, _| service.source = "github.com/x/y".into(),
            "the source \"github.com/x/y\" cannot be fetched",
        ),
        (
            &|service, _| service.source = "source://nosuch:latest".into(),
            "the source source://nosuch:latest was not uploaded",
        ),
        (
            &|_, options| options.env = vec!["secret".into()],
            "an environment variable must be given as NAME=VALUE",
        ),
        (
            &|_, options| options.entrypoint = "../up".into(),
            "the entrypoint ../up lies outside the source",
        ),
    ];
    for (change, expected) in cases {
        let (code, detail) = create(change).await;
        assert_eq!(code, 400, "{detail}");
        assert!(detail.starts_with(expected), "{detail}");
    }
    let mut runtime = bench.runtime.clone();
    assert_eq!(
        error(runtime.create(CreateRequest::default()).await),
        (400, "blank resource".to_owned())
    );
    let namespace = Resource {
        namespace: Some(Namespace {
            name: "x".to_owned(),
        }),
        ..Resource::default()
    };
    let request = CreateRequest {
        resource: Some(namespace),
        ..CreateRequest::default()
    };
    runtime.create(request).await.unwrap();
    assert_eq!(
        error(bench.upload("big", vec![0; 5 * 1024 * 1024]).await).0,
        400
    );
    let none =
        SourceClient::new(bench.door.clone()).upload(stream::iter([UploadRequest::default()]));
    assert_eq!(error(none), (400, "No service was sent".to_owned()));
    let empty = UploadRequest {
        service: Some(service("empty")),
        ..UploadRequest::default()
    };
    let empty = sources.upload(stream::iter([empty])).await;
    assert_eq!(error(empty), (400, "the source is empty".to_owned()));
    let mut builds = BuildClient::new(bench.door.clone());
    let build = builds.read(Service {
        version: "latest".to_owned(),
        ..service("good")
    });
    assert_eq!(error(build.await), (404, "Build not found".to_owned()));

    // Nobody, and somebody of another namespace.
    let nobody = bench.core.door("", "");
    let status = RuntimeClient::new(nobody.clone())
        .read(ReadRequest::default())
        .await;
    assert_eq!(error(status), (401, "An account is required".to_owned()));
    let mut sources = SourceClient::new(nobody);
    let upload = sources.upload(stream::iter([UploadRequest::default()]));
    assert_eq!(
        error(upload.await),
        (401, "An account is required to upload source".to_owned())
    );
    let platform = DeleteRequest {
        resource: resource(service("x")),
        options: Some(DeleteOptions {
            namespace: "$platform".to_owned(),
        }),
    };
    assert_eq!(
        error(runtime.delete(platform).await),
        (403, "Access denied to namespace".to_owned())
    );
    // None of this has left anything.
    assert_eq!(bench.processes().await, 0);
    let logs = timeout(Duration::from_secs(5), bench.logs("good", 1))
        .await
        .unwrap();
    assert_eq!(logs.unwrap_err().code(), Code::NotFound);
}
