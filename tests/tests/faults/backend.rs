//! A backend of the test's own, whichever it is.

use micro_test_backends::Etcd;

pub(crate) enum Backend {
    Etcd(Etcd),
}

impl Backend {
    /// The name of its plugin.
    pub(crate) fn plugin(&self) -> &'static str {
        match self {
            Self::Etcd(_) => "etcd",
        }
    }

    /// A manifest in which it fills these slots, and memory all others.
    pub(crate) fn manifest(&self, slots: &[&str]) -> String {
        let settings = match self {
            Self::Etcd(etcd) => format!("endpoints = ['{}']", etcd.endpoint()),
        };
        let plugin = self.plugin();
        let slots = slots
            .iter()
            .map(|slot| format!("[{slot}]\nplugin = '{plugin}'\n{settings}\n"));
        format!("extends = 'test'\n{}", slots.collect::<String>())
    }

    pub(crate) fn pause(&mut self) {
        match self {
            Self::Etcd(etcd) => etcd.pause(),
        }
    }

    pub(crate) fn resume(&mut self) {
        match self {
            Self::Etcd(etcd) => etcd.resume(),
        }
    }

    pub(crate) fn kill(&mut self) {
        match self {
            Self::Etcd(etcd) => etcd.kill(),
        }
    }

    pub(crate) async fn restart(&mut self) {
        match self {
            Self::Etcd(etcd) => etcd.restart().await,
        }
    }
}
