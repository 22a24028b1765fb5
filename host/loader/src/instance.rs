//! An opened instance, from its opening on a thread of its own to its shutdown.

use std::{io, thread, time::Duration};

use micro_plugin_api::{
    __abi::host::{Connection, Opened},
    BlobHandle, BrokerHandle, Call, Error, Host, RegistryHandle, Result, RuntimeHandle,
    StoreHandle, StreamHandle,
};
use tokio::{sync::oneshot, time};

use crate::LoadError;

/// How long an instance that came too late may take to shut down.
const LATE: Duration = Duration::from_secs(5);

/// An opened instance of a plugin. Clones are the same instance; it is dropped with the last of
/// them and of the handles and streams that come from it.
#[derive(Clone)]
pub struct Instance {
    plugin: String,
    opened: Opened,
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instance")
            .field("plugin", &self.plugin)
            .finish_non_exhaustive()
    }
}

pub(crate) async fn open(
    plugin: &str,
    connection: Connection,
    settings: String,
    host: Host,
    deadline: Duration,
) -> Result<Instance, LoadError> {
    let (sender, receiver) = oneshot::channel();
    let name = plugin.to_owned();
    spawn("open", plugin, move || {
        let opened = connection.open(&settings, &host).map(|opened| Instance {
            plugin: name,
            opened,
        });
        // Nobody waits any more: it must not stay open behind everybody's back.
        if let Err(Ok(late)) = sender.send(opened) {
            tracing::warn!(
                plugin = late.plugin,
                "the plugin opened too late and is shut down again"
            );
            if let Err(error) = late.finish(LATE) {
                tracing::warn!(%error, "a plugin that opened too late");
            }
        }
    })
    .map_err(|error| {
        LoadError::open(
            plugin,
            Error::unavailable(format!("no thread for it: {error}")),
        )
    })?;
    match time::timeout(deadline, receiver).await {
        Ok(Ok(opened)) => opened.map_err(|error| LoadError::open(plugin, error)),
        // The thread ended without an answer: only a panic of ours could do that.
        Ok(Err(_)) => Err(LoadError::open(
            plugin,
            Error::internal("its thread ended early"),
        )),
        Err(_) => Err(LoadError::OpenTimeout {
            plugin: plugin.to_owned(),
            deadline,
        }),
    }
}

fn spawn(what: &str, plugin: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new()
        .name(format!("{what}:{plugin}"))
        .spawn(body)
        .map(drop)
}

impl Instance {
    /// What the plugin is called here.
    pub fn plugin(&self) -> &str {
        &self.plugin
    }

    /// Its store, if it has that module.
    pub fn store(&self) -> Option<StoreHandle> {
        self.opened.store()
    }

    /// Its blob store, if it has that module.
    pub fn blob(&self) -> Option<BlobHandle> {
        self.opened.blob()
    }

    /// Its stream, if it has that module.
    pub fn stream(&self) -> Option<StreamHandle> {
        self.opened.stream()
    }

    /// Its broker, if it has that module.
    pub fn broker(&self) -> Option<BrokerHandle> {
        self.opened.broker()
    }

    /// Its registry, if it has that module.
    pub fn registry(&self) -> Option<RegistryHandle> {
        self.opened.registry()
    }

    /// Its runtime, if it has that module.
    pub fn runtime(&self) -> Option<RuntimeHandle> {
        self.opened.runtime()
    }

    /// How often the plugin panicked in this instance.
    pub fn panics(&self) -> u64 {
        self.opened.panics()
    }

    /// The health of each module that it has, by the module's name.
    pub async fn health(&self, call: &Call) -> Vec<(&'static str, Result<()>)> {
        let mut health = Vec::new();
        if let Some(store) = self.store() {
            health.push(("store", store.health(call).await));
        }
        if let Some(blob) = self.blob() {
            health.push(("blob", blob.health(call).await));
        }
        if let Some(stream) = self.stream() {
            health.push(("stream", stream.health(call).await));
        }
        if let Some(broker) = self.broker() {
            health.push(("broker", broker.health(call).await));
        }
        if let Some(registry) = self.registry() {
            health.push(("registry", registry.health(call).await));
        }
        if let Some(runtime) = self.runtime() {
            health.push(("runtime", runtime.health(call).await));
        }
        health
    }

    /// Shuts the modules down and drops the instance if nobody else holds on to it, on a thread of
    /// its own: neither a shutdown nor a drop that hangs can hold up the caller for longer than
    /// `deadline`. Call it once, when no call is left.
    ///
    /// Needs to be called within a tokio runtime.
    pub async fn shutdown(self, deadline: Duration) -> Result<(), LoadError> {
        let plugin = self.plugin.clone();
        let failed = |reason: String| LoadError::Shutdown {
            plugin: plugin.clone(),
            reason,
        };
        let (sender, receiver) = oneshot::channel();
        spawn("shut", &plugin, move || {
            // The caller may have given up; there is nobody else to tell.
            let _ = sender.send(self.finish(deadline));
        })
        .map_err(|error| failed(format!("no thread for it: {error}")))?;
        match time::timeout(deadline, receiver).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(failed("its thread ended early".to_owned())),
            Err(_) => Err(failed(format!(
                "not done after {} s",
                deadline.as_secs_f32()
            ))),
        }
    }

    /// Shuts down and drops on this thread.
    fn finish(self, deadline: Duration) -> Result<(), LoadError> {
        let failed = |reason: String| LoadError::Shutdown {
            plugin: self.plugin.clone(),
            reason,
        };
        let outcome = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(|error| failed(error.to_string()))?
            .block_on(self.close(&Call::default().with_timeout(deadline)));
        outcome.map_err(|error| failed(error.to_string()))
    }

    /// Every module is told, also after one has failed; the first failure is reported.
    async fn close(&self, call: &Call) -> Result<()> {
        let mut outcome = Ok(());
        if let Some(runtime) = self.runtime() {
            outcome = outcome.and(runtime.shutdown(call).await);
        }
        if let Some(registry) = self.registry() {
            outcome = outcome.and(registry.shutdown(call).await);
        }
        if let Some(broker) = self.broker() {
            outcome = outcome.and(broker.shutdown(call).await);
        }
        if let Some(stream) = self.stream() {
            outcome = outcome.and(stream.shutdown(call).await);
        }
        if let Some(blob) = self.blob() {
            outcome = outcome.and(blob.shutdown(call).await);
        }
        if let Some(store) = self.store() {
            outcome = outcome.and(store.shutdown(call).await);
        }
        outcome
    }
}
