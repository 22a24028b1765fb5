//! The service's place in the registry: taken when it starts, kept while it runs, given back when it stops.

use std::{future::Future, pin::Pin, time::Duration};

use micro_proto::registry::{
    Options, Service as Record, WatchRequest, registry_client::RegistryClient,
};
use tokio::time::Instant;
use tonic::{Request, Status};

use super::ServiceError;
use crate::{
    Client, Error, ServiceChannel,
    client::{chance, unary},
};

/// Without a sign of life for this long, the registry forgets a node.
const TTL: Duration = Duration::from_secs(90);
/// How often there is one; a tenth more or less is chance, so that services do not speak in chorus.
const HEARTBEAT: Duration = Duration::from_secs(30);
/// How long the server may take for one answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the farewell may take: the registry forgets by itself.
const FAREWELL: Duration = Duration::from_secs(2);
/// The first and the longest pause between attempts while the server is away.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// A watch that ends sooner than this was perhaps refused: the next one has to wait, longer each time.
const REFUSED: Duration = Duration::from_secs(1);

const HINT: &str = ". `micro run` gives a service its account; to run it by hand, set MICRO_PROXY, \
    MICRO_AUTH_ID and MICRO_AUTH_SECRET to the server and to an account of scope service";

/// A record, and the registry that it is kept in.
pub(super) struct Registration {
    client: Client,
    record: Record,
}

type Watch = Pin<Box<dyn Future<Output = Result<(), Status>> + Send>>;

impl Registration {
    pub(super) fn new(client: Client, mut record: Record) -> Self {
        record.options = Some(Options {
            ttl: i64::try_from(TTL.as_secs()).unwrap_or(i64::MAX),
            domain: client.namespace().to_owned(),
        });
        Self { client, record }
    }

    /// Registers and stays registered until `stop` is done; then deregisters. While the server cannot
    /// be reached it tries again; once it is back, at once.
    ///
    /// # Errors
    /// The server refuses the very first registration.
    pub(super) async fn keep(self, stop: impl Future<Output = ()>) -> Result<(), ServiceError> {
        tokio::pin!(stop);
        let first = tokio::select! {
            () = &mut stop => {
                // The server may have taken it in all the same: its answer may be under way.
                self.farewell().await;
                return Ok(());
            }
            first = self.until_answered() => first,
        };
        first.map_err(|source| ServiceError::Refused {
            service: self.record.name.clone(),
            proxy: self.client.address().to_owned(),
            hint: if self.client.has_credentials() {
                ""
            } else {
                HINT
            },
            source: Box::new(source),
        })?;
        tracing::info!(
            service = self.record.name,
            proxy = self.client.address(),
            "registered"
        );

        let mut watch = Some((Instant::now(), self.watch()));
        let mut rest = PAUSES.0;
        loop {
            let beat = HEARTBEAT.mul_f64(0.9 + 0.2 * chance());
            let gone = tokio::select! {
                () = &mut stop => break,
                () = tokio::time::sleep(beat) => None,
                since = ended(&mut watch) => {
                    watch = None;
                    Some(since)
                }
            };
            let rest_first = match gone {
                Some(since) if since.elapsed() < REFUSED => {
                    let now = rest;
                    rest = (rest * 2).min(HEARTBEAT);
                    now
                }
                _ => {
                    rest = PAUSES.0;
                    Duration::ZERO
                }
            };
            let answered = async {
                tokio::time::sleep(rest_first).await;
                self.until_answered().await
            };
            let answered = tokio::select! {
                () = &mut stop => break,
                answered = answered => answered,
            };
            match answered {
                Ok(()) if watch.is_none() => watch = Some((Instant::now(), self.watch())),
                Ok(()) => {}
                Err(error) => tracing::warn!(%error, "the registry refuses this service for now"),
            }
        }
        self.farewell().await;
        Ok(())
    }

    /// Registers, again and again while nobody answers; an answer is the end of it.
    async fn until_answered(&self) -> Result<(), Error> {
        let mut pause = PAUSES.0;
        let mut told = false;
        loop {
            let error = match self.register().await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            // A request that was understood and refused will be refused again.
            if !matches!(error.code, 408 | 429 | 500 | 502 | 503 | 504) {
                return Err(error);
            }
            if !std::mem::replace(&mut told, true) {
                tracing::warn!(%error, "cannot register yet; trying until it works");
            }
            tokio::time::sleep(pause.mul_f64(0.5 + chance() / 2.0)).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    async fn register(&self) -> Result<(), Error> {
        self.registry(PATIENCE)
            .register(unary(Request::new(self.record.clone())))
            .await?;
        Ok(())
    }

    /// Ends when the connection to the server does: it may come back without its memory. What
    /// happens to the service meanwhile is of no interest.
    fn watch(&self) -> Watch {
        let channel = self
            .client
            .core("registry")
            .with(|options| options.retries(0).no_timeout());
        let request = WatchRequest {
            service: self.record.name.clone(),
            options: self.record.options.clone(),
        };
        Box::pin(async move {
            let mut events = RegistryClient::new(channel)
                .watch(request)
                .await?
                .into_inner();
            while events.message().await?.is_some() {}
            Ok(())
        })
    }

    async fn farewell(&self) {
        // The endpoints say nothing here, and the node's id all.
        let record = Record {
            endpoints: Vec::new(),
            ..self.record.clone()
        };
        if let Err(status) = self
            .registry(FAREWELL)
            .deregister(unary(Request::new(record)))
            .await
        {
            let error = Error::from(status);
            tracing::warn!(%error, "could not deregister; the registry forgets within {TTL:?}");
        }
    }

    fn registry(&self, patience: Duration) -> RegistryClient<ServiceChannel> {
        let channel = self.client.core("registry");
        RegistryClient::new(channel.with(|options| options.retries(0).timeout(patience)))
    }
}

/// When the watch began, once it has ended; never without one.
async fn ended(watch: &mut Option<(Instant, Watch)>) -> Instant {
    match watch {
        Some((since, watch)) => {
            if let Err(status) = watch.await {
                tracing::debug!(%status, "the watch of the registry ended");
            }
            *since
        }
        None => std::future::pending().await,
    }
}
