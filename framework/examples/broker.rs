//! Health checks, published to whoever subscribes to them.
//!
//! Run it against a server: `MICRO_PROXY=127.0.0.1:8081 MICRO_AUTH_ID=admin MICRO_AUTH_SECRET=micro
//! cargo run --example broker`.

#![allow(clippy::print_stdout, reason = "a program that shows what it found")]

use micro::{Error, broker::Message};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Healthcheck {
    healthy: bool,
    service: String,
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let broker = micro::client().broker();

    // Nothing is kept for those who come later: first subscribe, then publish.
    let mut subscription = broker.subscribe("health").await?;

    for (service, healthy) in [("foo", true), ("bar", false)] {
        let healthcheck = Healthcheck {
            healthy,
            service: service.to_owned(),
        };
        broker
            .publish("health", Message::json(&healthcheck)?)
            .await?;
    }

    for _ in 0..2 {
        let message = subscription.next().await;
        let healthcheck: Healthcheck = message.read_json()?;
        if healthcheck.healthy {
            println!("Service {} is healthy", healthcheck.service);
        } else {
            println!("Service {} is not healthy", healthcheck.service);
        }
    }
    Ok(())
}
