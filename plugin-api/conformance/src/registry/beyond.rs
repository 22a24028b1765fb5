//! What only a registry does that promises it: to be shared.

use micro_plugin_api::{RegistryHandle, registry::Change};

use super::Scope;
use crate::{
    Case,
    check::{Verdict, ensure, same},
    suite::together,
    wait::eventually,
};

pub(super) fn cases() -> Vec<Case<RegistryHandle>> {
    vec![together!(
        "registry.shared.services",
        shares,
        "What is registered or deregistered at one instance is soon listed and told so at another."
    )]
}

async fn shares(one: RegistryHandle, other: RegistryHandle) -> Verdict {
    let one = Scope::new(one);
    let other = Scope::of(other, one.domain.clone());
    let service = one.service("greeter", &["a", "b"]);
    let mut changes = other.watch(&other.filter()).await?;
    same("what was there", changes.snapshot().await?, Vec::new())?;
    one.register(&service).await?;
    let (mut last, mut nodes) = (None, 0);
    // A backend may tell of one node after the other.
    while nodes < 2 {
        let change = changes.next().await?;
        let (Change::Created(told) | Change::Updated(told)) = &change else {
            last = Some(change);
            break;
        };
        nodes = told.nodes.len();
    }
    ensure!(last.is_none(), "{last:?} came instead of the service");
    eventually("the other instance lists both nodes", async || {
        Ok(other.nodes("greeter").await? == ["a", "b"])
    })
    .await?;
    other.deregister(&service).await?;
    eventually("neither instance lists the service", async || {
        Ok(one.list().await?.is_empty() && other.list().await?.is_empty())
    })
    .await
}
