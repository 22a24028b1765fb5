//! A blob's file: a header that says whose it is, the bytes in frames with a checksum each, and an
//! end that says how many they are.
//!
//! A frame is checked before it is served, so that nothing damaged ever is. All numbers are
//! little-endian.
//!
//! ```text
//! file   = "microblob 1\n" header frame* end
//! header = length u32, checksum u64, JSON
//! frame  = length u32 (not 0), checksum u64 of (offset in the blob u64, bytes), bytes
//! end    = 0 u32, checksum u64 of (size u64, header's checksum u64), size u64
//! ```

use std::{
    fs::File,
    io::{self, BufReader, Read, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use bytes::{Bytes, BytesMut};
use micro_plugin_api::{
    Error, Result,
    blob::{BlobInfo, BlobKey, BlobMeta},
};
use serde::{Deserialize, Serialize};
use tempfile::{Builder, NamedTempFile};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::directory::failed;

const MAGIC: &[u8; 12] = b"microblob 1\n";

/// The longest frame, in bytes.
const FRAME: usize = 64 << 10;

/// The longest header, in bytes: a key of any length that has a path, and its content type.
const HEADER: usize = 1 << 20;

/// The length of the end of a file.
const END: usize = 20;

/// Whose a file is, and what its writer said of it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    namespace: String,
    key: String,
    content_type: String,
    public: bool,
}

impl Header {
    pub(super) fn new(key: BlobKey<'_>, meta: &BlobMeta) -> Self {
        Self {
            namespace: key.namespace.to_owned(),
            key: key.key.to_owned(),
            content_type: meta.content_type.clone(),
            public: meta.public,
        }
    }
}

/// A blob that is being written. Dropped, it never was.
pub(super) struct Writer {
    file: NamedTempFile,
    header: u64,
    size: u64,
}

impl Writer {
    /// Begins a file in `folder`.
    pub(super) fn create(folder: &Path, header: &Header) -> Result<Self> {
        let create = || -> io::Result<Self> {
            let mut file = Builder::new().prefix("").tempfile_in(folder)?;
            let json = serde_json::to_vec(header)?;
            if json.len() > HEADER {
                return Err(io::Error::other("its content type is too long"));
            }
            let sum = xxh3_64(&json);
            let mut bytes = BytesMut::from(&MAGIC[..]);
            bytes.extend(frame_length(json.len()));
            bytes.extend(sum.to_le_bytes());
            bytes.extend(json);
            file.write_all(&bytes)?;
            Ok(Self {
                file,
                header: sum,
                size: 0,
            })
        };
        create().map_err(|error| failed("write a blob in", folder, &error))
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let mut framed = Vec::with_capacity(bytes.len() + bytes.len() / FRAME * 12 + 12);
        for frame in bytes.chunks(FRAME) {
            framed.extend(frame_length(frame.len()));
            framed.extend(frame_checksum(self.size, frame).to_le_bytes());
            framed.extend_from_slice(frame);
            self.size += frame.len() as u64;
        }
        let written = self.file.write_all(&framed);
        written.map_err(|error| failed("write", self.file.path(), &error))
    }

    /// Puts it on disk. Gives the file and the number of bytes of the blob.
    pub(super) fn finish(mut self) -> Result<(NamedTempFile, u64)> {
        let mut end = Vec::with_capacity(END);
        end.extend([0; 4]);
        end.extend(end_checksum(self.size, self.header).to_le_bytes());
        end.extend(self.size.to_le_bytes());
        let written = self.file.write_all(&end);
        let synced = written.and_then(|()| self.file.as_file().sync_all());
        synced.map_err(|error| failed("write", self.file.path(), &error))?;
        Ok((self.file, self.size))
    }
}

fn frame_length(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes()
}

fn frame_checksum(offset: u64, bytes: &[u8]) -> u64 {
    let mut hasher = Xxh3::new();
    hasher.update(&offset.to_le_bytes());
    hasher.update(bytes);
    hasher.digest()
}

fn end_checksum(size: u64, header: u64) -> u64 {
    let mut hasher = Xxh3::new();
    hasher.update(&size.to_le_bytes());
    hasher.update(&header.to_le_bytes());
    hasher.digest()
}

/// A blob that is being read.
pub(super) struct Reader {
    file: BufReader<File>,
    /// For errors.
    path: PathBuf,
    namespace: String,
    key: String,
    offset: u64,
    size: u64,
}

impl Reader {
    /// Begins to read the file of the blob `key`.
    ///
    /// # Errors
    /// `internal` if it is damaged, naming the blob and the file.
    pub(super) fn open(file: File, path: &Path, key: BlobKey<'_>) -> Result<(BlobInfo, Self)> {
        let mut reader = Self {
            file: BufReader::with_capacity(FRAME, file),
            path: path.to_owned(),
            namespace: key.namespace.to_owned(),
            key: key.key.to_owned(),
            offset: 0,
            size: 0,
        };
        let opened = reader.header_and_end();
        let (header, size) = opened.map_err(|error| reader.failed(&error))?;
        if header.namespace != reader.namespace || header.key != reader.key {
            return Err(reader.damaged("it is the file of another blob"));
        }
        reader.size = size;
        let info = BlobInfo {
            key: header.key,
            size,
            meta: BlobMeta {
                content_type: header.content_type,
                public: header.public,
            },
        };
        Ok((info, reader))
    }

    fn header_and_end(&mut self) -> io::Result<(Header, u64)> {
        let mut magic = [0; MAGIC.len()];
        self.file.read_exact(&mut magic)?;
        if magic != *MAGIC {
            return Err(invalid("it does not begin as a blob's file"));
        }
        let (length, sum) = self.frame_head()?;
        if length > HEADER {
            return Err(invalid("its header is too long"));
        }
        let mut json = vec![0; length];
        self.file.read_exact(&mut json)?;
        if xxh3_64(&json) != sum {
            return Err(invalid("its header is not what was written"));
        }
        let header = serde_json::from_slice(&json)?;
        let begin = self.file.stream_position()?;
        self.file.seek(SeekFrom::End(-(END as i64)))?;
        let (zero, end) = self.frame_head()?;
        let mut size = [0; 8];
        self.file.read_exact(&mut size)?;
        let size = u64::from_le_bytes(size);
        if zero != 0 || end != end_checksum(size, sum) {
            return Err(invalid("its end is not what was written"));
        }
        self.file.seek(SeekFrom::Start(begin))?;
        Ok((header, size))
    }

    fn frame_head(&mut self) -> io::Result<(usize, u64)> {
        let (mut length, mut sum) = ([0; 4], [0; 8]);
        self.file.read_exact(&mut length)?;
        self.file.read_exact(&mut sum)?;
        let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
        Ok((length, u64::from_le_bytes(sum)))
    }

    /// The next bytes; `None` behind the last.
    ///
    /// # Errors
    /// `internal` if they are not what was written, naming the blob and the file.
    pub(super) fn next_chunk(&mut self) -> Result<Option<Bytes>> {
        self.chunk().map_err(|error| self.failed(&error))
    }

    fn chunk(&mut self) -> io::Result<Option<Bytes>> {
        let (length, sum) = self.frame_head()?;
        if length == 0 && self.offset == self.size {
            return Ok(None);
        }
        if length == 0 || length > FRAME {
            return Err(invalid("the length of a part is not what was written"));
        }
        let mut bytes = BytesMut::zeroed(length);
        self.file.read_exact(&mut bytes)?;
        if frame_checksum(self.offset, &bytes) != sum {
            return Err(invalid("a part of it is not what was written"));
        }
        self.offset += length as u64;
        Ok(Some(bytes.freeze()))
    }

    fn failed(&self, error: &io::Error) -> Error {
        match error.kind() {
            io::ErrorKind::InvalidData
            | io::ErrorKind::UnexpectedEof
            | io::ErrorKind::InvalidInput => self.damaged(&error.to_string()),
            _ => failed("read", &self.path, error),
        }
    }

    fn damaged(&self, why: &str) -> Error {
        Error::internal(format!(
            "damaged blob: {:?} in namespace {:?}, at byte {} ({why}), in the file {}; check that \
             disk, and write the blob again or restore it from a backup",
            self.key,
            self.namespace,
            self.offset,
            self.path.display()
        ))
    }
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
