//! Whose data a backend holds: the platform's id, and the proof that two instances are of one
//! backend.
//!
//! What is written through one instance and read through the other shows that both have the same
//! data. Nothing less does: a store may hold the platform's id and its accounts as they were long
//! ago.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use micro_plugin_api::{
    BlobHandle, Bytes, Call, Code, Error, Result, StoreHandle, StreamHandle,
    blob::{BlobKey, BlobMeta},
    store::{Commit, Precondition, Put, Table, Version},
    stream::{HistoryQuery, NewEvent},
};
use tokio::time::sleep;
use uuid::Uuid;

use crate::{Modules, PLATFORM_DATABASE, swappable::Pending, unix_millis};

/// The table of what the platform is.
pub(crate) const TABLE: Table<'static> = Table::new(PLATFORM_DATABASE, "platform");
/// The key of the platform's id, a UUID as text; of a blob too, in a blob store that was copied.
pub(crate) const ID: &str = "id";
/// The key that a store has, or the blob that a blob store has, while another is copied into it.
pub(crate) const COPYING: &str = "copying";
/// The key of what is written to be told of again.
pub(crate) const TOLD: &str = "told";
/// The key, blob and topic of what is written to be found again.
pub(crate) const PROOF: &str = "swap";

/// How often two backends are asked whether they are one, while other servers ask the same.
const ATTEMPTS: u32 = 10;
/// The longest text that says whose a backend is, in bytes.
const LONGEST: usize = 4096;
/// How often a backend is asked that is down.
const AGAIN: Duration = Duration::from_millis(500);
/// How long a backend may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);

fn call() -> Call {
    Call::new(PLATFORM_DATABASE).with_timeout(TIMEOUT)
}

fn put(text: &str) -> Put {
    Put {
        value: Bytes::copy_from_slice(text.as_bytes()),
        ..Put::default()
    }
}

impl Modules {
    /// The id of the platform whose records the store holds, which it gets now if it has none.
    ///
    /// # Errors
    /// A store that cannot be read, or what [`Self::check_whole`] knows of it.
    pub async fn platform_id(&self) -> Result<String> {
        match self.check_whole().await {
            Err(error) if error.code() == Code::CONFLICT => return Err(error),
            // Of the blobs alone, perhaps; the store tells itself.
            Ok(()) | Err(_) => {}
        }
        let id = match self.slots.store.live() {
            Ok(live) => id_of(&live.handle).await,
            Err(error) => Err(error),
        };
        match &id {
            Ok(id) => self.slots.trust.begin(id),
            Err(_) => self.slots.trust.await_first(),
        }
        id
    }

    /// Whether the store still holds what the server began with, asked now.
    ///
    /// # Errors
    /// `unavailable` if it does not, or does not answer.
    pub async fn confirm_store(&self) -> Result<()> {
        let live = self.slots.store.live()?;
        self.slots.trust.verify(&call(), &live.handle).await
    }

    /// Whether neither store nor blob store is one that another was being copied into when that
    /// ended.
    ///
    /// # Errors
    /// `conflict` for one that is; what they fail with if they cannot be read.
    pub async fn check_whole(&self) -> Result<()> {
        let (store, blob, call) = (self.slots.store.live()?, self.blob(), call());
        // Beside each other: either may be down, and then takes its time to say so.
        let (store, blobs) = tokio::join!(
            check_whole_store(&call, &store.handle),
            blob.read(&call, blob_key(COPYING))
        );
        let blobs = match blobs {
            Ok(_) => Err(unfinished("blob store")),
            Err(error) if error.code() == Code::NOT_FOUND => Ok(()),
            Err(error) => Err(error),
        };
        match (store, blobs) {
            (Err(error), _) if error.code() == Code::CONFLICT => Err(error),
            (_, Err(error)) if error.code() == Code::CONFLICT => Err(error),
            (store, blobs) => store.and(blobs),
        }
    }

    /// Waits for an unfinished copy that could not be seen while store or blob store was down. For
    /// ever if there is none.
    pub async fn unfinished_copy(&self) -> Error {
        loop {
            match self.check_whole().await {
                Ok(()) => std::future::pending().await,
                Err(error) if error.code() == Code::CONFLICT => return error,
                Err(_) => sleep(AGAIN).await,
            }
        }
    }
}

/// Whether a store is none that another was being copied into when that ended.
pub(crate) async fn check_whole_store(call: &Call, store: &StoreHandle) -> Result<()> {
    match store.read(call, TABLE, COPYING).await? {
        None => Ok(()),
        Some(_) => Err(unfinished("store")),
    }
}

fn unfinished(what: &str) -> Error {
    Error::conflict(format!(
        "the {what} holds an unfinished copy of another one: go back to the profile that was in use, \
         start the server with it, and make the copy again with `micro profile reload --copy`"
    ))
}

/// The platform's id in a store, which it gets if it has none.
pub(crate) async fn id_of(store: &StoreHandle) -> Result<String> {
    loop {
        if let Some(id) = read(&call(), store, ID).await? {
            return Ok(id);
        }
        let id = put(&Uuid::now_v7().to_string());
        let commit = Commit::new().put(TABLE, ID, Precondition::Absent, id);
        match store.commit(&call(), &commit).await {
            Ok(_) => {}
            // Another server was faster.
            Err(error) if error.code() == Code::CONFLICT => {}
            Err(error) => return Err(error),
        }
    }
}

/// Marks a store as one that is being copied into, for the platform of that id.
pub(crate) async fn mark_unfinished(store: &StoreHandle, platform: &str) -> Result<()> {
    let copying = put("another store is being copied into this one");
    let commit = Commit::new()
        .put(TABLE, COPYING, Precondition::Any, copying)
        .put(TABLE, ID, Precondition::Any, put(platform));
    store.commit(&call(), &commit).await.map(drop)
}

/// Says in a blob store that its blobs are those of the platform of that id.
pub(crate) async fn mark_blobs(blob: &BlobHandle, platform: &str) -> Result<()> {
    write_blob(blob, ID, platform).await
}

/// Marks a blob store as one that is being copied into, for the platform of that id.
pub(crate) async fn mark_unfinished_blobs(blob: &BlobHandle, platform: &str) -> Result<()> {
    let copying = "another blob store is being copied into this one";
    write_blob(blob, COPYING, copying).await?;
    mark_blobs(blob, platform).await
}

/// What a blob store holds that is not the one in use.
pub(crate) async fn blobs_of(blob: &BlobHandle, platform: &str) -> Result<Holds> {
    Ok(match read_blob(blob, ID).await? {
        Some(id) if id == platform => Holds::OlderOurs,
        Some(id) => Holds::Another(id),
        None if blob.namespaces(&call()).await?.is_empty() => Holds::Nothing,
        None => Holds::Something,
    })
}

/// What the store `new` holds, given the one in use, the platform's id, and that another server may
/// be asking the same of both. The proof is the one to take out again.
pub(crate) async fn store_holds(
    old: &StoreHandle,
    new: &StoreHandle,
    platform: &str,
) -> Result<(Holds, Proof)> {
    let mut attempt = 1;
    loop {
        let proof = Proof::in_store(old).await?;
        let holds = proof.look_in_store(new, platform).await?;
        let is_told =
            holds == Holds::Ours || read(&call(), old, PROOF).await?.as_ref() == Some(&proof.text);
        if is_told || attempt == ATTEMPTS {
            return Ok((holds, proof));
        }
        // Another server has written its own over it.
        attempt += 1;
        sleep(pause()).await;
    }
}

/// Whether two blob stores have the same blobs, as [`store_holds`] asks of stores.
pub(crate) async fn are_same_blobs(old: &BlobHandle, new: &BlobHandle) -> Result<bool> {
    let mut attempt = 1;
    loop {
        let proof = Proof::in_blob(old).await?;
        let same = proof.is_in_blob(new).await?;
        if same || attempt == ATTEMPTS || proof.is_in_blob(old).await? {
            return Ok(same);
        }
        attempt += 1;
        sleep(pause()).await;
    }
}

/// Another one each time, so that two servers do not get in each other's way again.
fn pause() -> Duration {
    Duration::from_millis(20 + Uuid::new_v4().as_u64_pair().0 % 100)
}

async fn write_blob(blob: &BlobHandle, key: &str, text: &str) -> Result<()> {
    let body = Box::pin(stream::iter([Ok(Bytes::copy_from_slice(text.as_bytes()))]));
    blob.write(&call(), blob_key(key), &BlobMeta::default(), body)
        .await
        .map(drop)
}

async fn read_blob(blob: &BlobHandle, key: &str) -> Result<Option<String>> {
    let mut body = match blob.read(&call(), blob_key(key)).await {
        Ok((_, body)) => body,
        Err(error) if error.code() == Code::NOT_FOUND => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut text = Vec::new();
    // More than that is none of ours.
    while text.len() <= LONGEST
        && let Some(chunk) = body.try_next().await?
    {
        text.extend_from_slice(&chunk);
    }
    Ok(Some(String::from_utf8_lossy(&text).into_owned()))
}

/// What a store says of itself under a key.
pub(crate) async fn read(call: &Call, store: &StoreHandle, key: &str) -> Result<Option<String>> {
    let record = store.read(call, TABLE, key).await?;
    Ok(record.map(|record| String::from_utf8_lossy(&record.value).into_owned()))
}

/// What another store holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    /// The very records that are in use.
    Ours,
    /// Records of this platform that are not those in use.
    OlderOurs,
    /// Some of the records of this platform: a copy that ended before its end.
    PartOfOurs,
    /// Those of the platform of that id.
    Another(String),
    /// Records of nobody who said so.
    Something,
    /// Nothing.
    Nothing,
}

/// Something that was written through one instance, to be looked for through another.
pub(crate) struct Proof {
    text: String,
    /// Of the record, if it is one.
    version: Option<Version>,
}

impl Proof {
    /// One that is no record.
    fn other(text: String) -> Self {
        Self {
            text,
            version: None,
        }
    }

    /// Leaves one in a store.
    pub(crate) async fn in_store(store: &StoreHandle) -> Result<Self> {
        let text = Uuid::now_v7().to_string();
        let commit = Commit::new().put(TABLE, PROOF, Precondition::Any, put(&text));
        let version = store.commit(&call(), &commit).await?;
        Ok(Self {
            text,
            version: Some(version),
        })
    }

    /// What a store holds, given the platform's id.
    pub(crate) async fn look_in_store(&self, store: &StoreHandle, platform: &str) -> Result<Holds> {
        if read(&call(), store, PROOF).await?.as_ref() == Some(&self.text) {
            return Ok(Holds::Ours);
        }
        let is_unfinished = read(&call(), store, COPYING).await?.is_some();
        Ok(match read(&call(), store, ID).await? {
            Some(id) if id == platform && is_unfinished => Holds::PartOfOurs,
            Some(id) if id == platform => Holds::OlderOurs,
            Some(id) => Holds::Another(id),
            None if store.databases(&call()).await?.is_empty() => Holds::Nothing,
            None => Holds::Something,
        })
    }

    /// Takes it out of a store again, on its own time: it does no harm there. That of a later swap
    /// stays.
    pub(crate) fn remove_from_store(&self, store: &Arc<crate::live::Live<StoreHandle>>) {
        let Some(version) = self.version else {
            return;
        };
        let store = store.clone();
        tokio::spawn(async move {
            let commit = Commit::new().delete(TABLE, PROOF, Precondition::Version(version));
            let _ = store.handle.commit(&call(), &commit).await;
        });
    }

    /// Leaves one in a blob store.
    pub(crate) async fn in_blob(blob: &BlobHandle) -> Result<Self> {
        let proof = Self::other(Uuid::now_v7().to_string());
        write_blob(blob, PROOF, &proof.text).await?;
        Ok(proof)
    }

    /// Whether it is in a blob store.
    pub(crate) async fn is_in_blob(&self, blob: &BlobHandle) -> Result<bool> {
        Ok(read_blob(blob, PROOF).await?.as_ref() == Some(&self.text))
    }

    /// Leaves one in a stream.
    pub(crate) async fn in_stream(stream: &StreamHandle, pending: &Pending) -> Result<Self> {
        let event = NewEvent::new(topic(), "");
        let ids = stream.publish(&call(), &[event]).await?;
        let id = ids.into_iter().next().unwrap_or_default();
        // The id tells when the backend took it in, by its own clock.
        if let Some(time) = Uuid::parse_str(&id).ok().and_then(|id| id.get_timestamp()) {
            let (seconds, nanos) = time.to_unix();
            let theirs = seconds * 1_000 + u64::from(nanos) / 1_000_000;
            let ahead = i128::from(theirs) - i128::from(unix_millis());
            pending.set_ahead(ahead.try_into().unwrap_or_default());
        }
        Ok(Self::other(id))
    }

    /// Whether it is in a stream.
    pub(crate) async fn is_in_stream(&self, stream: &StreamHandle) -> Result<bool> {
        let query = HistoryQuery::default();
        let mut events = match stream.history(&call(), &topic(), &query).await {
            Ok(events) => events,
            Err(error) if error.code() == Code::UNSUPPORTED => return Ok(false),
            Err(error) => return Err(error),
        };
        while let Some(event) = events.next().await {
            if event?.id == self.text {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn blob_key(key: &str) -> BlobKey<'_> {
    BlobKey::new(PLATFORM_DATABASE, key)
}

fn topic() -> String {
    format!("{PLATFORM_DATABASE}/{PROOF}")
}
