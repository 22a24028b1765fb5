//! `kill -9` of the server, again and again, while many write: nothing that was acknowledged is
//! lost, and nothing is there twice. Under `local`, the profile whose disk is this server's own.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
};

use anyhow::{Context as _, Result, ensure};
use micro_proto::{config, events, store};
use micro_tests::{Server, ServerBuilder, grpc::Connection, wait_for};

/// How often the server is killed.
const KILLS: u64 = 20;
/// How many write at once: by turns a writer of the store, a publisher and a config setter.
const ACTORS: u64 = 64;
/// How many acknowledgements of each kind a round waits for, at least.
const ACKS: u64 = 150;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Writer,
    Publisher,
    Setter,
}

impl Kind {
    fn of(actor: u64) -> Self {
        [Self::Writer, Self::Publisher, Self::Setter][(actor % 3) as usize]
    }
}

/// For each actor the number of its last act that was acknowledged; it acts in ascending order,
/// and each act is tried once.
type Acknowledged = Arc<Mutex<BTreeMap<u64, Vec<u64>>>>;

/// A connection on the first account.
#[derive(Clone)]
struct Client {
    connection: Connection,
    authorization: String,
}

impl Client {
    async fn login(server: &Server) -> Result<Self> {
        let connection = Connection::open(&server.proxy().to_string()).await?;
        let token = connection.login(3600).await?;
        Ok(Self {
            connection,
            authorization: format!("Bearer {token}"),
        })
    }

    async fn call<Q: prost::Message, A: prost::Message + Default>(
        &self,
        path: &str,
        request: Q,
    ) -> Result<A> {
        let metadata = [("authorization", &*self.authorization)];
        let answer = self.connection.call(path, &metadata, &[request]).await?;
        answer.single()
    }

    /// One act of an actor, whose text says who did it and the how manieth it was.
    async fn act(&self, actor: u64, number: u64) -> Result<()> {
        let text = format!("{actor:02}/{number:08}");
        match Kind::of(actor) {
            Kind::Writer => {
                let request = store::WriteRequest {
                    record: Some(store::Record {
                        key: format!("crash/{text}"),
                        value: text.into(),
                        ..Default::default()
                    }),
                    options: None,
                };
                let _: store::WriteResponse = self.call("/store.Store/Write", request).await?;
            }
            Kind::Publisher => {
                let request = events::PublishRequest {
                    topic: "crash".into(),
                    payload: text.into(),
                    ..Default::default()
                };
                let _: events::PublishResponse =
                    self.call("/events.Stream/Publish", request).await?;
            }
            Kind::Setter => {
                let request = config::SetRequest {
                    path: format!("crash.actor{actor}"),
                    value: Some(config::Value {
                        data: number.to_string(),
                        format: "json".into(),
                    }),
                    ..Default::default()
                };
                let _: config::SetResponse = self.call("/config.Config/Set", request).await?;
            }
        }
        Ok(())
    }
}

/// Everybody acts on `server` until it is killed, which is once each kind has got so far.
async fn round(server: Server, kill: u64, acknowledged: &Acknowledged) -> Result<ServerBuilder> {
    let before: HashMap<Kind, u64> = counts(acknowledged);
    let mut actors = Vec::new();
    for actor in 0..ACTORS {
        // Each in a connection of its own, as services are.
        let client = Client::login(&server).await?;
        let acknowledged = Arc::clone(acknowledged);
        actors.push(tokio::spawn(async move {
            // Never a number again: whether an act without an answer took place is not known.
            for number in (kill * 1_000_000).. {
                if client.act(actor, number).await.is_err() {
                    return;
                }
                let mut all = acknowledged.lock().expect("no actor panics");
                all.entry(actor).or_default().push(number);
            }
        }));
    }
    // Not always as far, so that the kill meets the server in all that it does.
    let wanted = ACKS + kill * 13 % 71;
    wait_for("acknowledgements of each kind", || async {
        let now = counts(acknowledged);
        let enough = |kind| {
            let before = before.get(&kind).copied().unwrap_or_default();
            now.get(&kind).copied().unwrap_or_default() >= before + wanted
        };
        [Kind::Writer, Kind::Publisher, Kind::Setter]
            .into_iter()
            .all(enough)
            .then_some(())
    })
    .await;
    let next = tokio::task::spawn_blocking(|| server.crash()).await?;
    for actor in actors {
        actor.await?;
    }
    Ok(next)
}

fn counts(acknowledged: &Acknowledged) -> HashMap<Kind, u64> {
    let mut counts = HashMap::new();
    for (actor, numbers) in acknowledged.lock().expect("no actor panics").iter() {
        *counts.entry(Kind::of(*actor)).or_default() += numbers.len() as u64;
    }
    counts
}

/// Whether all that was acknowledged is there.
async fn check(server: &Server, acknowledged: &Acknowledged) -> Result<()> {
    let client = Client::login(server).await?;
    let records = records(&client).await?;
    let events = history(&client).await?;
    let config: config::GetResponse = client
        .call(
            "/config.Config/Get",
            config::GetRequest {
                path: "crash".into(),
                ..Default::default()
            },
        )
        .await?;
    let config: serde_json::Value =
        serde_json::from_str(&config.value.context("a configuration")?.data)?;
    for (actor, numbers) in acknowledged.lock().expect("no actor panics").iter() {
        for number in numbers {
            let text = format!("{actor:02}/{number:08}");
            match Kind::of(*actor) {
                Kind::Writer => {
                    let value = records.get(&format!("crash/{text}"));
                    ensure!(
                        value.is_some_and(|value| *value == text),
                        "record {text}: {value:?}"
                    );
                }
                Kind::Publisher => {
                    let times = events.get(&text);
                    ensure!(times == Some(&1), "event {text}: {times:?} times");
                }
                Kind::Setter => {}
            }
        }
        if Kind::of(*actor) == Kind::Setter {
            let value = config[format!("actor{actor}")].as_u64();
            ensure!(
                value >= numbers.last().copied(),
                "config of {actor}: {value:?}"
            );
        }
    }
    Ok(())
}

async fn records(client: &Client) -> Result<HashMap<String, String>> {
    let request = store::ReadRequest {
        key: "crash/".into(),
        options: Some(store::ReadOptions {
            prefix: true,
            ..Default::default()
        }),
    };
    let read: store::ReadResponse = client.call("/store.Store/Read", request).await?;
    let text = |record: store::Record| Ok((record.key, String::from_utf8(record.value.into())?));
    read.records.into_iter().map(text).collect()
}

/// How often each payload is in the history.
async fn history(client: &Client) -> Result<HashMap<String, u32>> {
    let mut times = HashMap::new();
    let mut offset = 0;
    loop {
        let request = events::ReadRequest {
            topic: "crash".into(),
            limit: 500,
            offset,
        };
        let page: events::ReadResponse = client.call("/events.Store/Read", request).await?;
        if page.events.is_empty() {
            return Ok(times);
        }
        offset += page.events.len() as u64;
        for event in page.events {
            *times
                .entry(String::from_utf8(event.payload.into())?)
                .or_default() += 1;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_twenty_kills() -> Result<()> {
    let acknowledged = Acknowledged::default();
    let mut server = Server::start("local").await;
    for kill in 1..=KILLS {
        let next = round(server, kill, &acknowledged).await?;
        server = next.start().await;
        let checked = check(&server, &acknowledged).await;
        checked.with_context(|| format!("after {kill} kills"))?;
    }
    let counts = counts(&acknowledged);
    assert!(
        counts.values().all(|count| *count >= KILLS * ACKS),
        "{counts:?}"
    );
    assert!(server.stop().await.success());
    Ok(())
}
