//! What a run waits for: a node of its own that is well, or the end of its process.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures::StreamExt;
use micro_modules::Modules;
use micro_plugin_api::{
    Call, Result,
    registry::{Change, Filter, Node, Service},
    runtime::{InstanceChange, InstanceKey, LogOptions, State},
};

use super::health::Check;

/// How long to wait before a module is asked again that could not answer.
const RETRY: Duration = Duration::from_millis(250);

/// The lines of output that an error shows.
const OUTPUT_LINES: usize = 20;

/// How long the output may pause before it counts as complete, once the program has ended.
const OUTPUT_PAUSE: Duration = Duration::from_millis(500);

fn filter(key: &InstanceKey) -> Filter {
    Filter {
        domain: Some(key.namespace.clone()),
        name: Some(key.name.clone()),
    }
}

/// The ids of the nodes that are registered for `key`.
pub(crate) async fn nodes(modules: &Modules, call: &Call, key: &InstanceKey) -> Result<Vec<Node>> {
    let services = modules.registry().list(call, &filter(key)).await?;
    let own = services
        .into_iter()
        .filter(|service| service.version == key.version);
    Ok(own.flat_map(|service| service.nodes).collect())
}

/// Removes the nodes of `key` that are not in `before`: what was killed cannot do so itself.
pub(crate) async fn deregister(
    modules: &Modules,
    call: &Call,
    key: &InstanceKey,
    before: &BTreeSet<String>,
) -> Result<()> {
    let mut left = nodes(modules, call, key).await?;
    left.retain(|node| !before.contains(&node.id));
    if left.is_empty() {
        return Ok(());
    }
    let service = Service {
        domain: key.namespace.clone(),
        name: key.name.clone(),
        version: key.version.clone(),
        nodes: left,
        ..Service::default()
    };
    modules.registry().deregister(call, &service).await
}

/// Waits until a node of `key` that is not in `before` passes `check`. `problem` always holds what
/// is still missing.
pub(crate) async fn ready(
    modules: &Modules,
    call: &Call,
    key: &InstanceKey,
    before: &BTreeSet<String>,
    problem: &mut String,
    check: &Check<'_>,
) {
    loop {
        let Ok(mut changes) = modules.registry().watch(call, &filter(key)).await else {
            tokio::time::sleep(RETRY).await;
            continue;
        };
        let mut candidates: BTreeMap<String, Node> = BTreeMap::new();
        loop {
            for node in candidates.values() {
                match check.ask(node).await {
                    Ok(()) => return,
                    Err(why) => *problem = format!("registered, but {why}"),
                }
            }
            // A node that is not well yet is asked again, whether the registry has news or not.
            let news = if candidates.is_empty() {
                changes.next().await
            } else {
                match tokio::time::timeout(RETRY, changes.next()).await {
                    Ok(news) => news,
                    Err(_) => continue,
                }
            };
            match news {
                Some(Ok(
                    Change::Present(service) | Change::Created(service) | Change::Updated(service),
                )) if service.version == key.version => {
                    let new = service
                        .nodes
                        .into_iter()
                        .filter(|node| !before.contains(&node.id));
                    candidates = new.map(|node| (node.id.clone(), node)).collect();
                }
                Some(Ok(Change::Deleted(service))) if service.version == key.version => {
                    candidates.clear();
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => break,
            }
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Waits until the process of `key` has ended, and tells how.
pub(crate) async fn exited(modules: &Modules, call: &Call, key: &InstanceKey) -> String {
    loop {
        let Ok(mut changes) = modules.runtime().watch(call).await else {
            tokio::time::sleep(RETRY).await;
            continue;
        };
        let mut seen = false;
        while let Some(Ok(change)) = changes.next().await {
            match change {
                InstanceChange::Present(instance) | InstanceChange::Exited(instance)
                    if instance.key == *key =>
                {
                    seen = true;
                    if let State::Exited(exit) = instance.state {
                        return exit.to_string();
                    }
                }
                InstanceChange::Stopped(instance) if instance.key == *key => {
                    return "stopped by the runtime".to_owned();
                }
                InstanceChange::Synced if !seen => return "gone from the runtime".to_owned(),
                _ => {}
            }
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// What a program prints from now on: opened before it starts, since its log may hold the words of
/// earlier runs.
pub(crate) struct Output {
    /// `None` when there was no log yet: then all of it is this run's.
    lines: Option<micro_plugin_api::BoxStream<Result<micro_plugin_api::runtime::LogLine>>>,
}

impl Output {
    pub(crate) async fn open(modules: &Modules, call: &Call, key: &InstanceKey) -> Self {
        let options = LogOptions {
            tail: Some(0),
            follow: true,
            ..LogOptions::default()
        };
        let lines = modules.runtime().logs(call, key, &options).await;
        Self { lines: lines.ok() }
    }

    /// The last lines.
    pub(crate) async fn take(
        self,
        modules: &Modules,
        call: &Call,
        key: &InstanceKey,
    ) -> Vec<String> {
        let mut kept = std::collections::VecDeque::new();
        let mut lines = match self.lines {
            Some(lines) => lines,
            None => match modules.runtime().logs(call, key, &last_lines()).await {
                Ok(lines) => lines,
                Err(_) => return Vec::new(),
            },
        };
        while let Ok(Some(Ok(line))) = tokio::time::timeout(OUTPUT_PAUSE, lines.next()).await {
            if kept.len() == OUTPUT_LINES {
                kept.pop_front();
            }
            kept.push_back(line.text);
        }
        kept.into()
    }

    /// The last lines of a program that ran for a while.
    pub(crate) fn of_the_log() -> Self {
        Self { lines: None }
    }
}

fn last_lines() -> LogOptions {
    LogOptions {
        tail: Some(OUTPUT_LINES as u64),
        ..LogOptions::default()
    }
}
