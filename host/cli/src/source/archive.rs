//! The archive of a plan as a stream of chunks: a thread writes it, and waits while nobody takes
//! what it wrote.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::unix::fs::MetadataExt,
};

use bytes::{Bytes, BytesMut};
use futures::Stream;
use tar::{EntryType, Header};
use tokio::sync::mpsc;

use super::{
    SourceError,
    plan::{Entry, Plan},
};

/// The bytes of one chunk: well below what a message may hold.
pub(super) const CHUNK: usize = 1024 * 1024;

/// How many chunks may wait to be sent.
const AHEAD: usize = 2;

impl Plan {
    /// The archive, a plain tar, in chunks of at most 1 MiB. Must be called within a tokio runtime.
    /// Ends after an error; dropping it ends the packing.
    pub(crate) fn archive(self) -> impl Stream<Item = Result<Bytes, SourceError>> + Send + 'static {
        let (chunks, taken) = mpsc::channel(AHEAD);
        tokio::task::spawn_blocking(move || {
            let out = ChunkWriter {
                chunks: chunks.clone(),
                chunk: BytesMut::with_capacity(CHUNK),
            };
            if let Err(error) = write(&self.entries, out) {
                // Whoever has gone away needs no error.
                let _ = chunks.blocking_send(Err(error));
            }
        });
        futures::stream::unfold(taken, |mut taken| async {
            let chunk = taken.recv().await?;
            Some((chunk, taken))
        })
    }
}

fn write(entries: &[Entry], out: ChunkWriter) -> Result<(), SourceError> {
    let mut archive = tar::Builder::new(out);
    for entry in entries {
        append(&mut archive, entry)?;
    }
    let finish = |error: io::Error| SourceError::Walk(format!("cannot pack the source: {error}"));
    archive
        .into_inner()
        .and_then(|mut out| out.flush())
        .map_err(finish)
}

fn append(archive: &mut tar::Builder<ChunkWriter>, entry: &Entry) -> Result<(), SourceError> {
    let mut header = Header::new_gnu();
    header.set_mode(entry.mode);
    header.set_mtime(u64::try_from(entry.meta.mtime()).unwrap_or(0));
    header.set_uid(0);
    header.set_gid(0);
    let read = || SourceError::read(&entry.path);
    if entry.meta.is_dir() {
        header.set_entry_type(EntryType::Directory);
        header.set_size(0);
        return archive
            .append_data(&mut header, &entry.name, io::empty())
            .map_err(read());
    }
    let size = entry.meta.len();
    header.set_entry_type(EntryType::Regular);
    header.set_size(size);
    let mut content = Counted {
        file: File::open(&entry.path).map_err(read())?,
        left: size,
    };
    archive
        .append_data(&mut header, &entry.name, &mut content)
        .map_err(read())?;
    if content.left > 0 {
        return Err(SourceError::Changed(entry.path.clone()));
    }
    Ok(())
}

/// As many bytes of a file as its header promised, however it has grown since.
struct Counted {
    file: File,
    left: u64,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = (&mut self.file).take(self.left).read(buffer)?;
        self.left -= read as u64;
        Ok(read)
    }
}

/// Collects what is written into chunks and hands them on.
struct ChunkWriter {
    chunks: mpsc::Sender<Result<Bytes, SourceError>>,
    chunk: BytesMut,
}

impl Write for ChunkWriter {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let taken = data.len().min(CHUNK - self.chunk.len());
        self.chunk.extend_from_slice(&data[..taken]);
        if self.chunk.len() == CHUNK {
            self.flush()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let full = std::mem::replace(&mut self.chunk, BytesMut::with_capacity(CHUNK));
        self.chunks
            .blocking_send(Ok(full.freeze()))
            .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }
}
