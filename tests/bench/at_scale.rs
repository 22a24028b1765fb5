//! The store with ten million records: writes and reads beside those of an empty one, and how soon
//! a server is there again that was killed.

use std::time::Instant;

use anyhow::Result;
use bytes::Bytes;
use micro_proto::store::{CommitRequest, Operation, Record};

use crate::{
    core::{Platform, VALUE, key, read, rounds, write},
    table::{Table, short},
};

/// How many records.
const RECORDS: u64 = 10_000_000;
/// How many a commit writes: as many as it may.
const COMMIT: u64 = 64;

pub(crate) async fn measure(table: &mut Table) -> Result<()> {
    let platform = Platform::start().await?;
    let empty_writes = rounds(async || platform.rate("/store.Store/Write", write).await).await?;
    let empty_reads = rounds(async || platform.rate("/store.Store/Read", read(1000)).await).await?;

    let begun = Instant::now();
    let commits = RECORDS.div_ceil(COMMIT);
    platform
        .repeat("/store.Store/Commit", commits, commit)
        .await?;
    let rate = RECORDS as f64 / begun.elapsed().as_secs_f64();
    table.figure(
        "store: ten million records, in commits of 64",
        format!("{rate:.0} records/s"),
    );

    let writes = rounds(async || platform.rate("/store.Store/Write", write).await).await?;
    table.ratio(
        "store: writes at ten million records, beside few",
        writes,
        empty_writes,
        "writes/s",
    );
    let reads = rounds(async || platform.rate("/store.Store/Read", read(RECORDS)).await).await?;
    table.ratio(
        "store: reads at ten million records, beside few",
        reads,
        empty_reads,
        "reads/s",
    );

    let builder = tokio::task::spawn_blocking(|| platform.server.crash()).await?;
    let begun = Instant::now();
    let server = builder.start().await;
    table.figure(
        "store: killed at ten million records, ready again",
        short(begun.elapsed()),
    );
    let mut platform = Platform::of(server).await?;
    platform
        .repeat("/store.Store/Read", 1000, read(RECORDS))
        .await?;
    platform.server.stop().await;
    Ok(())
}

/// The commit of this number.
fn commit(number: u64) -> CommitRequest {
    let put = |record| Operation {
        key: key(record),
        put: Some(Record {
            value: Bytes::from_static(VALUE),
            ..Default::default()
        }),
        ..Default::default()
    };
    CommitRequest {
        operations: (number * COMMIT..(number + 1) * COMMIT).map(put).collect(),
    }
}
