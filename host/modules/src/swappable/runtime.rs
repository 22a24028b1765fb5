//! Programs through what is live.

use std::{
    collections::{BTreeMap, VecDeque},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::Stream;
use micro_plugin_api::{
    BoxFuture, BoxStream, Call, Result, Runtime, RuntimeHandle,
    runtime::{
        Instance, InstanceChange, InstanceKey, LogLine, LogOptions, Spec, State, StopOptions,
    },
};

use crate::{live::Live, moving::Resume, slot::Slot};

/// The runtime that is live.
pub(crate) struct SwappableRuntime(pub(crate) Arc<Slot<RuntimeHandle>>);

impl Runtime for SwappableRuntime {
    async fn start(&self, call: &Call, spec: &Spec) -> Result<Instance> {
        let _pass = self.0.gate.write(call).await?;
        self.0.live()?.handle.start(call, spec).await
    }

    async fn stop(&self, call: &Call, key: &InstanceKey, options: &StopOptions) -> Result<()> {
        let _pass = self.0.gate.write(call).await?;
        self.0.live()?.handle.stop(call, key, options).await
    }

    async fn list(&self, call: &Call, namespace: Option<&str>) -> Result<Vec<Instance>> {
        let _pass = self.0.gate.read(call).await?;
        self.0.live()?.handle.list(call, namespace).await
    }

    async fn logs(
        &self,
        call: &Call,
        key: &InstanceKey,
        options: &LogOptions,
    ) -> Result<BoxStream<Result<LogLine>>> {
        let _pass = self.0.gate.read(call).await?;
        let live = self.0.live()?;
        let lines = live.handle.logs(call, key, options).await?;
        Ok(Box::pin(Held { _live: live, lines }))
    }

    async fn watch(&self, call: &Call) -> Result<BoxStream<Result<InstanceChange>>> {
        let _pass = self.0.gate.write(call).await?;
        let live = self.0.live()?;
        let source = live.handle.watch(call).await?;
        let resume = Watch {
            known: BTreeMap::new(),
            snapshot: None,
        };
        Ok(self.0.moving(live, source, resume))
    }

    async fn health(&self, call: &Call) -> Result<()> {
        let _pass = self.0.gate.read(call).await?;
        self.0.live()?.handle.health(call).await
    }
}

/// Lines that are read to their end from the instance that they began with.
struct Held {
    lines: BoxStream<Result<LogLine>>,
    _live: Arc<Live<RuntimeHandle>>,
}

impl Stream for Held {
    type Item = Result<LogLine>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.lines.as_mut().poll_next(context)
    }
}

/// A watch. It knows what its reader was told, and tells the difference to what another runtime
/// begins with.
struct Watch {
    known: BTreeMap<InstanceKey, Instance>,
    snapshot: Option<BTreeMap<InstanceKey, Instance>>,
}

impl Resume<RuntimeHandle> for Watch {
    type Item = InstanceChange;
    const COLLECTS: bool = false;

    fn open(
        &self,
        live: &Live<RuntimeHandle>,
    ) -> BoxFuture<'static, Result<BoxStream<Result<InstanceChange>>>> {
        let handle = live.handle.clone();
        Box::pin(async move { handle.watch(&super::resuming()).await })
    }

    fn pass(&mut self, change: InstanceChange, ready: &mut VecDeque<InstanceChange>) {
        let known = self.snapshot.as_mut().unwrap_or(&mut self.known);
        match &change {
            InstanceChange::Present(instance)
            | InstanceChange::Started(instance)
            | InstanceChange::Exited(instance) => {
                known.insert(instance.key.clone(), instance.clone());
            }
            InstanceChange::Stopped(instance) => {
                known.remove(&instance.key);
            }
            _ => {}
        }
        match self.snapshot.take() {
            None => ready.push_back(change),
            Some(now) if matches!(change, InstanceChange::Synced) => {
                self.difference(now, ready);
            }
            unsynced => self.snapshot = unsynced,
        }
    }

    fn moved(&mut self, _: &Arc<Live<RuntimeHandle>>, _same: bool) {
        self.snapshot = Some(BTreeMap::new());
    }
}

impl Watch {
    fn difference(
        &mut self,
        now: BTreeMap<InstanceKey, Instance>,
        ready: &mut VecDeque<InstanceChange>,
    ) {
        for (key, instance) in &self.known {
            if !now.contains_key(key) {
                ready.push_back(InstanceChange::Stopped(instance.clone()));
            }
        }
        for (key, instance) in &now {
            if self.known.get(key) != Some(instance) {
                ready.push_back(match instance.state {
                    State::Running => InstanceChange::Started(instance.clone()),
                    _ => InstanceChange::Exited(instance.clone()),
                });
            }
        }
        self.known = now;
    }
}
