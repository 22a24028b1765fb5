//! The place of one module: what is live in it, the gate before it, and the streams that move when
//! it is replaced.

use std::{
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use arc_swap::ArcSwapOption;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use micro_plugin_api::{BoxFuture, BoxStream, Error, Result};
use tokio::time::{Instant, sleep};

use crate::{
    gate::Gate,
    live::{Handle, Live},
    moving::{Movable, Moving, Resume},
};

/// How many streams are opened on a new instance at once.
const AT_ONCE: usize = 64;
/// How often an instance that is left is asked whether more of its streams has come.
const TICK: Duration = Duration::from_millis(5);
/// How often in a row nothing more has to have come for its streams to count as told. Counted and
/// not timed: a machine that is busy looks less often, and takes longer to bring what is coming.
const QUIET: u32 = 20;
/// How long that may take.
const MOST_QUIET: Duration = Duration::from_secs(1);

/// The place of one module.
pub(crate) struct Slot<H> {
    /// `None` while one instance is closed and the next is not open: nobody but who replaces it
    /// sees that, since the gate is closed then, unless neither can be opened.
    live: ArcSwapOption<Live<H>>,
    pub(crate) gate: Gate,
    streams: Mutex<Vec<Weak<dyn Movable<H>>>>,
}

impl<H: Handle> Slot<H> {
    pub(crate) fn new(live: Live<H>) -> Arc<Self> {
        Arc::new(Self {
            live: ArcSwapOption::from_pointee(live),
            gate: Gate::default(),
            streams: Mutex::default(),
        })
    }

    /// What is live. Whoever holds on to it keeps its instance from being closed.
    ///
    /// # Errors
    /// `unavailable` if nothing is.
    pub(crate) fn live(&self) -> Result<Arc<Live<H>>> {
        self.live.load_full().ok_or_else(|| {
            Error::unavailable(format!(
                "the module `{}` is closed: neither its new plugin nor the one before could be \
                 opened; `micro profile status` says why, and a restart of the server opens what \
                 the profile names",
                H::MODULE
            ))
        })
    }

    /// The plugin that is live.
    pub(crate) fn plugin(&self) -> String {
        let live = self.live.load();
        live.as_ref()
            .map_or_else(|| "none".to_owned(), |live| live.plugin.clone())
    }

    /// What was live before.
    pub(crate) fn replace(&self, live: Option<Arc<Live<H>>>) -> Option<Arc<Live<H>>> {
        self.live.swap(live)
    }

    /// A stream that goes on from `source`, which `live` gave, and moves when the module does. To
    /// be called with a pass for writes in hand.
    pub(crate) fn moving<R: Resume<H>>(
        &self,
        live: Arc<Live<H>>,
        source: BoxStream<Result<R::Item>>,
        resume: R,
    ) -> BoxStream<Result<R::Item>> {
        let moving = Moving::new(live, source, resume);
        let weak: Weak<dyn Movable<H>> = moving.as_movable();
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that are gone go when the list would grow.
        if streams.len() == streams.capacity() {
            streams.retain(|stream| stream.strong_count() > 0);
        }
        streams.push(weak);
        drop(streams);
        Box::pin(moving)
    }

    /// The streams that are open.
    pub(crate) fn streams(&self) -> Vec<Arc<dyn Movable<H>>> {
        let streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        streams.iter().filter_map(Weak::upgrade).collect()
    }
}

/// Opens each of the streams on `live` as well.
///
/// # Errors
/// That of the first that cannot be opened; none has moved then.
pub(crate) async fn open_on<H: Handle>(
    streams: &[Arc<dyn Movable<H>>],
    live: &Arc<Live<H>>,
) -> Result<()> {
    let opening: Vec<_> = streams.iter().map(|one| opening(one, live)).collect();
    let opened = stream::iter(opening)
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await;
    if opened.is_err() {
        streams.iter().for_each(|stream| stream.stay());
    }
    opened
}

/// Has streams that have let go of their instance go on from `live`; one that cannot ends with the
/// error.
pub(crate) async fn go_on<H: Handle>(streams: &[Arc<dyn Movable<H>>], live: &Arc<Live<H>>) {
    let going: Vec<BoxFuture<'static, ()>> = streams
        .iter()
        .map(|one| {
            let (opening, one) = (opening(one, live), one.clone());
            let going = async move {
                match opening.await {
                    // Nobody wrote while it was attached to nothing.
                    Ok(()) => one.attach(true),
                    Err(error) => one.fail(error),
                }
            };
            Box::pin(going) as BoxFuture<'static, ()>
        })
        .collect();
    stream::iter(going)
        .buffer_unordered(AT_ONCE)
        .collect::<()>()
        .await;
}

fn opening<H: Handle>(
    stream: &Arc<dyn Movable<H>>,
    live: &Arc<Live<H>>,
) -> BoxFuture<'static, Result<()>> {
    let (stream, live) = (stream.clone(), live.clone());
    Box::pin(async move { stream.open_on(&live).await })
}

/// Takes over what the instance that they leave has on its way to them, until nothing more comes.
pub(crate) async fn collect<H: Handle>(streams: &[Arc<dyn Movable<H>>]) {
    let streams: Vec<_> = streams.iter().filter(|stream| stream.collects()).collect();
    let began = Instant::now();
    let mut quiet = 0;
    while !streams.is_empty() && quiet < QUIET && began.elapsed() < MOST_QUIET {
        let mut more = false;
        for stream in &streams {
            more |= stream.collect();
        }
        quiet = if more { 0 } else { quiet + 1 };
        sleep(TICK).await;
    }
}
