//! A real server under load: its modules are swapped a hundred times, no call fails, and nothing that
//! is subscribed to is lost.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::Write as _,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures::StreamExt as _;
use micro_proto::{
    broker::{self, broker_client::BrokerClient},
    events::{self, stream_client::StreamClient},
    profile::{ReloadRequest, StatusRequest, StatusResponse, profile_client::ProfileClient},
    registry::{GetRequest, registry_client::RegistryClient},
    store::{ReadRequest, Record, WatchRequest, WriteRequest, store_client::StoreClient},
};
use micro_tests::{PATIENCE, Server, ServerBuilder, grpc, program, wait_for};
use tokio::{
    task::JoinHandle,
    time::{sleep_until, timeout},
};
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::Channel,
};

/// How many modules are swapped.
const SWAPS: usize = 100;
/// How long that may go on: a slow machine swaps less.
const BOUND: Duration = Duration::from_secs(45);
/// How many swaps even a slow machine manages in that time.
const FEWEST_SWAPS: usize = 8;
/// How many callers there are.
const CALLERS: u64 = 5;
/// How often each of them calls at most: five hundred calls a second together.
const PACE: Duration = Duration::from_millis(10);

/// Says who calls.
#[derive(Clone)]
struct Token(MetadataValue<Ascii>);

impl Interceptor for Token {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let metadata = request.metadata_mut();
        metadata.insert("authorization", self.0.clone());
        Ok(request)
    }
}

type Door = InterceptedService<Channel, Token>;

async fn door(server: &Server) -> Door {
    let address = server.proxy().to_string();
    let token = grpc::Connection::open(&address).await.unwrap();
    let token = token.login(3_600).await.unwrap();
    let channel = Channel::from_shared(format!("http://{address}")).unwrap();
    let channel = channel.connect().await.unwrap();
    let token = format!("Bearer {token}").parse().unwrap();
    InterceptedService::new(channel, Token(token))
}

/// One who calls all the time, each time something else.
struct Caller {
    number: u64,
    stop: Arc<AtomicBool>,
    calls: Arc<AtomicU64>,
    /// Messages, and events, that were taken.
    published: Arc<AtomicU64>,
}

impl Caller {
    /// Gives the last value that it wrote.
    async fn call(self, door: Door) -> String {
        let mut store = StoreClient::new(door.clone());
        let mut registry = RegistryClient::new(door.clone());
        let mut broker = BrokerClient::new(door.clone());
        let mut events = StreamClient::new(door);
        let key = format!("caller-{}", self.number);
        let mut next = tokio::time::Instant::now();
        let mut last = String::new();
        for turn in 0_u64.. {
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            next = (next + PACE).max(tokio::time::Instant::now() - PACE);
            sleep_until(next).await;
            let text = format!("{}/{turn}", self.number);
            match turn % 5 {
                0 => {
                    let record = Record {
                        key: key.clone(),
                        value: text.clone().into(),
                        ..Record::default()
                    };
                    let request = WriteRequest {
                        record: Some(record),
                        options: None,
                    };
                    store.write(request).await.unwrap();
                    last = text;
                }
                1 => assert_eq!(read(&mut store, &key).await, last),
                2 => {
                    let request = GetRequest {
                        service: "store".to_owned(),
                        options: None,
                    };
                    let found = registry.get_service(request).await.unwrap();
                    assert_eq!(found.into_inner().services[0].nodes.len(), 1);
                }
                3 => {
                    let message = broker::Message {
                        body: text.into(),
                        ..broker::Message::default()
                    };
                    let request = broker::PublishRequest {
                        topic: "load".to_owned(),
                        message: Some(message),
                    };
                    broker.publish(request).await.unwrap();
                    self.published.fetch_add(1, Ordering::Relaxed);
                }
                _ => {
                    let request = events::PublishRequest {
                        topic: "load".to_owned(),
                        payload: text.into(),
                        ..events::PublishRequest::default()
                    };
                    events.publish(request).await.unwrap();
                }
            }
            self.calls.fetch_add(1, Ordering::Relaxed);
        }
        last
    }
}

async fn read(store: &mut StoreClient<Door>, key: &str) -> String {
    let request = ReadRequest {
        key: key.to_owned(),
        options: None,
    };
    let records = store.read(request).await.unwrap().into_inner().records;
    String::from_utf8(records[0].value.to_vec()).unwrap()
}

/// One who listens all the time: the numbers of each caller must come in order, none twice, and
/// `step` apart. Gives how many came.
fn listen<T: Send + 'static>(
    mut items: tonic::Streaming<T>,
    step: u64,
    text: impl Fn(T) -> Option<String> + Send + 'static,
) -> (Arc<AtomicU64>, JoinHandle<()>) {
    let came = Arc::new(AtomicU64::new(0));
    let listening = tokio::spawn({
        let came = came.clone();
        async move {
            let mut last = BTreeMap::<String, u64>::new();
            while let Some(item) = items.next().await {
                let Some(text) = text(item.unwrap()) else {
                    continue;
                };
                let (caller, turn) = text.split_once('/').unwrap();
                let turn: u64 = turn.parse().unwrap();
                if let Some(before) = last.insert(caller.to_owned(), turn) {
                    assert_eq!(before + step, turn, "of caller {caller}");
                }
                came.fetch_add(1, Ordering::Relaxed);
            }
            panic!("the stream ended");
        }
    });
    (came, listening)
}

/// The manifest, and the plugins that are built again.
struct Profile<'a> {
    home: &'a Path,
    store: &'static str,
}

impl Profile<'_> {
    fn write(&self) {
        let library = |plugin| self.home.join(format!("libmicro_{plugin}.so"));
        let text = format!(
            "extends = \"local\"\n[store]\nplugin = \"{}\"\n[plugins.memory]\npath = {:?}\n\
             [plugins.file]\npath = {:?}\n",
            self.store,
            library("memory"),
            library("file")
        );
        let path = self.home.join("own.toml");
        let new = path.with_extension("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, path).unwrap();
    }

    fn rebuild(&self, plugin: &str) {
        let path = self.home.join(format!("libmicro_{plugin}.so"));
        let new = path.with_extension("new");
        fs::copy(&path, &new).unwrap();
        // What stands behind the sections of a library means nothing to anybody.
        let mut file = OpenOptions::new().append(true).open(&new).unwrap();
        file.write_all(b"built again").unwrap();
        drop(file);
        fs::rename(new, path).unwrap();
    }
}

async fn status(profile: &mut ProfileClient<Door>) -> StatusResponse {
    profile.status(StatusRequest {}).await.unwrap().into_inner()
}

/// Has what has changed applied, and gives how many modules are served by another plugin or build.
async fn swap(
    profile: &mut ProfileClient<Door>,
    before: &StatusResponse,
) -> (usize, StatusResponse) {
    let request = ReloadRequest { copy: true };
    let mut told = profile.reload(request).await.unwrap().into_inner();
    while let Some(message) = told.next().await {
        let swapped = message.unwrap().swapped;
        if let Some(swapped) = swapped {
            assert_eq!(swapped.error, "", "{swapped:?}");
        }
    }
    let now = status(profile).await;
    assert_eq!(now.error, "");
    let mut changed = 0;
    for (before, now) in before.modules.iter().zip(&now.modules) {
        assert_eq!(now.error, "", "{now:?}");
        let same = before.plugin == now.plugin && before.sha256 == now.sha256;
        changed += usize::from(!same);
    }
    (changed, now)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_swaps_fail_no_call_and_lose_no_subscription() {
    let builder = ServerBuilder::new("own.toml");
    let home = builder.home().to_owned();
    for plugin in ["memory", "file"] {
        let file = format!("libmicro_{plugin}.so");
        fs::copy(program(&file), home.join(file)).unwrap();
    }
    let mut manifest = Profile {
        home: &home,
        store: "file",
    };
    manifest.write();
    let mut server = builder.profile(home.join("own.toml")).start().await;
    let door = door(&server).await;

    let mut broker = BrokerClient::new(door.clone());
    let subscribe = broker::SubscribeRequest {
        topic: "load".to_owned(),
        ..broker::SubscribeRequest::default()
    };
    let messages = broker.subscribe(subscribe).await.unwrap().into_inner();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
    let (messages, listening) = listen(messages, 5, move |message: broker::Message| {
        text(&message.body)
    });
    let consume = events::ConsumeRequest {
        topic: "load".to_owned(),
        auto_ack: true,
        ..events::ConsumeRequest::default()
    };
    let consumed = StreamClient::new(door.clone()).consume(consume).await;
    let (consumed, consuming) = listen(consumed.unwrap().into_inner(), 5, move |event| {
        let events::Event { payload, .. } = event;
        text(&payload)
    });
    let watch = StoreClient::new(door.clone())
        .watch(WatchRequest::default())
        .await;
    let (watched, watching) = listen(watch.unwrap().into_inner(), 5, move |change| {
        text(&change.record?.value)
    });

    let stop = Arc::new(AtomicBool::new(false));
    let calls = Arc::new(AtomicU64::new(0));
    let published = Arc::new(AtomicU64::new(0));
    let callers: Vec<_> = (0..CALLERS)
        .map(|number| {
            let caller = Caller {
                number,
                stop: stop.clone(),
                calls: calls.clone(),
                published: published.clone(),
            };
            tokio::spawn(caller.call(door.clone()))
        })
        .collect();
    wait_for("the first calls", || async {
        (calls.load(Ordering::Relaxed) > 50).then_some(())
    })
    .await;

    let mut profile = ProfileClient::new(door.clone());
    let mut now = status(&mut profile).await;
    let (mut swaps, began) = (0, Instant::now());
    for step in (0..4).cycle() {
        match step {
            0 => manifest.store = "memory",
            2 => manifest.store = "file",
            1 => manifest.rebuild("memory"),
            _ => manifest.rebuild("file"),
        }
        manifest.write();
        let (changed, after) = swap(&mut profile, &now).await;
        assert!(changed > 0, "{now:?} {after:?}");
        swaps += changed;
        now = after;
        if swaps >= SWAPS || began.elapsed() > BOUND {
            break;
        }
    }
    let took = began.elapsed();
    stop.store(true, Ordering::Relaxed);
    let mut store = StoreClient::new(door);
    for (number, caller) in callers.into_iter().enumerate() {
        let last = timeout(PATIENCE, caller).await.unwrap().unwrap();
        assert_eq!(read(&mut store, &format!("caller-{number}")).await, last);
    }
    let published = published.load(Ordering::Relaxed);
    wait_for("the last messages", || async {
        (messages.load(Ordering::Relaxed) >= published).then_some(())
    })
    .await;
    assert_eq!(messages.load(Ordering::Relaxed), published);
    for (name, stream) in [
        ("messages", listening),
        ("events", consuming),
        ("changes", watching),
    ] {
        assert!(!stream.is_finished(), "{name} ended");
        stream.abort();
    }
    assert!(consumed.load(Ordering::Relaxed) > 0 && watched.load(Ordering::Relaxed) > 0);
    assert!(swaps >= FEWEST_SWAPS, "{swaps} swaps in {took:?}");
    let calls = calls.load(Ordering::Relaxed);
    println!("{swaps} swaps in {took:?}, under {calls} calls, none of which failed");
    assert!(server.stop().await.success());
}
