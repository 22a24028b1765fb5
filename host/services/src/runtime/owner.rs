//! Which server runs a service, and what becomes of a wish that another one has to fulfil.

use std::time::Duration;

use micro_plugin_api::{Call, Error, Result, runtime::InstanceKey};
use tokio::time::{Instant, sleep};

use super::{
    Manager,
    lease::{self, Lease},
    record::{self, Record},
    status::Status,
};

/// How often it is looked whether another server has ended a service.
const POLL: Duration = Duration::from_millis(200);

/// How much longer than it should take that is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

impl Manager {
    /// The lease of the server that runs a service, if that is another one and alive. What nobody
    /// runs any more is for any server to decide.
    pub(super) async fn owner(&self, call: &Call, record: &Record) -> Result<Option<Lease>> {
        let config = &self.0.config;
        if config.lease.is_none() || record.server == config.server {
            return Ok(None);
        }
        let found = lease::read(&self.0.modules, call, &record.server).await?;
        Ok(found.map(|(lease, _)| lease).filter(Lease::is_held))
    }

    /// The same of the service of this key, after a look at what is asked of this server.
    pub(super) async fn owner_of(&self, call: &Call, key: &InstanceKey) -> Result<Option<Lease>> {
        if self.0.config.lease.is_none() || self.take_note(call, key).await?.is_some() {
            return Ok(None);
        }
        match record::read(&self.0.modules, call, key).await? {
            Some((record, _)) => self.owner(call, &record).await,
            None => Ok(None),
        }
    }

    /// Waits until a service that is being ended by another server is gone. If that server dies
    /// over it, another one goes on with it.
    pub(super) async fn wait_gone(&self, call: &Call, key: &InstanceKey) -> Result<()> {
        let config = &self.0.config;
        let lease = config.lease.unwrap_or_default();
        let until = Instant::now() + 2 * lease + config.stop_grace + PATIENCE;
        loop {
            let found = record::read(&self.0.modules, call, key).await?;
            let Some((record, _)) = found.filter(|(it, _)| it.status == Status::Stopping) else {
                return Ok(());
            };
            if Instant::now() >= until {
                return Err(Error::deadline(format!(
                    "{key} is being ended by the server {}, which has not done so yet; see `micro status`",
                    record.server
                )));
            }
            sleep(POLL).await;
        }
    }
}
