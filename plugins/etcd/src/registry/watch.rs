//! Who watches the registry: what is there at one revision, and every change behind it.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt as _, pin_mut, stream};
use micro_plugin_api::{
    BoxStream, Call, Error, Result,
    registry::{Change, Filter},
};
use tokio::time::{Instant, sleep, sleep_until};

use super::{EtcdRegistry, Keys, View};
use crate::{
    client::{Etcd, Failure, Notice, Watching, backoff},
    feed::{Feed, feed},
};

/// How long nodes are kept after the connection was lost and is there again, so that those who could
/// not renew meanwhile can.
const RENEWAL: Duration = Duration::from_secs(5);

/// How long the clock is trusted to go on as it does: it may be set.
const CLOCK: Duration = Duration::from_secs(5);

/// The services that a filter means, and their changes.
pub(super) async fn watch(
    registry: &EtcdRegistry,
    call: &Call,
    filter: &Filter,
) -> Result<BoxStream<Result<Change>>> {
    let source = Source {
        etcd: registry.etcd.clone(),
        keys: registry.keys.clone(),
        filter: filter.clone(),
    };
    let (view, watching) = source.begin(call).await?;
    let present = view.services().into_iter().map(Change::Present);
    let (feed, reader) = feed(present.chain([Change::Synced]));
    let task = Task { source, view, feed };
    tokio::spawn(task.run(watching));
    Ok(Box::pin(reader))
}

/// Where the services come from.
struct Source {
    etcd: Arc<Etcd>,
    keys: Arc<Keys>,
    filter: Filter,
}

impl Source {
    /// What is there now, and a watch of what comes after it.
    async fn begin(&self, call: &Call) -> Result<(View, Watching), Failure> {
        let (from, to) = self.keys.of_filter(&self.filter);
        let snapshot = self.etcd.snapshot(call, (&from, &to)).await?;
        let view = View::new(&self.keys, &snapshot.records, &self.filter);
        let after = Some(snapshot.revision);
        let watching = Watching::start(self.etcd.clone(), call, (from, to), after, false).await?;
        Ok((view, watching))
    }

    /// [`Self::begin`], as soon as etcd is there.
    async fn begin_anew(&self) -> (View, Watching) {
        let mut backoff = backoff();
        loop {
            match self.begin(&Call::default()).await {
                Ok(begun) => return begun,
                Err(failure) => {
                    tracing::debug!("{}; the watch goes on", Error::from(failure));
                    sleep(backoff.next_wait()).await;
                }
            }
        }
    }
}

/// What reads etcd's changes as fast as they come, so that one who does not read them holds up
/// nobody else on the same connection.
struct Task {
    source: Source,
    view: View,
    feed: Feed<Change>,
}

impl Task {
    async fn run(mut self, mut watching: Watching) {
        while let Some(why) = self.follow(watching).await {
            tracing::info!("a watch of the registry begins anew: {why}");
            let (view, anew) = tokio::select! {
                begun = self.source.begin_anew() => begun,
                () = self.feed.closed() => return,
            };
            let changes = view.changes_since(&self.view);
            self.view = view;
            watching = anew;
            if !self.push(changes) {
                return;
            }
        }
    }

    /// Tells what changes, until nobody reads it (`None`) or changes were missed (why).
    async fn follow(&mut self, watching: Watching) -> Option<String> {
        // As a stream, what it is about goes on when the timer comes first.
        let notices = stream::unfold(watching, |mut watching| async {
            Some((watching.next().await, watching))
        });
        pin_mut!(notices);
        // Without a connection nobody can renew, or it is not heard: nothing expires meanwhile.
        let mut connected = true;
        let mut nothing_before = Instant::now();
        loop {
            let next = self.view.next_expiry().filter(|_| connected);
            let expiry = async {
                match next {
                    Some(next) => {
                        let next = Instant::now() + next.remaining().min(CLOCK);
                        sleep_until(next.max(nothing_before)).await;
                    }
                    None => std::future::pending().await,
                }
            };
            let changes = tokio::select! {
                notice = notices.next() => match notice? {
                    Notice::Changed(events) => self.view.apply(&self.source.keys, &events),
                    Notice::Lost => {
                        connected = false;
                        continue;
                    }
                    Notice::Back => {
                        connected = true;
                        nothing_before = Instant::now() + RENEWAL;
                        continue;
                    }
                    Notice::Missed(why) => return Some(why),
                },
                () = expiry => self.view.expire(),
                () = self.feed.closed() => return None,
            };
            if !self.push(changes) {
                return None;
            }
        }
    }

    fn push(&self, changes: Vec<Change>) -> bool {
        changes.into_iter().all(|change| {
            let bytes = size(&change);
            self.feed.push(change, bytes)
        })
    }
}

/// About how many bytes a change holds.
fn size(change: &Change) -> usize {
    let (Change::Present(service)
    | Change::Created(service)
    | Change::Updated(service)
    | Change::Deleted(service)) = change
    else {
        return 0;
    };
    serde_json::to_vec(service).map_or(0, |json| json.len())
}
