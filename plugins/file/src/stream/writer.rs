//! The one thread that writes: it takes what publishers brought since the last sync, and puts all
//! of it on disk together.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use micro_plugin_api::{
    Error, Result,
    stream::{Consumers, NewEvent},
};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use uuid::Uuid;

use super::{
    acknowledged::Acknowledged,
    groups,
    log::{Log, Reader},
    record::{self, Place},
    retention::{Retention, unix_millis},
    segment::{self, Segment},
};
use crate::{directory::failed, space::Space};

/// The most bytes that go to disk together, beside the first batch.
const GROUP_BYTES: usize = 8 << 20;
/// How often the positions of groups are written down, and the thread looks around.
const TICK: Duration = Duration::from_secs(1);
/// The longest wait for publishers that were just answered and may come back with more.
const GATHER: Duration = Duration::from_millis(2);
/// How often events that are too old or too many are looked for.
const RETENTION: Duration = Duration::from_secs(30);

/// What the thread is asked to do.
pub(super) enum Job {
    Publish(Publish),
    /// Write down where groups are, if that changed.
    SaveGroups(oneshot::Sender<Result<()>>),
}

/// A batch that waits to be written.
pub(super) struct Publish {
    pub(super) events: Vec<NewEvent>,
    pub(super) answer: oneshot::Sender<Result<Vec<String>>>,
    /// Room in the queue, given back with the answer.
    pub(super) _room: OwnedSemaphorePermit,
    /// Counts those that are not answered yet.
    pub(super) counted: Arc<()>,
}

/// What the thread works with.
pub(super) struct Writer {
    log: Arc<Log>,
    consumers: Arc<Consumers<Reader>>,
    acknowledged: Acknowledged,
    space: Space,
    retention: Retention,
    /// When the last event was taken in: the clock may go back, what stands in the log must not.
    ingested: u64,
    saved: u64,
    looked: Instant,
    /// How many batches were not answered when the last sync was done, and how long it took.
    unanswered: usize,
    last_sync: Duration,
    /// Set when a write failed: nothing more is written to that segment.
    is_broken: bool,
    buffer: Vec<u8>,
}

/// An event in the buffer that is not on disk yet.
struct Written {
    topic: String,
    offset: u32,
    length: usize,
}

/// A batch in the buffer, and the ids to answer with.
struct Waiting {
    publish: Publish,
    ids: Vec<String>,
    ingested: u64,
    events: Vec<Written>,
}

impl Writer {
    pub(super) fn new(
        log: Arc<Log>,
        consumers: Arc<Consumers<Reader>>,
        acknowledged: Acknowledged,
        space: Space,
        retention: Retention,
    ) -> Self {
        let times = log
            .segments()
            .values()
            .filter_map(|it| it.contents.times)
            .next_back();
        Self {
            saved: consumers.changes(),
            ingested: times.map_or(0, |(_, last)| last),
            log,
            consumers,
            acknowledged,
            space,
            retention,
            looked: Instant::now(),
            unanswered: 0,
            last_sync: Duration::ZERO,
            is_broken: false,
            buffer: Vec::new(),
        }
    }

    /// Writes what comes until nobody is left who could send more.
    pub(super) fn run(mut self, jobs: &Receiver<Job>) {
        self.retention.apply(&self.log);
        let mut ticked = Instant::now();
        loop {
            let more = match jobs.recv_timeout(TICK.saturating_sub(ticked.elapsed())) {
                Ok(first) => {
                    self.work(first, jobs);
                    true
                }
                Err(RecvTimeoutError::Timeout) => true,
                Err(RecvTimeoutError::Disconnected) => false,
            };
            if !more || ticked.elapsed() >= TICK {
                ticked = Instant::now();
                // Those that are asked for get the error; here it is tried again.
                if let Err(error) = self.save_groups() {
                    tracing::warn!(%error, "cannot write down where consumer groups are");
                }
            }
            if !more {
                return;
            }
            if self.looked.elapsed() >= RETENTION {
                self.looked = Instant::now();
                self.consumers.forget(self.retention.oldest());
                if self.retention.wants_roll(&self.log)
                    && let Err(error) = self.roll(0)
                {
                    tracing::warn!(%error, "cannot begin a new segment");
                }
                self.retention.apply(&self.log);
            }
        }
    }

    /// Does one job and those that came meanwhile.
    fn work(&mut self, first: Job, jobs: &Receiver<Job>) {
        let (mut publishes, mut saves, mut bytes) = (Vec::new(), Vec::new(), 0);
        let mut next = Some(first);
        let (begun, gather) = (Instant::now(), GATHER.min(self.last_sync / 4));
        while let Some(job) = next {
            match job {
                Job::Publish(publish) => {
                    bytes += publish.events.iter().map(record::length).sum::<usize>();
                    publishes.push(publish);
                }
                Job::SaveGroups(answer) => saves.push(answer),
            }
            if bytes >= GROUP_BYTES {
                break;
            }
            next = jobs.try_recv().ok();
            // Those whom the last sync answered come back in a moment. To wait for them, a part of
            // what a sync takes, makes one sync of two, each for half of the publishers.
            if next.is_none() && (2..=self.unanswered).contains(&(publishes.len() + 1)) {
                let left = gather.saturating_sub(begun.elapsed());
                next = jobs.recv_timeout(left).ok();
            }
        }
        if !publishes.is_empty() {
            self.publish(publishes, bytes);
        }
        if !saves.is_empty() {
            let saved = self.save_groups();
            for answer in saves {
                // Who does not wait any more needs no answer.
                let _ = answer.send(saved.clone());
            }
        }
    }

    fn save_groups(&mut self) -> Result<()> {
        let now = self.consumers.changes();
        if now != self.saved {
            groups::write(self.log.folder(), &self.consumers.groups())?;
            self.saved = now;
        }
        Ok(())
    }

    fn publish(&mut self, publishes: Vec<Publish>, bytes: usize) {
        if let Err(error) = self.space.check(bytes) {
            answer_all(publishes, &error);
            return;
        }
        let mut rest = publishes.into_iter();
        let mut waiting = Vec::new();
        while let Some(publish) = rest.next() {
            let length: usize = publish.events.iter().map(record::length).sum();
            if let Err(error) = self.make_room(&mut waiting, length) {
                answer_all(std::iter::once(publish).chain(rest), &error);
                return;
            }
            waiting.push(self.encode(publish));
        }
        self.commit(&mut waiting);
    }

    /// Makes sure that a batch of `length` bytes fits behind those that wait; if not, they are
    /// written and a new segment is begun.
    fn make_room(&mut self, waiting: &mut Vec<Waiting>, length: usize) -> Result<()> {
        let end = self.end() as usize + self.buffer.len();
        if !self.is_broken && (end + length <= segment::SIZE as usize || end == 0) {
            return Ok(());
        }
        self.commit(waiting);
        self.roll(length)
    }

    /// Behind the last event of the segment that is written to.
    fn end(&self) -> u32 {
        let segments = self.log.segments();
        let last = segments.last_key_value();
        last.map_or(0, |(_, segment)| segment.contents.end)
    }

    /// Begins a new segment, with room for `length` bytes at least.
    fn roll(&mut self, length: usize) -> Result<()> {
        let size = u32::try_from(length)
            .map_err(|_| Error::invalid("a batch of several gigabytes; publish it in parts"))?;
        let number = self
            .log
            .segments()
            .last_key_value()
            .map_or(1, |(it, _)| it + 1);
        let segment = Segment::create(self.log.folder(), number, size.max(segment::SIZE))?;
        self.log.append(segment);
        self.is_broken = false;
        self.retention.apply(&self.log);
        Ok(())
    }

    /// Writes a batch into the buffer.
    fn encode(&mut self, publish: Publish) -> Waiting {
        self.ingested = self.ingested.max(unix_millis());
        let begin = self.end();
        let count = u16::try_from(publish.events.len()).expect("batches were checked");
        let mut ids = Vec::with_capacity(publish.events.len());
        let mut events = Vec::with_capacity(publish.events.len());
        for (index, event) in (0..count).zip(&publish.events) {
            let at = self.buffer.len();
            let id = Uuid::now_v7();
            record::write(
                &mut self.buffer,
                event,
                id,
                self.ingested,
                Place { index, count },
            );
            let at_u32 = u32::try_from(at).expect("a segment is shorter than 4 GiB");
            events.push(Written {
                topic: event.topic.clone(),
                offset: begin + at_u32,
                length: self.buffer.len() - at,
            });
            ids.push(id.to_string());
        }
        Waiting {
            publish,
            ids,
            ingested: self.ingested,
            events,
        }
    }

    /// Puts the buffer on disk, shows its events to readers, and answers those who wait.
    fn commit(&mut self, waiting: &mut Vec<Waiting>) {
        let waiting = std::mem::take(waiting);
        let bytes = std::mem::take(&mut self.buffer);
        if waiting.is_empty() {
            return;
        }
        let (file, end) = {
            let segments = self.log.segments();
            let (_, last) = segments.last_key_value().expect("a log has a segment");
            (last.file.clone(), last.contents.end)
        };
        let begun = Instant::now();
        let appended = file.append(&bytes, end);
        let counted = waiting
            .first()
            .map(|it| Arc::strong_count(&it.publish.counted));
        // One of these counts is of the stream itself.
        self.unanswered = counted.map_or(0, |count| count.saturating_sub(1));
        self.last_sync = begun.elapsed();
        if let Err(error) = appended {
            self.failed(&file, end, &error, waiting);
            return;
        }
        let mut topics = BTreeSet::new();
        let end = {
            let mut segments = self.log.segments_mut();
            let mut last = segments.last_entry().expect("a log has a segment");
            let contents = &mut last.get_mut().contents;
            for batch in &waiting {
                for event in &batch.events {
                    contents.push(&event.topic, event.offset, event.length, batch.ingested);
                    if !topics.contains(event.topic.as_str()) {
                        topics.insert(event.topic.as_str());
                    }
                }
            }
            contents.end
        };
        self.acknowledged.note(file.number, end);
        for topic in topics {
            self.consumers.published(topic);
        }
        for Waiting { publish, ids, .. } in waiting {
            // Nobody waits for it any more if this fails; it is written all the same.
            let _ = publish.answer.send(Ok(ids));
        }
        self.buffer = bytes;
        self.buffer.clear();
        self.buffer.shrink_to(GROUP_BYTES);
    }

    /// After a write or sync that failed nobody knows what is on disk, and another sync would not
    /// tell: what it wrote is taken back, and the log goes on in a new segment.
    fn failed(
        &mut self,
        file: &segment::SegmentFile,
        end: u32,
        error: &std::io::Error,
        waiting: Vec<Waiting>,
    ) {
        self.is_broken = true;
        let error = failed("write to", &file.path, error);
        tracing::error!(%error, "events were not written; the log goes on in a new segment");
        if let Err(error) = file.retract(end) {
            tracing::warn!(
                "cannot take back what was not written whole in {}: {error}",
                file.path.display()
            );
        }
        answer_all(waiting.into_iter().map(|it| it.publish), &error);
    }
}

fn answer_all(publishes: impl IntoIterator<Item = Publish>, error: &Error) {
    for publish in publishes {
        // Who does not wait any more needs no answer.
        let _ = publish.answer.send(Err(error.clone()));
    }
}
