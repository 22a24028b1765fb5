//! Rules about a topic's past.

use micro_plugin_api::{StreamHandle, stream::HistoryQuery};

use super::{LONG, Scope, acking, failed, from_the_start, member, text};
use crate::{
    Case,
    check::{Verdict, all, ensure, same, unix_millis},
    suite::case,
    wait::eventually,
};

pub(super) fn cases() -> Vec<Case<StreamHandle>> {
    vec![
        case!(
            "stream.history.limit-and-offset",
            limit_and_offset,
            "History comes the oldest first; offset leaves out the first, limit the last."
        ),
        case!(
            "stream.history.from",
            from,
            "From a moment on, by the clock of intake; the offset counts from there."
        ),
        case!(
            "stream.history.unknown",
            unknown,
            "A topic that has no events has an empty history."
        ),
        case!(
            "stream.history.ends",
            ends,
            "History ends with the last event of when it was asked for."
        ),
        case!(
            "stream.history.stays",
            stays,
            "What was consumed and acknowledged is still in the history."
        ),
        case!(
            "stream.history.published",
            published,
            "What was published is in the history once publishing has answered."
        ),
    ]
}

fn page(offset: u64, limit: u64) -> HistoryQuery {
    HistoryQuery {
        offset,
        limit,
        ..HistoryQuery::default()
    }
}

async fn limit_and_offset(stream: StreamHandle) -> Verdict {
    let scope = Scope::new(stream);
    let all: Vec<_> = (0..150).map(|i| i.to_string()).collect();
    for batch in all.chunks(7) {
        let batch: Vec<_> = batch.iter().map(String::as_str).collect();
        scope.publish_all(&batch).await?;
    }
    for (offset, limit) in [
        (0, 0),
        (0, 1),
        (0, 100),
        (5, 10),
        (149, 10),
        (100, 0),
        (0, 1_000),
        (150, 10),
        (u64::MAX, 1),
        (3, u64::MAX),
    ] {
        let events = scope.history(page(offset, limit)).await?;
        let seen: Vec<_> = events.iter().map(text).collect();
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let most = match usize::try_from(limit).unwrap_or(usize::MAX) {
            0 => usize::MAX,
            most => most,
        };
        let wanted: Vec<_> = all.iter().skip(from).take(most).cloned().collect();
        same(&format!("offset {offset}, limit {limit}"), seen, wanted)?;
    }
    Ok(())
}

async fn from(stream: StreamHandle) -> Verdict {
    let scope = Scope::new(stream);
    scope.publish_all(&["a", "b"]).await?;
    let first = scope.history(page(0, 1)).await?;
    let first = first
        .first()
        .ok_or_else(|| failed("it is not there"))?
        .ingested;
    eventually("the clock goes on", async || Ok(unix_millis() > first + 20)).await?;
    scope.publish_all(&["c", "d"]).await?;
    let third = scope.history(page(2, 1)).await?;
    let third = third
        .first()
        .ok_or_else(|| failed("it is not there"))?
        .ingested;
    for (from, offset, wanted) in [
        (third, 0, vec!["c", "d"]),
        (third, 1, vec!["d"]),
        (third, 2, vec![]),
        (first, 0, vec!["a", "b", "c", "d"]),
        (first, 3, vec!["d"]),
        (third + 3_600_000, 0, vec![]),
        (u64::MAX, 0, vec![]),
    ] {
        let query = HistoryQuery {
            from,
            ..page(offset, 0)
        };
        let events = scope.history(query).await?;
        let seen: Vec<_> = events.iter().map(text).collect();
        same(
            &format!("offset {offset}"),
            seen,
            wanted.into_iter().map(str::to_owned).collect(),
        )?;
    }
    Ok(())
}

async fn unknown(stream: StreamHandle) -> Verdict {
    let scope = Scope::new(stream);
    same(
        "events",
        scope.history(HistoryQuery::default()).await?.len(),
        0,
    )?;
    let mut consumer = scope.consume(&from_the_start()).await?;
    same("events", scope.history(page(0, 1)).await?.len(), 0)?;
    scope.publish("a").await?;
    same("what comes", consumer.text().await?, "a".to_owned())
}

async fn ends(stream: StreamHandle) -> Verdict {
    let scope = Scope::new(stream);
    scope.publish_all(&["a", "b"]).await?;
    let query = HistoryQuery::default();
    let read = scope
        .stream
        .history(&scope.call(), &scope.topic, &query)
        .await?;
    scope.publish("c").await?;
    let read = tokio::time::timeout(super::PATIENCE, all(read)).await;
    let events = read.map_err(|_| failed("it does not end"))??;
    ensure!(events.len() == 2, "{} events instead of 2", events.len());
    Ok(())
}

async fn stays(stream: StreamHandle) -> Verdict {
    let scope = Scope::new(stream);
    scope.publish_all(&["a", "b"]).await?;
    let mut consumer = scope.consume(&acking(member("group"), LONG)).await?;
    for _ in 0..2 {
        let delivery = consumer.next().await?;
        scope.ack(&delivery).await?;
    }
    drop(consumer);
    same("the history", scope.payloads().await?.len(), 2)
}

async fn published(stream: StreamHandle) -> Verdict {
    let scope = Scope::new(stream);
    for i in 0..50 {
        let id = scope.publish("a").await?;
        let last = scope.history(page(i, 0)).await?;
        let seen: Vec<_> = last.into_iter().map(|event| event.id).collect();
        same("the last of the history", seen, vec![id])?;
    }
    Ok(())
}
