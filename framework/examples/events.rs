//! Events: a chat whose messages are published, consumed as they come, and read again later.
//!
//! Run it against a server: `MICRO_PROXY=127.0.0.1:8081 MICRO_AUTH_ID=admin MICRO_AUTH_SECRET=micro
//! cargo run --example events`.

#![allow(clippy::print_stdout, reason = "a program that shows what it found")]

use std::time::{Duration, SystemTime};

use micro::{
    Error,
    events::{ConsumeOptions, History, NewEvent},
};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Message {
    subject: String,
}

impl Message {
    fn new(subject: &str) -> Self {
        Self {
            subject: subject.to_owned(),
        }
    }
}

const CHAT: &str = "chat-1";

#[tokio::main]
async fn main() -> Result<(), Error> {
    let events = micro::client().events();
    let begun = SystemTime::now();

    // Who consumes gets every event from now on.
    let mut consumer = events.consume(CHAT, ConsumeOptions::new()).await?;
    events.publish(CHAT, &Message::new("hello")).await?;
    let with_metadata =
        NewEvent::new(CHAT, &Message::new("how are you?"))?.metadata("from", "jane");
    events.publish_event(with_metadata).await?;
    for _ in 0..2 {
        let Some(event) = consumer.next().await else {
            break;
        };
        let event = event?;
        let from = event
            .metadata
            .get("from")
            .map_or("somebody", String::as_str);
        let message: Message = event.unmarshal()?;
        println!("received from {from}: {}", message.subject);
    }

    // A group shares the events, from a moment of the past on; what is not acknowledged comes again.
    let workers = ConsumeOptions::new()
        .group("workers")
        .offset(begun)
        .manual_ack(Duration::from_secs(30));
    let mut worker = events.consume(CHAT, workers).await?;
    let (mut refused, mut done) = (false, 0);
    while done < 2
        && let Some(event) = worker.next().await
    {
        let event = event?;
        if !refused {
            refused = true;
            println!("not now: {}", event.unmarshal::<Message>()?.subject);
            worker.nack(&event);
            continue;
        }
        println!("dealt with: {}", event.unmarshal::<Message>()?.subject);
        worker.ack(&event);
        done += 1;
    }

    // Many at once, and all that was said.
    let more = ["one", "two", "three"].map(|subject| NewEvent::new(CHAT, &Message::new(subject)));
    let more = more.into_iter().collect::<Result<Vec<_>, _>>()?;
    events.publish_batch(more).await?;
    for event in events.read(CHAT, History::new().limit(3).offset(1)).await? {
        println!("history: {}", event.unmarshal::<Message>()?.subject);
    }
    Ok(())
}
