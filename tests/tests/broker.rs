//! Services that publish and subscribe over a real server: handlers of messages, what fails in
//! them, queues, and a connection that is lost.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use micro::{
    Client, Error, Service, ServiceError,
    broker::{Json, Message},
    metadata,
};
use micro_tests::{PATIENCE, Server, profile, wait_for};
use serde_json::{Value, json};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot},
    task::{JoinHandle, JoinSet},
};

/// A client of the server at `address`, on the first account.
fn client(address: SocketAddr) -> Client {
    let builder = Client::builder().address(address.to_string());
    builder.account("admin", "micro").build().expect("a client")
}

type Running = (oneshot::Sender<()>, JoinHandle<Result<(), ServiceError>>);

fn start(service: Service) -> Running {
    let (stop, stopped) = oneshot::channel();
    let stopped = async {
        let _ = stopped.await;
    };
    (stop, tokio::spawn(service.start_until(stopped)))
}

async fn end((stop, running): Running) {
    let _ = stop.send(());
    let ended = tokio::time::timeout(PATIENCE, running).await;
    ended
        .expect("it stops")
        .expect("no panic")
        .expect("no error");
}

async fn registered(client: &Client, name: &str) {
    wait_for(format!("{name} to be registered"), async || {
        let found = client.registry().get(name).await.expect("an answer");
        (!found.is_empty()).then_some(())
    })
    .await;
}

async fn next<T>(received: &mut mpsc::UnboundedReceiver<T>) -> T {
    let next = tokio::time::timeout(PATIENCE, received.recv()).await;
    next.expect("a message is handled").expect("a handler")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_may_fail_and_the_next_message_comes() {
    let mut server = Server::start(&profile()).await;
    let client = client(server.proxy());
    let (handled, mut received) = mpsc::unbounded_channel();
    let service = Service::new("listener").client(client.clone()).subscribe(
        "orders",
        move |Json(order): Json<Value>| {
            let handled = handled.clone();
            async move {
                let what = order["what"].as_str().unwrap_or_default().to_owned();
                let of = metadata::get("Foobar");
                let _ = handled.send((what.clone(), of));
                match what.as_str() {
                    "panic" => panic!("on purpose"),
                    "fail" => Err(Error::internal_server_error("listener", "on purpose")),
                    _ => Ok(()),
                }
            }
        },
    );
    let running = start(service);
    // Who is registered has subscribed.
    registered(&client, "listener").await;

    let broker = client.broker();
    let order = |what: &str| Message::json(&json!({"what": what})).expect("JSON");
    let publish = async |message: Message| broker.publish("orders", message).await;
    for what in ["panic", "fail"] {
        publish(order(what)).await.expect("published");
        assert_eq!(next(&mut received).await, (what.to_owned(), None));
    }
    // No handler is called with what it cannot read.
    publish(Message::new("no JSON")).await.expect("published");
    let context = metadata::set("Foobar", "mycustomval").expect("metadata");
    let sent = context.scope(publish(order("good"))).await;
    sent.expect("published");
    let wanted = ("good".to_owned(), Some("mycustomval".to_owned()));
    assert_eq!(next(&mut received).await, wanted);
    end(running).await;
    assert!(server.stop().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_share_a_queue_and_others_get_everything() {
    const COUNT: u64 = 200;
    let mut server = Server::start(&profile()).await;
    let client = client(server.proxy());
    let (handled, mut received) = mpsc::unbounded_channel();
    let mut running = Vec::new();
    for name in ["worker-one", "worker-two"] {
        let (handled, name) = (handled.clone(), name.to_owned());
        let service = Service::new(&name).client(client.clone());
        let service = service.subscribe_queue("jobs", "workers", move |job: Message| {
            let _ = handled.send((name.clone(), job));
            async { Ok::<_, Error>(()) }
        });
        running.push(start(service));
    }
    for name in ["worker-one", "worker-two"] {
        registered(&client, name).await;
    }
    let broker = client.broker();
    let mut alone = broker.subscribe("jobs").await.expect("subscribed");
    let jobs = (0..COUNT).map(|job| ("jobs".to_owned(), Message::new(job.to_string())));
    let published = broker.publish_all(futures::stream::iter(jobs)).await;
    assert_eq!(published.expect("published"), COUNT);

    let mut jobs = std::collections::BTreeMap::new();
    let mut workers = std::collections::BTreeSet::new();
    for number in 0..COUNT {
        let (worker, job) = next(&mut received).await;
        assert_eq!(jobs.insert(job.body, ()), None, "twice");
        workers.insert(worker);
        let message = tokio::time::timeout(PATIENCE, alone.next()).await;
        assert_eq!(message.expect("a message").body, number.to_string());
    }
    assert_eq!(workers.len(), 2, "both work");
    for running in running {
        end(running).await;
    }
    assert!(server.stop().await.success());
}

/// Forwards connections to a server, until they are cut.
struct Wire {
    address: SocketAddr,
    connections: Arc<Mutex<JoinSet<()>>>,
    accepted: Arc<AtomicU64>,
}

impl Wire {
    async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let connections = Arc::new(Mutex::new(JoinSet::new()));
        let accepted = Arc::new(AtomicU64::new(0));
        let (all, count) = (connections.clone(), accepted.clone());
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                all.lock().expect("no panic").spawn(async move {
                    if let Ok(mut far) = TcpStream::connect(server).await {
                        let _ = copy_bidirectional(&mut near, &mut far).await;
                    }
                });
            }
        });
        Self {
            address,
            connections,
            accepted,
        }
    }

    fn cut(&self) {
        self.connections.lock().expect("no panic").abort_all();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_comes_back_when_its_connection_is_lost() {
    let mut server = Server::start(&profile()).await;
    let wire = Wire::to(server.proxy()).await;
    let subscriber = client(wire.address).broker();
    let mut subscription = subscriber.subscribe("news").await.expect("subscribed");
    let before = wire.accepted.load(Ordering::SeqCst);
    let (handled, mut received) = mpsc::unbounded_channel();
    let reading = tokio::spawn(async move {
        loop {
            let message = subscription.next().await;
            if handled.send(message.body).is_err() {
                return;
            }
        }
    });
    let publisher = client(server.proxy()).broker();
    let news = publisher.publish("news", Message::new("one")).await;
    news.expect("published");
    assert_eq!(next(&mut received).await, "one");

    wire.cut();
    // What is published while it is away is lost, so this is done until one comes.
    let deadline = Instant::now() + PATIENCE;
    loop {
        let news = publisher.publish("news", Message::new("two")).await;
        news.expect("published");
        let come = tokio::time::timeout(Duration::from_millis(100), received.recv()).await;
        if come.is_ok() {
            break;
        }
        assert!(Instant::now() < deadline, "nothing came after the cut");
    }
    assert!(wire.accepted.load(Ordering::SeqCst) > before);
    reading.abort();
    assert!(server.stop().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_that_nobody_reads_stops_no_other_call_of_its_client() {
    let mut server = Server::start(&profile()).await;
    let client = client(server.proxy());
    let broker = client.broker();
    let mut unread = Vec::new();
    for _ in 0..8 {
        unread.push(broker.subscribe("orders").await.expect("a subscription"));
    }
    let message = Message::new(vec![b'x'; 256 * 1024]);
    for _ in 0..32 {
        let publish = broker.publish("orders", message.clone());
        let published = tokio::time::timeout(PATIENCE, publish).await;
        published.expect("an answer").expect("it is published");
    }
    drop(unread);
    assert!(server.stop().await.success());
}
