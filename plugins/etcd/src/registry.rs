//! The registry: each node of a service is a key of etcd, with what its server said of the service.
//!
//! What is known of a service, its metadata and endpoints, is what the last of its nodes to register
//! said. When that node is gone, it is what the last of those that are left said.

mod key;
mod node;
mod view;
mod watch;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use etcd_client::{PutOptions, Txn, TxnOp};
use micro_plugin_api::{
    BoxStream, Call, Error, Host, Registry, Result,
    registry::{Change, Filter, Service},
};

use self::{
    key::{Keys, ServiceKey},
    node::{Moment, Registered},
    view::View,
};
use crate::{
    Settings,
    client::{Etcd, Failure, Repeat},
    leases::Leases,
};

/// The most operations of one transaction: etcd takes 128 unless told otherwise.
const OPERATIONS: usize = 100;

/// The most bytes of one transaction, beside its first operation: etcd takes 1.5 MiB unless told
/// otherwise.
const BYTES: usize = 1 << 20;

/// What is put under keys, or that they are deleted.
type Writes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// Services in etcd.
pub struct EtcdRegistry {
    etcd: Arc<Etcd>,
    keys: Arc<Keys>,
    leases: Leases,
}

impl EtcdRegistry {
    /// The registry of these settings. etcd need not be there yet: calls fail with `unavailable`
    /// until it is.
    ///
    /// # Errors
    /// `invalid` for settings that make no sense; `unavailable` if etcd refuses the user.
    pub async fn open(settings: Settings, _host: Host) -> Result<Self> {
        let etcd = Etcd::open(settings).await?;
        Ok(Self {
            keys: Arc::new(Keys::new(&etcd)),
            leases: Leases::new(etcd.clone()),
            etcd,
        })
    }

    /// Puts or deletes these keys, in as few transactions as etcd takes. Done twice it changes
    /// nothing more.
    async fn write(&self, call: &Call, writes: &Writes, lease: i64) -> Result<(), Failure> {
        let mut writes = writes.iter().peekable();
        while writes.peek().is_some() {
            let (mut together, mut bytes) = (Vec::new(), 0);
            let fits =
                |count: usize, bytes: usize| count == 0 || count < OPERATIONS && bytes <= BYTES;
            while let Some((key, value)) = writes.next_if(|(key, value)| {
                let more = key.len() + value.as_ref().map_or(0, Vec::len);
                bytes += more;
                fits(together.len(), bytes)
            }) {
                let key = key.clone();
                together.push(match value {
                    None => TxnOp::delete(key, None),
                    Some(value) => {
                        let options = PutOptions::new().with_lease(lease);
                        TxnOp::put(key, value.clone(), Some(options))
                    }
                });
            }
            let txn = Txn::new().and_then(together);
            self.etcd
                .run(call, Repeat::Always, |mut clients| {
                    let txn = txn.clone();
                    async move { clients.kv.txn(txn).await }
                })
                .await?;
        }
        Ok(())
    }
}

impl Registry for EtcdRegistry {
    async fn register(&self, call: &Call, service: &Service, ttl: Option<Duration>) -> Result<()> {
        if service.nodes.is_empty() {
            return Err(Error::invalid(format!(
                "service {:?} was registered without a node; a service is there as long as its nodes are",
                service.name
            )));
        }
        // A ttl beyond what the clock can hold is for good.
        let until = ttl.and_then(Moment::after);
        let key = ServiceKey::of(service);
        let mut writes = Writes::new();
        for node in &service.nodes {
            let value = Registered::new(service, node, until).encode()?;
            writes.insert(self.keys.of_node(&key, &node.id), Some(value));
        }
        let Some(until) = until else {
            return Ok(self.write(call, &writes, 0).await?);
        };
        let lease = self.leases.lasting(call, until.to_expiry()).await?;
        match self.write(call, &writes, lease).await {
            Err(failure) if failure.is_lease_gone() => {
                // etcd has lost what it had; it will not lose a new one at once.
                self.leases.forget();
                let lease = self.leases.lasting(call, until.to_expiry()).await?;
                Ok(self.write(call, &writes, lease).await?)
            }
            done => Ok(done?),
        }
    }

    async fn deregister(&self, call: &Call, service: &Service) -> Result<()> {
        let key = ServiceKey::of(service);
        let nodes = service.nodes.iter();
        let writes = nodes.map(|node| (self.keys.of_node(&key, &node.id), None));
        Ok(self.write(call, &writes.collect(), 0).await?)
    }

    async fn list(&self, call: &Call, filter: &Filter) -> Result<Vec<Service>> {
        let (from, to) = self.keys.of_filter(filter);
        let snapshot = self.etcd.snapshot(call, (&from, &to)).await?;
        Ok(View::new(&self.keys, &snapshot.records, filter).services())
    }

    async fn watch(&self, call: &Call, filter: &Filter) -> Result<BoxStream<Result<Change>>> {
        watch::watch(self, call, filter).await
    }

    async fn health(&self, call: &Call) -> Result<()> {
        self.etcd.health(call).await
    }
}
