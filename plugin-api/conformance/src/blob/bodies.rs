//! Rules about what is written and read: bytes, sizes, keys, namespaces, what is said of a blob.

use bytes::Bytes;
use futures::StreamExt as _;
use micro_plugin_api::{
    BlobHandle, Code,
    blob::{BlobInfo, BlobKey, BlobMeta},
};

use super::{Scope, body, pattern};
use crate::{
    Case,
    check::{Verdict, ensure, fails, same, unique},
    suite::case,
};

pub(super) fn cases() -> Vec<Case<BlobHandle>> {
    vec![
        case!(
            "blob.read.what-was-written",
            what_was_written,
            "A read brings the bytes, their number, and the content type and visibility the writer gave."
        ),
        case!(
            "blob.read.ends",
            ends,
            "What is read of a blob ends after as many bytes as its description says."
        ),
        case!(
            "blob.read.absent",
            absent,
            "Reading a blob that is not there is not_found."
        ),
        case!(
            "blob.key.not-empty",
            empty_key,
            "An empty key is invalid to write."
        ),
        case!(
            "blob.key.any-text",
            any_text,
            "Any other text is a key: paths, wildcards, every script, each distinct."
        ),
        case!(
            "blob.value.empty",
            empty_value,
            "A blob of no bytes is a blob, whether its body has no chunk or an empty one."
        ),
        case!(
            "blob.value.large",
            large,
            "A blob of five mebibytes in chunks of many sizes comes back as it was."
        ),
        case!(
            "blob.value.many-chunks",
            many_chunks,
            "A blob in two thousand chunks of one byte to one kibibyte comes back in order."
        ),
        case!(
            "blob.write.replaces",
            replaces,
            "A write replaces the bytes and what was said of them."
        ),
        case!(
            "blob.delete.removes",
            delete_removes,
            "A deleted blob is gone; deleting what is absent is no error."
        ),
        case!(
            "blob.namespaces.isolated",
            namespaces,
            "Namespaces do not see, overwrite or delete each other's blobs."
        ),
    ]
}

async fn what_was_written(blob: BlobHandle) -> Verdict {
    let scope = Scope::new(blob);
    for (content_type, public) in [("text/plain; charset=utf-8", true), ("", false)] {
        let meta = BlobMeta {
            content_type: content_type.to_owned(),
            public,
        };
        let chunks = ["hel", "", "lo"].map(|chunk| Bytes::from_static(chunk.as_bytes()));
        let written = scope
            .blob
            .write(&scope.call, scope.key("k"), &meta, body(chunks))
            .await?;
        let wanted = BlobInfo {
            key: "k".to_owned(),
            size: 5,
            meta,
        };
        same("the answer to the write", &written, &wanted)?;
        let (info, bytes) = scope.read("k").await?;
        same("the description read", &info, &wanted)?;
        same("the bytes", &bytes[..], b"hello")?;
    }
    Ok(())
}

async fn ends(blob: BlobHandle) -> Verdict {
    let scope = Scope::new(blob);
    for size in [0, 1, 100_000] {
        scope.write("k", body([pattern(size)])).await?;
        let (info, mut chunks) = scope.blob.read(&scope.call, scope.key("k")).await?;
        same("the size that is said", info.size, size as u64)?;
        let mut left = size;
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk?.len();
            ensure!(chunk <= left, "a blob of {size} bytes goes on after them");
            left -= chunk;
        }
        same("bytes that did not come", left, 0)?;
    }
    Ok(())
}

async fn absent(blob: BlobHandle) -> Verdict {
    let scope = Scope::new(blob);
    scope.lacks("never").await?;
    scope.put("a/b", "1").await?;
    for key in ["a", "a/", "a/b/", "A/b", "a/bb"] {
        scope.lacks(key).await?;
    }
    Ok(())
}

async fn empty_key(blob: BlobHandle) -> Verdict {
    let scope = Scope::new(blob);
    fails("an empty key", scope.put("", "x").await, Code::INVALID)?;
    Ok(())
}

async fn any_text(blob: BlobHandle) -> Verdict {
    let scope = Scope::new(blob);
    let keys = [
        "source://name:version",
        "a/b",
        "/a",
        "a/",
        "//",
        "..",
        "../a",
        "a%2Fb",
        "a%b",
        "a_b",
        "a*b?",
        "a\\b",
        "a b",
        " ",
        "a\nb",
        "A",
        "a",
        "é",
        "e\u{301}",
        "日本語",
        "🦀",
        "a'b\"c",
    ];
    for key in keys {
        scope.put(key, &format!("blob {key}")).await?;
    }
    for key in keys {
        scope.holds(key, format!("blob {key}").as_bytes()).await?;
    }
    Ok(())
}

async fn empty_value(blob: BlobHandle) -> Verdict {
    let scope = Scope::new(blob);
    scope.write("none", body([])).await?;
    scope.holds("none", b"").await?;
    scope.put("one", "").await?;
    scope.holds("one", b"").await
}

async fn large(blob: BlobHandle) -> Verdict {
    let scope = Scope::new(blob);
    let value = pattern(5 << 20);
    let (mut chunks, mut rest, mut size) = (Vec::new(), value.clone(), 1);
    while !rest.is_empty() {
        chunks.push(rest.split_to(size.min(rest.len())));
        size = (size * 3) % 1_000_003;
    }
    scope.write("large", body(chunks)).await?;
    scope.holds("large", &value).await?;
    scope.write("large", body([value.clone()])).await?;
    scope.holds("large", &value).await
}

async fn many_chunks(blob: BlobHandle) -> Verdict {
    let scope = Scope::new(blob);
    let value = pattern(2_000 * 513);
    let (mut chunks, mut rest) = (Vec::new(), value.clone());
    for i in 0..2_000 {
        chunks.push(rest.split_to((1 + i * 7 % 1_024).min(rest.len())));
    }
    chunks.push(rest);
    scope.write("chunks", body(chunks)).await?;
    scope.holds("chunks", &value).await
}

async fn replaces(blob: BlobHandle) -> Verdict {
    let scope = Scope::new(blob);
    let meta = BlobMeta {
        content_type: "text/plain".to_owned(),
        public: true,
    };
    let first = body([Bytes::from_static(b"the first, and longer")]);
    scope
        .blob
        .write(&scope.call, scope.key("k"), &meta, first)
        .await?;
    scope.put("k", "second").await?;
    scope.holds("k", b"second").await?;
    same(
        "what is said of it",
        scope.read("k").await?.0.meta,
        BlobMeta::default(),
    )
}

async fn delete_removes(blob: BlobHandle) -> Verdict {
    let scope = Scope::new(blob);
    scope.delete("never").await?;
    scope.put("k", "1").await?;
    scope.put("kk", "2").await?;
    scope.delete("k").await?;
    scope.lacks("k").await?;
    scope.delete("k").await?;
    scope.holds("kk", b"2").await?;
    scope.put("k", "3").await?;
    scope.holds("k", b"3").await
}

async fn namespaces(blob: BlobHandle) -> Verdict {
    let scope = Scope::new(blob);
    let mut other = scope.clone();
    other.namespace = unique("ns");
    scope.put("k", "mine").await?;
    other.lacks("k").await?;
    other.delete("k").await?;
    scope.holds("k", b"mine").await?;
    other.put("k", "theirs").await?;
    scope.holds("k", b"mine").await?;
    // Two pairs that are one path.
    let slashed = BlobKey::new(&scope.namespace, "a/b");
    let namespace = format!("{}/a", scope.namespace);
    let meta = BlobMeta::default();
    let bytes = body([Bytes::from_static(b"1")]);
    scope.blob.write(&scope.call, slashed, &meta, bytes).await?;
    let read = scope
        .blob
        .read(&scope.call, BlobKey::new(&namespace, "b"))
        .await;
    fails("the same path", read.map(|(info, _)| info), Code::NOT_FOUND)?;
    Ok(())
}
