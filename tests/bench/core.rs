//! The core services over gRPC: 64 calls in flight on 4 connections, as a team's services make them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Result;
use bytes::Bytes;
use micro_proto::{events, store};
use micro_tests::{Server, ServerBuilder, grpc::Connection};
use prost::Message;

use crate::{
    load::{Caller, GrpcConnection, run},
    table::{Table, median},
};

const CONNECTIONS: usize = 4;
const IN_FLIGHT: usize = 64;
const ROUNDS: usize = 3;
const TIME: Duration = Duration::from_secs(3);
/// How many events one batch has.
const BATCH: u64 = 64;
/// What a small record or event holds.
pub(crate) const VALUE: &[u8] = &[7; 100];

/// A server of the profile `local`, and what a caller needs.
pub(crate) struct Platform {
    pub(crate) server: Server,
    address: String,
    token: String,
}

impl Platform {
    /// Starts it and logs in.
    pub(crate) async fn start() -> Result<Self> {
        let server = ServerBuilder::new("local")
            .env("MICRO_LOG_LEVEL", "info")
            .start()
            .await;
        Self::of(server).await
    }

    /// Logs in to a server that is ready.
    pub(crate) async fn of(server: Server) -> Result<Self> {
        let address = server.proxy().to_string();
        let token = Connection::open(&address).await?.login(3600).await?;
        Ok(Self {
            server,
            address,
            token,
        })
    }

    /// The calls a second of `path` with the messages that `next` makes of ascending numbers.
    pub(crate) async fn rate<M: Message + 'static>(
        &self,
        path: &str,
        next: impl Fn(u64) -> M + Clone + Send + 'static,
    ) -> Result<f64> {
        run(self.callers(path, next).await?, TIME).await
    }

    /// Calls `path` so often, with the messages that `next` makes of ascending numbers.
    pub(crate) async fn repeat<M: Message + 'static>(
        &self,
        path: &str,
        times: u64,
        next: impl Fn(u64) -> M + Clone + Send + 'static,
    ) -> Result<()> {
        let mut tasks = Vec::new();
        for mut caller in self.callers(path, next).await? {
            tasks.push(tokio::spawn(async move {
                while caller.counter.load(Ordering::Relaxed) < times {
                    caller.call().await?;
                }
                anyhow::Ok(())
            }));
        }
        for task in tasks {
            task.await??;
        }
        Ok(())
    }

    async fn callers<M: Message, F: Fn(u64) -> M + Clone>(
        &self,
        path: &str,
        next: F,
    ) -> Result<Vec<Numbered<F>>> {
        let counter = Arc::new(AtomicU64::new(0));
        let mut connections = Vec::new();
        for _ in 0..CONNECTIONS {
            connections.push(GrpcConnection::open(&self.address, path, Some(&self.token)).await?);
        }
        let caller = |index: usize| Numbered {
            connection: connections[index % CONNECTIONS].clone(),
            counter: Arc::clone(&counter),
            next: next.clone(),
        };
        Ok((0..IN_FLIGHT).map(caller).collect())
    }
}

/// Calls with a message of its own each time.
struct Numbered<F> {
    connection: GrpcConnection,
    counter: Arc<AtomicU64>,
    next: F,
}

impl<M: Message, F: Fn(u64) -> M + Send + 'static> Caller for Numbered<F> {
    async fn call(&mut self) -> Result<()> {
        let number = self.counter.fetch_add(1, Ordering::Relaxed);
        let message = (self.next)(number).encode_to_vec();
        self.connection.unary(&message).await
    }
}

pub(crate) fn write(number: u64) -> store::WriteRequest {
    store::WriteRequest {
        record: Some(store::Record {
            key: key(number),
            value: Bytes::from_static(VALUE),
            ..Default::default()
        }),
        options: None,
    }
}

/// Reads one of the first `written` records, in no order.
pub(crate) fn read(written: u64) -> impl Fn(u64) -> store::ReadRequest + Clone {
    move |number| store::ReadRequest {
        // A multiplication by an odd number visits all residues in a scattered order.
        key: key(number.wrapping_mul(0x9E37_79B9_7F4A_7C15) % written),
        options: None,
    }
}

pub(crate) fn key(number: u64) -> String {
    format!("bench/record-{number:012}")
}

fn event(topic: &str) -> events::PublishRequest {
    events::PublishRequest {
        topic: topic.into(),
        payload: Bytes::from_static(VALUE),
        ..Default::default()
    }
}

pub(crate) async fn measure(table: &mut Table) -> Result<()> {
    let mut platform = Platform::start().await?;
    let p = &platform;
    let rate = rounds(async || p.rate("/store.Store/Write", write).await).await?;
    per_second(
        table,
        "store: writes over gRPC, each on disk",
        rate,
        "writes",
    );
    // The rounds of writes wrote many more.
    let rate = rounds(async || p.rate("/store.Store/Read", read(1000)).await).await?;
    per_second(table, "store: reads over gRPC", rate, "reads");
    let publish = |_| event("one-by-one");
    let rate = rounds(async || p.rate("/events.Stream/Publish", publish).await).await?;
    let name = "events: published one by one, each on disk";
    per_second(table, name, rate, "events");
    let batch = |_| events::PublishBatchRequest {
        events: (0..BATCH).map(|_| event("batches")).collect(),
    };
    let rate = rounds(async || p.rate("/events.Stream/PublishBatch", batch).await).await?;
    let name = "events: published in batches of 64";
    per_second(table, name, rate * BATCH as f64, "events");
    platform.server.stop().await;
    Ok(())
}

/// The median of some rounds.
pub(crate) async fn rounds(measure: impl AsyncFn() -> Result<f64>) -> Result<f64> {
    let mut rates = Vec::new();
    for _ in 0..ROUNDS {
        rates.push(measure().await?);
    }
    Ok(median(&mut rates))
}

fn per_second(table: &mut Table, name: &str, rate: f64, unit: &str) {
    table.figure(name, format!("{rate:.0} {unit}/s"));
}
