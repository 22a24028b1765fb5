//! Calls over websockets (RFC 6455): every kind, a message a frame, in JSON or protobuf.

mod close;
mod handshake;
mod incoming;
mod metered;
mod session;

use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use http::request::Parts;
use hyper::upgrade::OnUpgrade;
use micro_route::Share;
use micro_wire::{Error, metadata::set_timeout};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::{
    ID,
    answer::{Answer, Answers},
    call::Language,
    path::Called,
    payload,
    shape::Shape,
};

pub(crate) use handshake::is_requested;
use session::Session;

/// The websockets that a server may have open, of all its threads. Clones share it.
#[derive(Clone, Debug)]
pub struct Websockets {
    free: Arc<Semaphore>,
    most: usize,
}

impl Websockets {
    /// At most this many at a time.
    pub fn new(most: usize) -> Self {
        let most = most.min(Semaphore::MAX_PERMITS);
        Self {
            free: Arc::new(Semaphore::new(most)),
            most,
        }
    }
}

impl Default for Websockets {
    /// 10,000 at a time.
    fn default() -> Self {
        Self::new(10_000)
    }
}

/// What becomes of a connection when it is no longer HTTP. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Afterwards(Arc<Mutex<Option<BoxFuture<'static, ()>>>>);

impl Afterwards {
    fn set(&self, work: BoxFuture<'static, ()>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(work);
    }

    /// What is left to do on the connection once HTTP has ended on it.
    pub(crate) fn take(&self) -> Option<BoxFuture<'static, ()>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The connection on which a websocket is asked for.
pub(crate) struct Upgrade {
    pub(crate) connection: OnUpgrade,
    pub(crate) share: Share,
    pub(crate) afterwards: Afterwards,
    pub(crate) shutdown: CancellationToken,
}

impl Answers {
    /// Answers a request for a websocket on which to make a call.
    pub(crate) async fn websocket(
        &self,
        called: &Called,
        mut parts: Parts,
        upgrade: Upgrade,
    ) -> Result<Answer, Error> {
        let handshake = handshake::read(&mut parts, &self.settings.trusted_origins)?;
        let query = parts.uri.query().unwrap_or_default().to_owned();
        let mut admitted = self.admit(called, &mut parts, true).await?;
        let Websockets { free, most } = &self.settings.websockets;
        let Ok(permit) = free.clone().try_acquire_owned() else {
            let detail = format!("{most} websockets are open, which is as many as there may be");
            return Err(Error::service_unavailable(ID, detail));
        };
        // As over plain HTTP, a query is a message. Without one the client begins.
        let first = match query.is_empty() {
            true => None,
            false => Some(payload::of_query(&query)?),
        };
        let language = match &first {
            Some(_) => Some(Language::Json),
            None => handshake.language,
        };
        if admitted.shape == Shape::Unary {
            set_timeout(&mut admitted.metadata, self.settings.call_timeout);
        }
        let session = Session {
            dispatcher: self.dispatcher.clone(),
            admitted,
            language,
            first,
            upgrade: upgrade.connection,
            share: upgrade.share,
            shutdown: upgrade.shutdown,
        };
        upgrade.afterwards.set(Box::pin(async move {
            session.run().await;
            drop(permit);
        }));
        Ok(handshake.accept())
    }
}
