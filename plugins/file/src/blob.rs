//! The blob store: a file for each blob, written beside and moved into place when it is whole and
//! on disk.

mod file;
mod list;
mod namespaces;
mod path;

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::{Bytes, BytesMut};
use futures::{StreamExt as _, stream};
use micro_plugin_api::{
    Blob, ByteStream, Call, Error, Host, Result,
    blob::{BlobInfo, BlobKey, BlobMeta, BlobPage, BlobQuery},
};

use self::file::{Reader, Writer};
use crate::{
    Directory, Settings,
    directory::{failed, sync},
    space::Space,
};

/// How many bytes of a body are gathered before they are written: a thousand small chunks must not
/// become a thousand jobs.
const GATHERED: usize = 256 << 10;

/// How often a folder is made again that a delete took away in between.
const ATTEMPTS: usize = 16;

/// Blobs in the plugin's folder.
pub struct FileBlob {
    shared: Arc<Shared>,
}

/// What all instances with the same folder are views of.
struct Shared {
    folder: PathBuf,
    space: Mutex<Space>,
    _directory: Arc<Directory>,
}

impl FileBlob {
    /// Opens the blobs in the folder that the settings mean.
    ///
    /// # Errors
    /// Those of [`Directory::open`].
    pub fn open(settings: Settings, host: Host) -> Result<Self> {
        let directory = Directory::open(&settings.folder(&host))?;
        let shared = directory.share(|directory| Shared::open(directory, &settings))?;
        Ok(Self { shared })
    }
}

impl Shared {
    fn open(directory: Arc<Directory>, settings: &Settings) -> Result<Self> {
        let folder = directory.module("blob")?;
        let unfinished = path::unfinished(&folder);
        // What a crash left: nobody was told that it is there.
        match fs::remove_dir_all(&unfinished) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed("clear", &unfinished, &error)),
        }
        fs::create_dir(&unfinished).map_err(|error| failed("make", &unfinished, &error))?;
        Ok(Self {
            space: Mutex::new(Space::new(folder.clone(), settings.reserve_mb << 20)),
            folder,
            _directory: directory,
        })
    }

    fn check_space(&self, bytes: usize) -> Result<()> {
        let mut space = self.space.lock().unwrap_or_else(PoisonError::into_inner);
        space.check(bytes)
    }

    /// Moves a whole blob to where it is found, over any that was there.
    fn publish(&self, writer: Writer, path: &Path) -> Result<u64> {
        let (mut temporary, size) = writer.finish()?;
        for attempt in 1.. {
            self.make_parents(path)?;
            match temporary.persist(path) {
                Ok(_) => break,
                // A delete found the folder empty and took it away.
                Err(error)
                    if error.error.kind() == io::ErrorKind::NotFound && attempt < ATTEMPTS =>
                {
                    temporary = error.file;
                }
                Err(error) => return Err(failed("write", path, &error.error)),
            }
        }
        if let Some(parent) = path.parent() {
            sync(parent)?;
        }
        Ok(size)
    }

    /// Makes the folders above a blob, and puts those that are new on disk.
    fn make_parents(&self, path: &Path) -> Result<()> {
        let parents = path
            .ancestors()
            .skip(1)
            .take_while(|parent| *parent != self.folder);
        let mut missing: Vec<_> = parents.take_while(|parent| !parent.is_dir()).collect();
        while let Some(folder) = missing.pop() {
            match fs::create_dir(folder) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                // As with the blob itself: the next attempt begins further up.
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(failed("make", folder, &error)),
            }
            if let Some(parent) = folder.parent() {
                sync(parent)?;
            }
        }
        Ok(())
    }

    fn delete(&self, path: &Path) -> Result<()> {
        match fs::remove_file(path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(failed("delete", path, &error)),
        }
        if let Some(parent) = path.parent() {
            // Another delete may have taken the folder, with what happened in it.
            if parent.is_dir() {
                sync(parent)?;
            }
        }
        let parents = path.ancestors().skip(1);
        for folder in parents.take_while(|parent| *parent != self.folder) {
            // Fails for one that holds something, which is what stops here.
            if fs::remove_dir(folder).is_err() {
                break;
            }
        }
        Ok(())
    }
}

impl Blob for FileBlob {
    async fn write(
        &self,
        _call: &Call,
        key: BlobKey<'_>,
        meta: &BlobMeta,
        mut body: ByteStream,
    ) -> Result<BlobInfo> {
        if key.key.is_empty() {
            return Err(Error::invalid("a blob needs a key that is not empty"));
        }
        let path = path::of(&self.shared.folder, key)?;
        let unfinished = path::unfinished(&self.shared.folder);
        let header = file::Header::new(key, meta);
        let mut writer = blocking(move || Writer::create(&unfinished, &header)).await?;
        let mut gathered = BytesMut::new();
        while let Some(chunk) = body.next().await {
            gathered.extend_from_slice(&chunk?);
            if gathered.len() >= GATHERED {
                writer = self.append(writer, gathered.split().freeze()).await?;
            }
        }
        // Whatever the body holds on to need not wait for the disk.
        drop(body);
        writer = self.append(writer, gathered.freeze()).await?;
        let shared = self.shared.clone();
        let size = blocking(move || shared.publish(writer, &path)).await?;
        Ok(BlobInfo {
            key: key.key.to_owned(),
            size,
            meta: meta.clone(),
        })
    }

    async fn read(&self, _call: &Call, key: BlobKey<'_>) -> Result<(BlobInfo, ByteStream)> {
        let path = path::of(&self.shared.folder, key)?;
        let (namespace, name) = (key.namespace.to_owned(), key.key.to_owned());
        let opened = blocking(move || {
            let key = BlobKey::new(&namespace, &name);
            let file = File::open(&path);
            let missing =
                || Error::not_found(format!("no blob {name:?} in namespace {namespace:?}"));
            let file = file.map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => missing(),
                _ => failed("open", &path, &error),
            })?;
            Reader::open(file, &path, key)
        });
        let (info, reader) = opened.await?;
        let chunks = stream::unfold(Some(reader), async |reader| {
            let mut reader = reader?;
            let read = blocking(move || {
                let chunk = reader.next_chunk()?;
                Ok((chunk, reader))
            });
            match read.await {
                Ok((Some(chunk), reader)) => Some((Ok(chunk), Some(reader))),
                Ok((None, _)) => None,
                Err(error) => Some((Err(error), None)),
            }
        });
        Ok((info, chunks.boxed()))
    }

    async fn delete(&self, _call: &Call, key: BlobKey<'_>) -> Result<()> {
        let path = path::of(&self.shared.folder, key)?;
        let shared = self.shared.clone();
        blocking(move || shared.delete(&path)).await
    }

    async fn list(&self, _call: &Call, query: &BlobQuery<'_>) -> Result<BlobPage> {
        let query = list::Query::new(&self.shared.folder, query)?;
        blocking(move || query.page()).await
    }

    async fn namespaces(&self, _call: &Call) -> Result<Vec<String>> {
        let folder = self.shared.folder.clone();
        blocking(move || namespaces::all(&folder)).await
    }
}

impl FileBlob {
    async fn append(&self, mut writer: Writer, bytes: Bytes) -> Result<Writer> {
        let shared = self.shared.clone();
        blocking(move || {
            shared.check_space(bytes.len())?;
            writer.append(&bytes)?;
            Ok(writer)
        })
        .await
    }
}

/// Runs what waits for the disk where it holds up nobody.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|failure| Err(Error::internal(format!("a blob's file: {failure}"))))
}
