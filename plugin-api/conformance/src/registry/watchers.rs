//! Rules about many watchers: none is missed, none is in another's way.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use futures::StreamExt as _;
use micro_plugin_api::{Code, RegistryHandle, registry::Change};

use super::{Changes, Scope, node_ids, sorted};
use crate::{
    Case,
    check::{Stop, Verdict, ensure, joined, same},
    suite::case,
};

pub(super) fn cases() -> Vec<Case<RegistryHandle>> {
    vec![
        case!(
            "registry.watch.no-gap",
            no_gap,
            "Between the snapshot and the changes nothing is missed, whoever registers meanwhile."
        ),
        case!(
            "registry.watch.each-sees-all",
            each_sees_all,
            "Every watcher is told of every change."
        ),
        case!(
            "registry.watch.slow",
            slow,
            "A watcher that does not read holds up neither calls nor other watchers; it is told everything in the end, or that it must watch again."
        ),
        case!(
            "registry.watch.dropped",
            dropped,
            "A watcher that goes away harms nothing."
        ),
    ]
}

/// What a watcher knows: the ids of the nodes of each service.
type Known = BTreeMap<String, Vec<String>>;

fn learn(known: &mut Known, change: Change) -> Verdict {
    match change {
        Change::Present(service) | Change::Created(service) => {
            let had = known.insert(service.name.clone(), node_ids(&service));
            ensure!(had.is_none(), "{} was told of as new twice", service.name);
        }
        Change::Updated(service) => {
            let had = known.insert(service.name.clone(), node_ids(&service));
            ensure!(
                had.is_some(),
                "{} was updated before it was told of",
                service.name
            );
        }
        Change::Deleted(service) => {
            let had = known.remove(&service.name);
            ensure!(
                had.is_some(),
                "{} was deleted before it was told of",
                service.name
            );
        }
        _ => {}
    }
    Ok(())
}

async fn known_now(scope: &Scope) -> Verdict<Known> {
    let services = scope.list().await?;
    Ok(services
        .into_iter()
        .map(|s| (s.name.clone(), node_ids(&s)))
        .collect())
}

/// Reads until the service `end` is told of.
async fn learn_until(watch: &mut Changes, known: &mut Known, end: &str) -> Verdict {
    while !known.contains_key(end) {
        learn(known, watch.next().await?)?;
    }
    Ok(())
}

async fn no_gap(registry: RegistryHandle) -> Verdict {
    let scope = Scope::new(registry);
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let scope = scope.clone();
            tokio::spawn(async move {
                for i in 0..40 {
                    let name = format!("s{}", (i + writer) % 10);
                    let id = format!("n{writer}");
                    let service = scope.service(&name, &[&id]);
                    scope.register(&service).await?;
                    if i % 3 == 0 {
                        scope.deregister(&service).await?;
                    }
                    tokio::task::yield_now().await;
                }
                Verdict::Ok(())
            })
        })
        .collect();
    let mut watches = Vec::new();
    for _ in 0..10 {
        watches.push(scope.watch(&scope.filter()).await?);
        tokio::task::yield_now().await;
    }
    for writer in writers {
        joined(writer).await??;
    }
    let wanted = known_now(&scope).await?;
    scope.register(&scope.service("the-end", &["n"])).await?;
    for mut watch in watches {
        let mut known = Known::new();
        learn_until(&mut watch, &mut known, "the-end").await?;
        known.remove("the-end");
        same("what a watcher knows", known, wanted.clone())?;
    }
    Ok(())
}

async fn each_sees_all(registry: RegistryHandle) -> Verdict {
    let scope = Scope::new(registry);
    let mut watches = Vec::new();
    for _ in 0..20 {
        let mut watch = scope.watch(&scope.filter()).await?;
        watch.snapshot().await?;
        watches.push(watch);
    }
    let services: Vec<_> = (0..20)
        .map(|i| scope.service(&format!("s{i}"), &["n"]))
        .collect();
    for service in &services {
        scope.register(service).await?;
    }
    for watch in &mut watches {
        for service in &services {
            same(
                "the change",
                watch.next().await?,
                Change::Created(service.clone()),
            )?;
        }
    }
    Ok(())
}

/// More changes than any watcher should be kept waiting with.
const MANY: usize = 5_000;

async fn slow(registry: RegistryHandle) -> Verdict {
    let scope = Scope::new(registry);
    scope.register(&scope.service("s", &["n"])).await?;
    let mut slow = scope.watch(&scope.filter()).await?;
    let mut fast = scope.watch(&scope.filter()).await?;
    fast.snapshot().await?;
    let slowest = Duration::from_secs(2);
    for i in 0..MANY {
        let mut service = scope.service("s", &["n"]);
        service.metadata = [("i".to_owned(), i.to_string())].into();
        let begun = Instant::now();
        scope.register(&service).await?;
        let took = begun.elapsed();
        ensure!(
            took < slowest,
            "registering took {took:?} because of a watcher that does not read"
        );
        let change = fast.next().await?;
        same(
            "the change that the other watcher sees",
            change,
            Change::Updated(service),
        )?;
    }
    scope.register(&scope.service("the-end", &["n"])).await?;
    let wanted = known_now(&scope).await?;
    let mut known = Known::new();
    let patience = Duration::from_secs(20);
    let told = tokio::time::timeout(patience, told(&mut slow, &mut known)).await;
    match told {
        Ok(verdict) => {
            if !verdict? {
                // It was told to watch again, and then knows.
                known.clear();
                let mut again = scope.watch(&scope.filter()).await?;
                learn_until(&mut again, &mut known, "the-end").await?;
            }
        }
        Err(_) => {
            return Err(Stop(format!(
                "the slow watcher knows {known:?} after {patience:?}"
            )));
        }
    }
    same("what the slow watcher knows", known, wanted)
}

/// Reads to the end of the story: true when it was told everything, false when it was told to
/// watch again, with an error that says it may.
async fn told(watch: &mut Changes, known: &mut Known) -> Verdict<bool> {
    while !known.contains_key("the-end") {
        match watch.0.next().await {
            Some(Ok(
                Change::Present(service) | Change::Created(service) | Change::Updated(service),
            )) => {
                let service = sorted(service);
                known.insert(service.name.clone(), node_ids(&service));
            }
            Some(Ok(Change::Deleted(service))) => {
                known.remove(&service.name);
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                ensure!(
                    error.code() == Code::UNAVAILABLE && error.is_retryable(),
                    "the slow watcher ended with {}, which does not say that it may watch again",
                    error.code()
                );
                return Ok(false);
            }
            None => return Ok(false),
        }
    }
    Ok(true)
}

async fn dropped(registry: RegistryHandle) -> Verdict {
    let scope = Scope::new(registry);
    let mut stays = scope.watch(&scope.filter()).await?;
    stays.snapshot().await?;
    for i in 0..50 {
        let mut goes = scope.watch(&scope.filter()).await?;
        if i % 2 == 0 {
            goes.snapshot().await?;
        }
        drop(goes);
        let service = scope.service(&format!("s{i}"), &["n"]);
        scope.register(&service).await?;
        same("the change", stays.next().await?, Change::Created(service))?;
    }
    Ok(())
}
