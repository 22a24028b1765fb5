//! The broker: one publisher and one subscriber, over gRPC.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use futures::stream;
use micro::{Client, broker::Message};
use tokio::time::timeout;

use crate::{
    core::{Platform, VALUE, rounds},
    table::Table,
};

/// How many messages a round passes on.
const MESSAGES: usize = 50_000;
/// How many are published before the subscriber has to have them: fewer than may wait for it, so
/// that none is lost.
const BURST: usize = 500;
const TOPIC: &str = "bench";
/// How long any message may take.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) async fn measure(table: &mut Table) -> Result<()> {
    let mut platform = Platform::start().await?;
    let broker = Client::builder()
        .address(platform.server.proxy().to_string())
        .account("admin", "micro")
        .build()?
        .broker();
    let rate = rounds(async || {
        let mut subscription = broker.subscribe(TOPIC).await?;
        let begun = Instant::now();
        for _ in 0..MESSAGES / BURST {
            let burst = vec![(TOPIC.to_owned(), Message::new(Bytes::from_static(VALUE))); BURST];
            let (published, received) = tokio::join!(
                broker.publish_all(stream::iter(burst)),
                receive(&mut subscription)
            );
            published?;
            received?;
        }
        Ok(MESSAGES as f64 / begun.elapsed().as_secs_f64())
    })
    .await?;
    let name = "broker: one publisher in bursts of 500, one subscriber";
    table.figure(name, format!("{rate:.0} messages/s"));
    platform.server.stop().await;
    Ok(())
}

/// Takes in one burst, whole.
async fn receive(subscription: &mut micro::broker::Subscription) -> Result<()> {
    for _ in 0..BURST {
        let message = timeout(PATIENCE, subscription.next()).await;
        let message = message.context("a message was lost")?;
        ensure!(message.body == VALUE, "another message");
    }
    Ok(())
}
