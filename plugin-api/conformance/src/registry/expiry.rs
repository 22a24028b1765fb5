//! Rules about nodes that are not renewed.

use std::time::{Duration, Instant};

use micro_plugin_api::{RegistryHandle, registry::Change};

use super::{Scope, node_ids};
use crate::{
    Case,
    check::{Verdict, ensure, same},
    suite::case,
    wait::eventually,
};

pub(super) fn cases() -> Vec<Case<RegistryHandle>> {
    vec![
        case!(
            "registry.expiry.list",
            list,
            "A node is listed for the length of its ttl after registering, and not afterwards."
        ),
        case!(
            "registry.expiry.one-by-one",
            one_by_one,
            "Nodes of one service expire one by one; those without a ttl stay."
        ),
        case!(
            "registry.expiry.renewed",
            renewed,
            "Registering again begins the ttl anew, with the new length, or ends it."
        ),
        case!(
            "registry.expiry.watch",
            watch,
            "To a watch, the expiry of a node is an update, and that of the last one a deletion."
        ),
    ]
}

const TTL: Duration = Duration::from_millis(200);

/// When a registering call was made: the ttl began somewhere between.
struct Registered {
    asked: Instant,
    answered: Instant,
    ttl: Duration,
}

impl Registered {
    async fn node(scope: &Scope, id: &str, ttl: Duration) -> Verdict<Self> {
        let asked = Instant::now();
        scope.register_for(&scope.service("s", &[id]), ttl).await?;
        Ok(Self {
            asked,
            answered: Instant::now(),
            ttl,
        })
    }

    /// Checks one answer, asked for at `before` and come at `after`, against the ttl.
    fn check(&self, there: bool, before: Instant, after: Instant) -> Verdict {
        if there {
            let late = before.saturating_duration_since(self.answered + self.ttl);
            ensure!(late.is_zero(), "a node is there {late:?} after its ttl");
        } else {
            let early = (self.asked + self.ttl).saturating_duration_since(after);
            ensure!(early.is_zero(), "a node is gone {early:?} before its ttl");
        }
        Ok(())
    }
}

async fn list(registry: RegistryHandle) -> Verdict {
    let scope = Scope::new(registry);
    let registered = Registered::node(&scope, "n", TTL).await?;
    eventually("the service is gone with its only node", async || {
        let before = Instant::now();
        let there = !scope.list().await?.is_empty();
        registered.check(there, before, Instant::now())?;
        Ok(!there)
    })
    .await
}

async fn one_by_one(registry: RegistryHandle) -> Verdict {
    let scope = Scope::new(registry);
    scope.register(&scope.service("s", &["stays"])).await?;
    let first = Registered::node(&scope, "first", TTL).await?;
    let second = Registered::node(&scope, "second", TTL * 2).await?;
    eventually("both nodes have expired", async || {
        let before = Instant::now();
        let ids = scope.nodes("s").await?;
        let after = Instant::now();
        let there = |wanted: &str| ids.iter().any(|id| id == wanted);
        first.check(there("first"), before, after)?;
        second.check(there("second"), before, after)?;
        ensure!(there("stays"), "the node without a ttl is gone");
        Ok(ids.len() == 1)
    })
    .await
}

async fn renewed(registry: RegistryHandle) -> Verdict {
    let scope = Scope::new(registry);
    Registered::node(&scope, "longer", TTL).await?;
    Registered::node(&scope, "for-good", TTL).await?;
    Registered::node(&scope, "witness", TTL).await?;
    let shorter = scope.service("s", &["shorter"]);
    scope
        .register_for(&shorter, Duration::from_secs(3_600))
        .await?;
    Registered::node(&scope, "longer", Duration::from_secs(3_600)).await?;
    scope.register(&scope.service("s", &["for-good"])).await?;
    Registered::node(&scope, "shorter", TTL).await?;
    eventually("the shorter nodes have expired", async || {
        let ids = scope.nodes("s").await?;
        Ok(!ids.iter().any(|id| id == "witness" || id == "shorter"))
    })
    .await?;
    let wanted = ["for-good", "longer"].map(str::to_owned).to_vec();
    same("the nodes", scope.nodes("s").await?, wanted)
}

async fn watch(registry: RegistryHandle) -> Verdict {
    let scope = Scope::new(registry);
    let mut changes = scope.watch(&scope.filter()).await?;
    same("the snapshot", changes.snapshot().await?, vec![])?;
    let first = Registered::node(&scope, "a", TTL).await?;
    let second = Registered::node(&scope, "b", TTL * 2).await?;
    let mut seen = Vec::new();
    loop {
        match changes.next().await? {
            Change::Created(service) | Change::Updated(service) => {
                let ids = node_ids(&service);
                if ids == ["b"] {
                    first.check(false, Instant::now(), Instant::now())?;
                }
                seen.push(ids);
            }
            Change::Deleted(service) => {
                second.check(false, Instant::now(), Instant::now())?;
                same(
                    "the deleted service's nodes",
                    node_ids(&service),
                    vec!["b".to_owned()],
                )?;
                break;
            }
            other => ensure!(false, "{other:?} is no change"),
        }
    }
    let wanted = [vec!["a"], vec!["a", "b"], vec!["b"]];
    let wanted = wanted.map(|ids| ids.into_iter().map(str::to_owned).collect());
    same("the nodes, change by change", seen, wanted.to_vec())
}
