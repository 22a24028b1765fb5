//! A watch of etcd that goes on where it was when the connection or the member is lost.

use std::sync::Arc;

use etcd_client::{Event, KeyValue, ResponseHeader, WatchOptions, WatchResponse, WatchStream};
use micro_plugin_api::{Backoff, Call, Error};
use tokio::time::sleep;

use super::{Etcd, Failure, Repeat, backoff};

/// A watch of the keys in a range.
pub(crate) struct Watching {
    etcd: Arc<Etcd>,
    keys: (Vec<u8>, Vec<u8>),
    with_former: bool,
    /// `None` while there is no connection.
    stream: Option<WatchStream>,
    /// Everything up to this revision has been told.
    told: i64,
    backoff: Backoff,
}

/// What a watch has to say.
#[derive(Debug)]
pub(crate) enum Notice {
    /// Changes, those of one transaction all together.
    Changed(Vec<Event>),
    /// The connection is lost. Changes come late from here on, and are not missed.
    Lost,
    /// The connection is there again.
    Back,
    /// Why the changes since what was told last cannot be had any more: this is the end of the watch;
    /// list, and watch anew.
    Missed(String),
}

impl Watching {
    /// Watches the keys from `keys.0` to before `keys.1`: what comes after the revision `after`, or
    /// after this moment. With `with_former`, events hold what was there before.
    pub(crate) async fn start(
        etcd: Arc<Etcd>,
        call: &Call,
        keys: (Vec<u8>, Vec<u8>),
        after: Option<i64>,
        with_former: bool,
    ) -> Result<Self, Failure> {
        let mut watching = Self {
            etcd,
            keys,
            with_former,
            stream: None,
            told: after.unwrap_or(0),
            backoff: backoff(),
        };
        let (stream, now) = watching.connect(call).await?;
        watching.stream = Some(stream);
        watching.told = after.unwrap_or(now);
        Ok(watching)
    }

    /// A stream that etcd has confirmed, and the revision that it was made at.
    async fn connect(&self, call: &Call) -> Result<(WatchStream, i64), Failure> {
        let mut options = WatchOptions::new()
            .with_range(self.keys.1.clone())
            .with_progress_notify();
        if self.told > 0 {
            options = options.with_start_revision(self.told + 1);
        }
        if self.with_former {
            options = options.with_prev_key();
        }
        let work = |mut clients: super::Clients| {
            let (key, options) = (self.keys.0.clone(), options.clone());
            async move {
                let mut stream = clients.watch.watch(key, Some(options)).await?;
                let first = stream.message().await?;
                let Some(first) = first.filter(|first| first.created()) else {
                    let text = "the watch was not confirmed".to_owned();
                    return Err(etcd_client::Error::WatchError(text));
                };
                if first.canceled() {
                    // So says etcd when the token is no longer good, too.
                    let why = format!("the watch was refused: {}", first.cancel_reason());
                    return Err(tonic::Status::unauthenticated(why).into());
                }
                let now = revision(&first);
                Ok((stream, now))
            }
        };
        self.etcd.run(call, Repeat::Always, work).await
    }

    /// The next that there is to say. Waits as long as it takes for etcd to be there again.
    pub(crate) async fn next(&mut self) -> Notice {
        loop {
            let Some(stream) = &mut self.stream else {
                sleep(self.backoff.next_wait()).await;
                match self.connect(&Call::default()).await {
                    Ok((stream, _)) => {
                        self.stream = Some(stream);
                        return Notice::Back;
                    }
                    Err(failure) => {
                        tracing::debug!("{}; the watch goes on", Error::from(failure));
                        continue;
                    }
                }
            };
            let response = match stream.message().await {
                Ok(Some(response)) => response,
                Ok(None) => return self.lost("it ended"),
                Err(error) => {
                    let failure = Failure::of(&error);
                    if failure.is_too_large() {
                        return Notice::Missed("more changed at once than is taken".to_owned());
                    }
                    return self.lost(Error::from(failure).message());
                }
            };
            if response.compact_revision() > 0 {
                let told = self.told;
                return Notice::Missed(format!(
                    "etcd has compacted what changed since revision {told}"
                ));
            }
            if response.canceled() {
                return self.lost(response.cancel_reason());
            }
            self.backoff = backoff();
            let events = response.events();
            let revisions = events
                .iter()
                .filter_map(Event::kv)
                .map(KeyValue::mod_revision);
            if let Some(last) = revisions.max() {
                self.told = self.told.max(last);
                return Notice::Changed(events.to_vec());
            }
            // Only that nothing happened until then.
            self.told = self.told.max(revision(&response));
        }
    }

    fn lost(&mut self, why: &str) -> Notice {
        tracing::debug!("a watch of etcd was lost: {why}; it goes on");
        self.stream = None;
        Notice::Lost
    }
}

fn revision(response: &WatchResponse) -> i64 {
    response.header().map_or(0, ResponseHeader::revision)
}
