//! Collects what is of no use any more, a bounded number of rows at a time: expired records, the
//! older part of the log of changes, chunks of blobs that are gone.

use std::{sync::Arc, time::Duration};

use sqlx::{Connection as _, PgConnection, query, query_scalar};

use crate::{
    database::{Database, Work},
    store::now,
};

/// How many rows go in one transaction.
const AT_ONCE: i64 = 1_000;

/// How many chunks of blobs go in one transaction.
const CHUNKS: i64 = 32;

/// How many transactions of each kind follow one another, before others have their turn.
const ROUNDS: usize = 100;

/// How long changes stay in the log, in milliseconds.
const LOGGED: i64 = 10 * 60 * 1_000;

/// How long chunks stay that no blob refers to, in milliseconds: for as long as one may be reading
/// them, or be pausing while writing them.
const GARBAGE: i64 = 60 * 60 * 1_000;

/// Collects every `interval`, for ever.
pub(crate) async fn run(database: Arc<Database>, interval: Duration) {
    loop {
        // Varied a little, so that servers which start together do not do this together.
        tokio::time::sleep(interval.mul_f64(spread())).await;
        sweep(&database).await;
    }
}

fn spread() -> f64 {
    f64::from(uuid::Uuid::new_v4().as_bytes()[0]).mul_add(0.5 / 255.0, 0.75)
}

async fn sweep(database: &Database) {
    let outcome = async {
        while_full(database, &Expired).await?;
        while_full(database, &Log).await?;
        while_full(database, &Garbage).await
    };
    if let Err(error) = outcome.await {
        // The next round does what this one did not.
        tracing::debug!("collecting ended early: {error}");
    }
}

async fn while_full(
    database: &Database,
    work: &impl Work<Output = bool>,
) -> micro_plugin_api::Result<()> {
    for _ in 0..ROUNDS {
        if !database.run_until(database.default_until(), work).await? {
            break;
        }
    }
    Ok(())
}

/// Records whose expiry has passed. Those that a commit is writing are left alone: waiting for it,
/// with others held, might be a deadlock.
struct Expired;

impl Work for Expired {
    type Output = bool;

    async fn run(&self, connection: &mut PgConnection) -> sqlx::Result<bool> {
        let done = query(concat!(
            "DELETE FROM records WHERE (tbl, head, digest) IN \
             (SELECT tbl, head, digest FROM records WHERE expiry <= ",
            now!(),
            " ORDER BY expiry LIMIT $1 FOR UPDATE SKIP LOCKED) AND expiry <= ",
            now!()
        ))
        .bind(AT_ONCE)
        .execute(connection)
        .await?;
        Ok(done.rows_affected() >= AT_ONCE as u64)
    }
}

/// Changes that are older than anybody may be behind.
struct Log;

impl Work for Log {
    type Output = bool;

    async fn run(&self, connection: &mut PgConnection) -> sqlx::Result<bool> {
        // The log is in the order of its times, but for what the clock was set back.
        let last: Option<i64> = query_scalar(concat!(
            "SELECT max(version) FROM (SELECT version, at FROM changes \
             ORDER BY version, ordinal LIMIT $1) AS oldest WHERE at < ",
            now!(),
            " - $2"
        ))
        .bind(AT_ONCE)
        .bind(LOGGED)
        .fetch_one(&mut *connection)
        .await?;
        let Some(last) = last else {
            return Ok(false);
        };
        let mut transaction = connection.begin().await?;
        query("UPDATE clock SET trimmed = $1 WHERE id = 1 AND trimmed < $1")
            .bind(last)
            .execute(&mut *transaction)
            .await?;
        let done = query("DELETE FROM changes WHERE version <= $1")
            .bind(last)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(done.rows_affected() >= AT_ONCE as u64)
    }
}

/// Some chunks of what was given up first.
struct Garbage;

impl Work for Garbage {
    type Output = bool;

    async fn run(&self, connection: &mut PgConnection) -> sqlx::Result<bool> {
        let mut transaction = connection.begin().await?;
        let blob: Option<Vec<u8>> = query_scalar(concat!(
            "SELECT blob FROM garbage WHERE since < ",
            now!(),
            " - $1 ORDER BY since LIMIT 1 FOR UPDATE SKIP LOCKED"
        ))
        .bind(GARBAGE)
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(blob) = blob else {
            transaction.rollback().await?;
            return Ok(false);
        };
        let done = query(
            "DELETE FROM chunks WHERE blob = $1 AND ordinal IN \
             (SELECT ordinal FROM chunks WHERE blob = $1 ORDER BY ordinal LIMIT $2)",
        )
        .bind(&blob)
        .bind(CHUNKS)
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() < CHUNKS as u64 {
            query("DELETE FROM garbage WHERE blob = $1")
                .bind(&blob)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(true)
    }
}
