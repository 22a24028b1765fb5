//! Changes of configurations: those that come while one is being written go into the next write
//! together, so that many who set at once wait for a few commits, not for each other's conflicts.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{runtime::Handle, sync::oneshot};

use super::{
    path::Path,
    stored::{ConfigError, Stored, encode},
    tree::Node,
};

/// The most changes of one write.
const BATCH: usize = 256;

/// The most changes that wait for a namespace.
const WAITING: usize = 4_096;

/// How often a write begins anew because another server was faster.
const ATTEMPTS: u32 = 20;

/// What is to be done.
pub(super) enum Change {
    Set(Path, Node),
    Delete(Path),
}

struct Job {
    change: Change,
    done: oneshot::Sender<Result<(), ConfigError>>,
}

/// The one who writes configurations in this server. Clones share the queues.
#[derive(Clone)]
pub(super) struct Writer {
    stored: Stored,
    /// Not the door's: what was taken up is finished also when the door closes.
    background: Handle,
    /// The changes that wait, for each namespace that is being written.
    queues: Arc<Mutex<HashMap<String, VecDeque<Job>>>>,
}

impl Writer {
    pub(super) fn new(stored: Stored, background: Handle) -> Self {
        Self {
            stored,
            background,
            queues: Arc::default(),
        }
    }

    /// Makes a change; it is in the store when this returns. Dropped, the change is made all the
    /// same.
    pub(super) async fn change(&self, namespace: &str, change: Change) -> Result<(), ConfigError> {
        let (done, result) = oneshot::channel();
        self.enqueue(namespace, Job { change, done })?;
        result.await.unwrap_or(Err(ConfigError::Stopping))
    }

    fn enqueue(&self, namespace: &str, job: Job) -> Result<(), ConfigError> {
        let mut queues = self.queues();
        if let Some(queue) = queues.get_mut(namespace) {
            if queue.len() >= WAITING {
                return Err(ConfigError::Busy);
            }
            queue.push_back(job);
            return Ok(());
        }
        queues.insert(namespace.to_owned(), VecDeque::from([job]));
        drop(queues);
        let (this, namespace) = (self.clone(), namespace.to_owned());
        self.background.spawn(async move {
            let finished = Finish(&this, &namespace);
            while let Some(jobs) = this.next_batch(&namespace) {
                this.write(&namespace, jobs).await;
            }
            drop(finished);
        });
        Ok(())
    }

    fn queues(&self) -> MutexGuard<'_, HashMap<String, VecDeque<Job>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What waits for a namespace; the queue goes when nothing does.
    fn next_batch(&self, namespace: &str) -> Option<Vec<Job>> {
        let mut queues = self.queues();
        let queue = queues.get_mut(namespace)?;
        if queue.is_empty() {
            queues.remove(namespace);
            return None;
        }
        let count = queue.len().min(BATCH);
        Some(queue.drain(..count).collect())
    }

    async fn write(&self, namespace: &str, jobs: Vec<Job>) {
        let (changes, waiting): (Vec<_>, Vec<_>) =
            jobs.into_iter().map(|job| (job.change, job.done)).unzip();
        let results = match self.apply(namespace, &changes).await {
            Ok(results) => results,
            Err(error) => vec![Err(error); waiting.len()],
        };
        for (done, result) in waiting.into_iter().zip(results) {
            // Who does not wait any more is not told.
            let _ = done.send(result);
        }
    }

    /// Makes the changes in one write and says how each went.
    async fn apply(
        &self,
        namespace: &str,
        changes: &[Change],
    ) -> Result<Vec<Result<(), ConfigError>>, ConfigError> {
        for attempt in 0..ATTEMPTS {
            let read = self.stored.read(namespace).await?;
            let (results, bytes) = apply_to(read.as_ref().map(|(tree, _)| tree), changes);
            let version = read.map(|(_, version)| version);
            let Some(bytes) = bytes else {
                return Ok(results);
            };
            if self.stored.write(namespace, bytes, version).await? {
                return Ok(results);
            }
            // Servers that lost together should not meet again at once.
            let spread = u64::from(uuid::Uuid::new_v4().as_bytes()[0]);
            let pause = spread * u64::from(attempt.min(5)) / 16;
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        Err(ConfigError::Busy)
    }
}

/// Forgets the queue of a namespace whose writer ended, however it ended: with a panic, those who
/// wait are told, and the next change begins anew.
struct Finish<'a>(&'a Writer, &'a str);

impl Drop for Finish<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.queues().remove(self.1);
        }
    }
}

/// How each change goes, and what is to be stored then, if anything.
fn apply_to(
    before: Option<&Node>,
    changes: &[Change],
) -> (Vec<Result<(), ConfigError>>, Option<Vec<u8>>) {
    let mut there = before.cloned();
    let results: Vec<_> = changes
        .iter()
        .map(|change| apply_one(&mut there, change))
        .collect();
    if there.as_ref() == before {
        return (results, None);
    }
    match there.as_ref().map(encode).transpose() {
        Ok(bytes) => (results, bytes),
        // One of them is too much: each is weighed alone, which is slow and rare.
        Err(_) => apply_weighed(before, changes),
    }
}

fn apply_weighed(
    before: Option<&Node>,
    changes: &[Change],
) -> (Vec<Result<(), ConfigError>>, Option<Vec<u8>>) {
    let (mut there, mut bytes) = (before.cloned(), None);
    let results = changes
        .iter()
        .map(|change| {
            let mut next = there.clone();
            apply_one(&mut next, change)?;
            if next != there {
                bytes = next.as_ref().map(encode).transpose()?;
                there = next;
            }
            Ok(())
        })
        .collect();
    (results, bytes)
}

fn apply_one(tree: &mut Option<Node>, change: &Change) -> Result<(), ConfigError> {
    match change {
        Change::Set(path, node) => {
            let mut new = tree.take().unwrap_or_default();
            let set = new.set(path, node.clone());
            // A refused first change leaves an empty configuration, which is none.
            if set.is_ok() || new != Node::default() {
                *tree = Some(new);
            }
            Ok(set?)
        }
        Change::Delete(path) => {
            tree.as_mut().ok_or(ConfigError::Missing)?.delete(path);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set(path: &str, value: serde_json::Value) -> Change {
        let path = Path::parse(path).unwrap();
        let node = Node::new(value, &path, None).unwrap();
        Change::Set(path, node)
    }

    fn delete(path: &str) -> Change {
        Change::Delete(Path::parse(path).unwrap())
    }

    fn read(bytes: Option<Vec<u8>>) -> Option<Node> {
        bytes.map(|bytes| serde_json::from_slice(&bytes).unwrap())
    }

    #[test]
    fn a_refused_change_does_not_hinder_the_others() {
        let changes = [
            delete("a"),
            set("a", json!(1)),
            set("a.b", json!(2)),
            set("c", json!(3)),
        ];
        let (results, bytes) = apply_to(None, &changes);
        assert!(matches!(results[0], Err(ConfigError::Missing)));
        assert!(matches!(results[2], Err(ConfigError::Change(_))));
        assert!(results[1].is_ok() && results[3].is_ok());
        let tree = read(bytes).unwrap();
        let whole = tree.render("micro", &Path::default(), None).unwrap();
        assert_eq!(whole, json!({"a": 1, "c": 3}));
    }

    #[test]
    fn what_changes_nothing_is_not_written() {
        let (results, bytes) = apply_to(None, &[delete("a")]);
        assert!(results[0].is_err() && bytes.is_none());
        let tree = read(apply_to(None, &[set("a", json!(1))]).1);
        let (results, bytes) = apply_to(tree.as_ref(), &[set("a", json!(1)), delete("b")]);
        assert!(results.iter().all(Result::is_ok) && bytes.is_none());
    }

    #[test]
    fn the_one_that_is_too_much_is_refused_alone() {
        let large = "x".repeat(1 << 20);
        let mut changes: Vec<_> = (0..5)
            .map(|i| set(&format!("large{i}"), json!(large)))
            .collect();
        changes.push(set("small", json!(1)));
        let (results, bytes) = apply_to(None, &changes);
        let refused: Vec<_> = results.iter().map(Result::is_err).collect();
        assert_eq!(refused, [false, false, false, true, true, false]);
        assert!(
            read(bytes)
                .unwrap()
                .at(&Path::parse("small").unwrap())
                .is_some()
        );
    }
}
