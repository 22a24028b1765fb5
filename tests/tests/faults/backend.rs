//! A backend of the test's own, whichever it is.

use micro_test_backends::{Etcd, Nats, Postgres};

pub(crate) enum Backend {
    Etcd(Etcd),
    Nats(Nats),
    Postgres(Postgres),
}

macro_rules! each {
    ($backend:expr, $it:ident => $does:expr) => {
        match $backend {
            Backend::Etcd($it) => $does,
            Backend::Nats($it) => $does,
            Backend::Postgres($it) => $does,
        }
    };
}

impl Backend {
    pub(crate) async fn etcd() -> Self {
        Self::Etcd(Etcd::start().await)
    }

    pub(crate) async fn nats() -> Self {
        Self::Nats(Nats::start().await)
    }

    pub(crate) async fn postgres() -> Self {
        Self::Postgres(Postgres::start().await)
    }

    /// The name of its plugin.
    pub(crate) fn plugin(&self) -> &'static str {
        match self {
            Self::Etcd(_) => "etcd",
            Self::Nats(_) => "nats",
            Self::Postgres(_) => "postgres",
        }
    }

    /// A manifest in which it fills these slots, and memory all others.
    pub(crate) fn manifest(&self, slots: &[&str]) -> String {
        let settings = match self {
            Self::Etcd(etcd) => format!("endpoints = ['{}']", etcd.endpoint()),
            Self::Nats(nats) => format!("url = '{}'", nats.url()),
            Self::Postgres(postgres) => format!("url = '{}'", postgres.url("postgres")),
        };
        let plugin = self.plugin();
        let slots = slots
            .iter()
            .map(|slot| format!("[{slot}]\nplugin = '{plugin}'\n{settings}\n"));
        format!("extends = 'test'\n{}", slots.collect::<String>())
    }

    pub(crate) fn pause(&mut self) {
        each!(self, backend => backend.pause());
    }

    pub(crate) fn resume(&mut self) {
        each!(self, backend => backend.resume());
    }

    pub(crate) fn kill(&mut self) {
        each!(self, backend => backend.kill());
    }

    pub(crate) async fn restart(&mut self) {
        each!(self, backend => backend.restart().await);
    }
}
