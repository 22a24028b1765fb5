//! Configuration: values under dotted paths, secrets among them, read as what is needed.
//!
//! Run it against a server: `MICRO_PROXY=127.0.0.1:8081 MICRO_AUTH_ID=admin MICRO_AUTH_SECRET=micro
//! cargo run --example config`.

#![allow(clippy::print_stdout, reason = "a program that shows what it found")]

use std::time::Duration;

use micro::{Error, futures::StreamExt as _};
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Key {
    subkey: String,
    subkey1: i64,
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let config = micro::client().config();

    // A value of any type: what becomes an object can be read, and set, key by key.
    let key = Key {
        subkey: "hello".to_owned(),
        subkey1: 42,
    };
    config.set("key", &key).await?;
    println!("key.subkey: {}", config.get("key.subkey").await?.string(""));
    println!("scanned: {:?}", config.get("key").await?.scan::<Key>()?);

    // Objects are merged.
    config.set("key.timeout", "1m30s").await?;
    println!("key: {}", config.get("key").await?.json());

    // Readers convert as well as they can, and know what to do without a value.
    let timeout = config.get("key.timeout").await?;
    println!("timeout: {:?}", timeout.duration(Duration::ZERO));
    println!("retries: {}", config.get("key.retries").await?.int(3));

    // A secret is encrypted at rest, and shown to those who ask for it.
    let secrets = config.clone().secret();
    secrets.set("key.password", "hunter2").await?;
    println!("hidden: {}", config.get("key.password").await?.string(""));
    println!("shown: {}", secrets.get("key.password").await?.string(""));

    // The value now, and whenever it changes.
    let mut watch = config.watch("key.subkey").await?;
    config.set("key.subkey", "world").await?;
    while let Some(update) = watch.next().await {
        let subkey = update?.value.string("");
        if subkey == "world" {
            println!("changed: {subkey}");
            break;
        }
    }

    config.delete("key").await?;
    println!("exists: {}", config.get("key").await?.exists());
    Ok(())
}
