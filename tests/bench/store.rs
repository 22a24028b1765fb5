//! A read of the store through a library, beside the same trait called directly.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use micro_loader::{LoadOptions, Loader};
use micro_memory::MemoryStore;
use micro_plugin_api::{
    Call, Host, StoreHandle,
    store::{Commit, Precondition, Put, Store as _, Table},
};
use micro_tests::program;

use crate::table::{Table as Rows, median};

const ROUNDS: usize = 15;
const READS: u32 = 20_000;
const TABLE: Table<'_> = Table::new("bench", "bench");

pub(crate) async fn measure(rows: &mut Rows) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let host = || {
        Host::new(
            "bench",
            folder.path().join("state"),
            folder.path().join("logs"),
        )
    };
    let loader = Loader::new(Vec::new(), folder.path().join("cache"));
    let open = async |plugin: &str| {
        let path = program(&format!("libmicro_{plugin}.so"));
        let library = loader.load(&path, &LoadOptions::named(plugin))?;
        let instance = library.open("{}", host(), Duration::from_secs(5)).await?;
        anyhow::Ok(instance)
    };
    // Inline: nothing in this plugin blocks. Hop: the zoo runs its calls on its own runtime.
    let (memory, zoo) = (open("memory").await?, open("zoo").await?);
    let inline = memory.store().context("memory offers a store")?;
    let hop = zoo.store().context("the zoo offers a store")?;
    let direct = MemoryStore::new();

    let call = Call::new("bench");
    let commit = Commit::new().put(
        TABLE,
        "small",
        Precondition::Any,
        Put {
            value: Bytes::from(vec![7; 100]),
            metadata: BTreeMap::new(),
            expiry: None,
        },
    );
    direct.commit(&call, &commit).await?;
    inline.commit(&call, &commit).await?;

    let (mut directly, mut inlined, mut hopped) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..READS {
            let record = direct.read(&call, TABLE, "small").await?;
            ensure!(record.is_some_and(|record| record.value.len() == 100));
        }
        directly.push(nanoseconds(start, READS));
        inlined.push(through(&inline, &call, READS).await?);
        hopped.push(through(&hop, &call, READS / 20).await?);
    }
    let directly = median(&mut directly);
    rows.ratio(
        "store: read through the library, inline, beside direct",
        median(&mut inlined),
        directly,
        "ns",
    );
    rows.ratio(
        "store: read through the library, hop, beside direct",
        median(&mut hopped),
        directly,
        "ns",
    );
    Ok(())
}

async fn through(store: &StoreHandle, call: &Call, reads: u32) -> Result<f64> {
    let start = Instant::now();
    for _ in 0..reads {
        let record = store.read(call, TABLE, "small").await?;
        ensure!(record.is_some_and(|record| record.value.len() == 100));
    }
    Ok(nanoseconds(start, reads))
}

fn nanoseconds(since: Instant, reads: u32) -> f64 {
    since.elapsed().as_nanos() as f64 / f64::from(reads)
}
