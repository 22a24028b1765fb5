//! Rules about listing the blobs of a namespace.

use micro_plugin_api::{
    BlobHandle, Code,
    blob::{BlobInfo, BlobQuery},
    store::Cursor,
};

use super::Scope;
use crate::{
    Case,
    check::{Verdict, ensure, fails, same},
    suite::case,
};

pub(super) fn cases() -> Vec<Case<BlobHandle>> {
    vec![
        case!(
            "blob.list.key-order",
            key_order,
            "A list brings the blobs of one namespace in key order, with their sizes, and none that was deleted."
        ),
        case!(
            "blob.list.prefix-is-literal",
            prefix,
            "A prefix selects the keys that begin with exactly it; nothing in it is a wildcard or a folder."
        ),
        case!(
            "blob.list.empty",
            empty,
            "A list of a namespace that never was, or that matches nothing, is empty."
        ),
        case!(
            "blob.list.walk",
            walk,
            "A walk along the cursors brings every blob once, in order, and no page exceeds its limit."
        ),
        case!(
            "blob.list.walk-after-deletion",
            walk_after_deletion,
            "A walk goes on when the blobs that it has brought are deleted behind it."
        ),
        case!(
            "blob.list.foreign-cursor",
            foreign_cursor,
            "A cursor that was not given by the store is invalid."
        ),
        case!(
            "blob.namespaces.with-blobs",
            namespaces,
            "The namespaces that hold a blob are named, in order and once each; those that never did, or no longer do, are not."
        ),
    ]
}

/// Everything that matches, page by page, calling `between` after each.
async fn list(
    scope: &Scope,
    prefix: &str,
    limit: usize,
    mut between: impl AsyncFnMut(&[BlobInfo]) -> Verdict,
) -> Verdict<Vec<BlobInfo>> {
    let (mut blobs, mut cursor): (Vec<BlobInfo>, Option<Cursor>) = (Vec::new(), None);
    loop {
        let query = BlobQuery {
            namespace: &scope.namespace,
            prefix,
            limit,
            cursor: cursor.as_ref(),
        };
        let page = scope.blob.list(&scope.call, &query).await?;
        ensure!(
            limit == 0 || page.blobs.len() <= limit,
            "{} blobs with limit {limit}",
            page.blobs.len()
        );
        between(&page.blobs).await?;
        blobs.extend(page.blobs);
        match page.next {
            Some(next) => cursor = Some(next),
            None => return Ok(blobs),
        }
    }
}

async fn keys(scope: &Scope, prefix: &str, limit: usize) -> Verdict<Vec<String>> {
    let blobs = list(scope, prefix, limit, async |_| Ok(())).await?;
    Ok(blobs.into_iter().map(|blob| blob.key).collect())
}

async fn key_order(blob: BlobHandle) -> Verdict {
    let scope = Scope::new(blob);
    let mut other = scope.clone();
    other.namespace.push('2');
    other.put("theirs", "x").await?;
    let mut wanted = ["b", "a", "a/b", "B", "ä", "🦀", "\u{ffff}", "a b"].map(str::to_owned);
    for key in &wanted {
        scope.put(key, key).await?;
    }
    scope.put("gone", "x").await?;
    scope.delete("gone").await?;
    wanted.sort();
    let blobs = list(&scope, "", 0, async |_| Ok(())).await?;
    let seen: Vec<_> = blobs.iter().map(|blob| blob.key.clone()).collect();
    same("keys", seen, wanted.to_vec())?;
    let wrong = blobs.iter().find(|blob| blob.size != blob.key.len() as u64);
    same("a blob of a wrong size", wrong, None)
}

async fn prefix(blob: BlobHandle) -> Verdict {
    let scope = Scope::new(blob);
    let mut all = [
        "a%b",
        "axb",
        "a_b",
        "a/b",
        "a/c/d",
        "a",
        "A",
        "source://x:1",
        "é",
        "e\u{301}",
    ]
    .map(str::to_owned);
    for key in &all {
        scope.put(key, "x").await?;
    }
    all.sort();
    for prefix in [
        "",
        "a",
        "a%",
        "a_",
        "a/",
        "a/c",
        "source://",
        "é",
        "e",
        "%",
        "*",
    ] {
        let wanted: Vec<_> = all
            .iter()
            .filter(|key| key.starts_with(prefix))
            .cloned()
            .collect();
        same(
            &format!("prefix {prefix:?}"),
            keys(&scope, prefix, 0).await?,
            wanted,
        )?;
    }
    Ok(())
}

async fn empty(blob: BlobHandle) -> Verdict {
    let scope = Scope::new(blob);
    same(
        "a namespace that never was",
        keys(&scope, "", 0).await?,
        vec![],
    )?;
    scope.put("k", "x").await?;
    same("no match", keys(&scope, "l", 0).await?, vec![])
}

async fn filled(blob: BlobHandle) -> Verdict<(Scope, Vec<String>)> {
    let scope = Scope::new(blob);
    let wanted: Vec<_> = (0..30).map(|i| format!("k/{i:02}")).collect();
    for key in wanted.iter().map(String::as_str).chain(["other"]) {
        scope.put(key, "x").await?;
    }
    Ok((scope, wanted))
}

async fn walk(blob: BlobHandle) -> Verdict {
    let (scope, wanted) = filled(blob).await?;
    for limit in [1, 7, 29, 30, 31] {
        same(
            &format!("limit {limit}"),
            keys(&scope, "k/", limit).await?,
            wanted.clone(),
        )?;
    }
    Ok(())
}

async fn walk_after_deletion(blob: BlobHandle) -> Verdict {
    let (scope, wanted) = filled(blob).await?;
    let blobs = list(&scope, "k/", 4, async |blobs| {
        for blob in blobs {
            scope.delete(&blob.key).await?;
        }
        Ok(())
    })
    .await?;
    let seen: Vec<_> = blobs.into_iter().map(|blob| blob.key).collect();
    same("keys", seen, wanted)
}

async fn foreign_cursor(blob: BlobHandle) -> Verdict {
    let (scope, _) = filled(blob).await?;
    for cursor in ["", "k/03", "{}", "not a cursor of this store"] {
        let cursor = Cursor(cursor.to_owned());
        let query = BlobQuery {
            namespace: &scope.namespace,
            cursor: Some(&cursor),
            ..BlobQuery::default()
        };
        let result = scope.blob.list(&scope.call, &query).await;
        fails(&format!("cursor {:?}", cursor.0), result, Code::INVALID)?;
    }
    Ok(())
}

async fn namespaces(blob: BlobHandle) -> Verdict {
    let scope = Scope::new(blob);
    let mut scopes = vec![scope.clone()];
    for suffix in ["/a", "2", " Ü%@+="] {
        let mut other = scope.clone();
        other.namespace.push_str(suffix);
        scopes.push(other);
    }
    // Others use the same backend.
    let ours = async || -> Verdict<Vec<String>> {
        let all = scope.blob.namespaces(&scope.call).await?;
        ensure!(all.is_sorted(), "namespaces out of order: {all:?}");
        let ours = all.into_iter();
        Ok(ours
            .filter(|name| name.starts_with(&scope.namespace))
            .collect())
    };
    same("before any blob", ours().await?, vec![])?;
    for scope in &scopes {
        scope.put("a", "x").await?;
        scope.put("b/c", "x").await?;
    }
    let mut wanted: Vec<_> = scopes.iter().map(|scope| scope.namespace.clone()).collect();
    wanted.sort();
    same("namespaces", ours().await?, wanted)?;
    for scope in &scopes {
        scope.delete("a").await?;
    }
    scopes[0].delete("b/c").await?;
    let mut wanted: Vec<_> = scopes[1..].iter().map(|s| s.namespace.clone()).collect();
    wanted.sort();
    same("after deletion", ours().await?, wanted)
}
