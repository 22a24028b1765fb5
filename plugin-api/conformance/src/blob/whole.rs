//! Rules about being whole or absent: bodies that fail, calls that are dropped, many at once.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use micro_plugin_api::{BlobHandle, Code, Error, blob::BlobMeta};
use tokio::sync::mpsc;

use super::{Scope, body, broken, collected, pattern};
use crate::{
    Case,
    check::{Verdict, ensure, fails, joined, same},
    suite::case,
    wait::eventually,
};

pub(super) fn cases() -> Vec<Case<BlobHandle>> {
    vec![
        case!(
            "blob.write.failed-body",
            failed_body,
            "A write whose body fails fails with that error, and leaves what was there before: nothing, or the old blob."
        ),
        case!(
            "blob.write.cancelled",
            cancelled,
            "A write that is dropped half way leaves what was there before, and lets go of the body."
        ),
        case!(
            "blob.write.unseen-until-whole",
            unseen,
            "While a blob is being written, readers and lists see what was there before."
        ),
        case!(
            "blob.read.steady",
            steady,
            "A reader gets the bytes that were whole when it began, whatever is written meanwhile."
        ),
        case!(
            "blob.read.dropped",
            dropped_reader,
            "A reader that goes away half way harms nothing."
        ),
        case!(
            "blob.write.concurrent",
            concurrent,
            "Of writers of one key at once, one is what is left, whole."
        ),
    ]
}

async fn failed_body(blob: BlobHandle) -> Verdict {
    let scope = Scope::new(blob);
    scope.put("old", "old").await?;
    for chunks in [0, 1, 300] {
        for code in [Code::UNAVAILABLE, Code::INVALID] {
            for key in ["new", "old"] {
                let error = Error::new(code, "the sender went away");
                let result = scope.write(key, broken(chunks, error)).await;
                let error = fails("a failed body", result, code)?;
                same("the message", error.message(), "the sender went away")?;
            }
            scope.lacks("new").await?;
            scope.holds("old", b"old").await?;
        }
    }
    Ok(())
}

/// A body that a case feeds chunk by chunk.
fn fed() -> (mpsc::Sender<Bytes>, micro_plugin_api::ByteStream) {
    let (sender, receiver) = mpsc::channel(1);
    let stream = futures::stream::unfold(receiver, async |mut receiver: mpsc::Receiver<_>| {
        receiver.recv().await.map(|chunk| (Ok(chunk), receiver))
    });
    (sender, stream.boxed())
}

async fn cancelled(blob: BlobHandle) -> Verdict {
    let scope = Scope::new(blob);
    scope.put("old", "old").await?;
    for key in ["new", "old"] {
        let (sender, stream) = fed();
        let writer = tokio::spawn({
            let scope = scope.clone();
            async move { scope.write(key, stream).await }
        });
        for _ in 0..4 {
            let sent = sender.send(Bytes::from(vec![b'x'; 70_000])).await;
            ensure!(sent.is_ok(), "the body was dropped before its end");
        }
        writer.abort();
        let gone = tokio::time::timeout(Duration::from_secs(10), sender.closed()).await;
        ensure!(gone.is_ok(), "the body of a dropped write is held on to");
        let _ = writer.await;
        match key {
            "new" => scope.lacks("new").await?,
            _ => scope.holds("old", b"old").await?,
        }
    }
    scope.put("new", "now").await?;
    scope.holds("new", b"now").await
}

async fn unseen(blob: BlobHandle) -> Verdict {
    let scope = Scope::new(blob);
    scope.put("old", "old").await?;
    let mut writers = Vec::new();
    for key in ["new", "old"] {
        let (sender, stream) = fed();
        let scope = scope.clone();
        let writer = tokio::spawn(async move { scope.write(key, stream).await });
        for _ in 0..4 {
            let sent = sender.send(Bytes::from(vec![b'x'; 70_000])).await;
            ensure!(sent.is_ok(), "the body was dropped before its end");
        }
        writers.push((sender, writer));
    }
    scope.lacks("new").await?;
    scope.holds("old", b"old").await?;
    let query = micro_plugin_api::blob::BlobQuery {
        namespace: &scope.namespace,
        ..Default::default()
    };
    let page = scope.blob.list(&scope.call, &query).await?;
    let listed: Vec<_> = page
        .blobs
        .iter()
        .map(|blob| (blob.key.as_str(), blob.size))
        .collect();
    same("the list", listed, vec![("old", 3)])?;
    for (sender, writer) in writers {
        drop(sender);
        let info = joined(writer).await??;
        same("the size written", info.size, 280_000)?;
    }
    scope.holds("new", &[b'x'; 280_000]).await?;
    scope.holds("old", &[b'x'; 280_000]).await
}

async fn steady(blob: BlobHandle) -> Verdict {
    let scope = Scope::new(blob);
    let old = pattern(3 << 20);
    let meta = BlobMeta::default();
    scope.write("k", body([old.clone()])).await?;
    let (info, mut reader) = scope.blob.read(&scope.call, scope.key("k")).await?;
    let first = reader.next().await.transpose()?.unwrap_or_default();
    let (late_info, late) = scope.blob.read(&scope.call, scope.key("k")).await?;
    let new = body([Bytes::from_static(b"new")]);
    scope
        .blob
        .write(&scope.call, scope.key("k"), &meta, new)
        .await?;
    scope.holds("k", b"new").await?;
    let rest = collected(&info, reader).await?;
    ensure!(
        [first, rest].concat() == old && info.size == old.len() as u64,
        "the reader that had begun did not get the old bytes"
    );
    ensure!(
        collected(&late_info, late).await? == old && late_info.size == old.len() as u64,
        "the reader that had not taken a chunk did not get the old bytes"
    );
    Ok(())
}

async fn dropped_reader(blob: BlobHandle) -> Verdict {
    let scope = Scope::new(blob);
    let value = pattern(3 << 20);
    scope.write("k", body([value.clone()])).await?;
    for chunks in 0..3 {
        let (_, mut reader) = scope.blob.read(&scope.call, scope.key("k")).await?;
        for _ in 0..chunks {
            reader.next().await.transpose()?;
        }
    }
    scope.holds("k", &value).await?;
    scope.delete("k").await?;
    eventually("the blob is gone", async || {
        let read = scope.blob.read(&scope.call, scope.key("k")).await;
        Ok(matches!(read, Err(error) if error.code() == Code::NOT_FOUND))
    })
    .await
}

async fn concurrent(blob: BlobHandle) -> Verdict {
    let scope = Scope::new(blob);
    let writers: Vec<_> = (0..8_u8)
        .map(|writer| {
            let scope = scope.clone();
            tokio::spawn(async move {
                for round in 0..5 {
                    let len = 1_000 * usize::from(writer + 1) + round;
                    let chunks = std::iter::repeat_n(Bytes::from(vec![writer; len]), 20);
                    scope.write("k", body(chunks)).await?;
                    // What is read meanwhile is somebody's, and whole.
                    let (info, bytes) = scope.read("k").await?;
                    let whole =
                        bytes.len() as u64 == info.size && bytes.iter().all(|b| *b == bytes[0]);
                    ensure!(whole, "a blob of {} bytes is mixed or cut", bytes.len());
                }
                Verdict::Ok(())
            })
        })
        .collect();
    for writer in writers {
        joined(writer).await??;
    }
    let (info, bytes) = scope.read("k").await?;
    let len = 20 * (1_000 * (usize::from(bytes[0]) + 1) + 4);
    same("the last size", info.size, len as u64)
}
