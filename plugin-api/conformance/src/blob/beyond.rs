//! What only a blob store does that promises it: to last, and to be shared.

use bytes::Bytes;
use micro_plugin_api::BlobHandle;

use super::{Scope, body, pattern};
use crate::{
    Case,
    check::Verdict,
    suite::{reopened, together},
};

pub(super) fn cases() -> Vec<Case<BlobHandle>> {
    vec![
        reopened!(
            "blob.durable.whole",
            fill,
            is_there,
            "What was written is there when the blob store is opened again, and what was deleted is not."
        ),
        together!(
            "blob.shared.whole",
            shares,
            "What one instance writes or deletes another finds so at once."
        ),
    ]
}

/// Large enough to be stored in pieces.
fn large() -> Bytes {
    pattern(3_000_000)
}

async fn fill(blob: BlobHandle, namespace: String) -> Verdict {
    let scope = Scope::of(blob, namespace);
    scope.put("small", "one").await?;
    scope.put("small", "two").await?;
    scope.write("large", body([large()])).await?;
    scope.put("gone", "x").await?;
    scope.delete("gone").await?;
    Ok(())
}

async fn is_there(blob: BlobHandle, namespace: String) -> Verdict {
    let scope = Scope::of(blob, namespace);
    scope.holds("small", b"two").await?;
    scope.holds("large", &large()).await?;
    scope.lacks("gone").await
}

async fn shares(one: BlobHandle, other: BlobHandle) -> Verdict {
    let one = Scope::new(one);
    let other = Scope::of(other, one.namespace.clone());
    one.write("large", body([large()])).await?;
    other.holds("large", &large()).await?;
    other.put("large", "small").await?;
    one.holds("large", b"small").await?;
    one.delete("large").await?;
    other.lacks("large").await
}
