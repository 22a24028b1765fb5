//! The index beside a full segment, so that opening a log does not read all of it.
//!
//! ```text
//! "mEx1" | CRC-32C of the rest: u32 | end: u32 | first, last taken in: u64 u64 | topics: u32
//! topic: length: u32 | text | events: u32 | offset: u32 …
//! ```

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::scan::Contents;

const MAGIC: [u8; 4] = *b"mEx1";

fn beside(segment: &Path) -> PathBuf {
    segment.with_extension("index")
}

/// Writes the index of a segment.
pub(super) fn write(segment: &Path, contents: &Contents) -> io::Result<()> {
    let (path, folder) = (beside(segment), segment.parent().unwrap_or(Path::new(".")));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    let body = encode(contents);
    file.write_all(&MAGIC)?;
    file.write_all(&crc32c::crc32c(&body).to_le_bytes())?;
    file.write_all(&body)?;
    file.as_file().sync_data()?;
    file.persist(path)?;
    Ok(())
}

/// The index of a segment, if there is one that is whole.
pub(super) fn read(segment: &Path) -> Option<Contents> {
    let bytes = fs::read(beside(segment)).ok()?;
    let contents = decode(&bytes)?;
    // One that is for more than there is belongs to another file.
    let there = fs::metadata(segment).ok()?.len();
    (u64::from(contents.end) <= there).then_some(contents)
}

/// Where a segment ended when its index was written, if it has one: also if it is shorter now.
pub(super) fn end(segment: &Path) -> Option<u32> {
    let mut bytes = [0; 12];
    File::open(beside(segment))
        .and_then(|mut file| file.read_exact(&mut bytes))
        .ok()?;
    let end = number(&mut &bytes[8..])?;
    let there = fs::metadata(segment).ok()?.len();
    if u64::from(end) <= there {
        return Some(end);
    }
    // Before that is believed all of the index is looked at.
    Some(decode(&fs::read(beside(segment)).ok()?)?.end)
}

/// Takes the index of a segment away, if there is one.
pub(super) fn delete(segment: &Path) {
    // One that stays is overwritten or ignored.
    let _ = fs::remove_file(beside(segment));
}

fn encode(contents: &Contents) -> Vec<u8> {
    let mut body = Vec::new();
    let number = |body: &mut Vec<u8>, number: usize| {
        let number = u32::try_from(number).expect("a segment has fewer bytes than that");
        body.extend_from_slice(&number.to_le_bytes());
    };
    let (first, last) = contents.times.unwrap_or((u64::MAX, 0));
    body.extend_from_slice(&contents.end.to_le_bytes());
    body.extend_from_slice(&first.to_le_bytes());
    body.extend_from_slice(&last.to_le_bytes());
    number(&mut body, contents.topics.len());
    for (topic, offsets) in &contents.topics {
        number(&mut body, topic.len());
        body.extend_from_slice(topic.as_bytes());
        number(&mut body, offsets.len());
        for offset in offsets {
            body.extend_from_slice(&offset.to_le_bytes());
        }
    }
    body
}

fn decode(bytes: &[u8]) -> Option<Contents> {
    let (magic, rest) = bytes.split_first_chunk()?;
    let (sum, mut rest) = rest.split_first_chunk()?;
    if *magic != MAGIC || crc32c::crc32c(rest) != u32::from_le_bytes(*sum) {
        return None;
    }
    let rest = &mut rest;
    let end = number(rest)?;
    let (first, last) = (long(rest)?, long(rest)?);
    let mut contents = Contents {
        end,
        times: (first <= last).then_some((first, last)),
        ..Contents::default()
    };
    for _ in 0..number(rest)? {
        let length = number(rest)? as usize;
        let (topic, behind) = rest.split_at_checked(length)?;
        *rest = behind;
        let count = number(rest)? as usize;
        let (offsets, behind) = rest.split_at_checked(count.checked_mul(4)?)?;
        *rest = behind;
        let offsets = offsets.chunks_exact(4);
        let offsets = offsets.map(|it| u32::from_le_bytes([it[0], it[1], it[2], it[3]]));
        let topic = Arc::from(std::str::from_utf8(topic).ok()?);
        contents.topics.insert(topic, offsets.collect());
    }
    Some(contents)
}

fn number(rest: &mut &[u8]) -> Option<u32> {
    let (number, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(u32::from_le_bytes(*number))
}

fn long(rest: &mut &[u8]) -> Option<u64> {
    let (number, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(u64::from_le_bytes(*number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_that_is_not_whole_or_of_another_file_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let segment = folder.path().join("1.events");
        let mut contents = Contents::default();
        contents.push("a", 0, 100, 5);
        contents.push("b/ü", 100, 50, 6);
        contents.push("a", 150, 50, 7);
        fs::write(&segment, [0; 200]).unwrap();
        assert_eq!(read(&segment), None);
        write(&segment, &contents).unwrap();
        assert_eq!(read(&segment), Some(contents));
        fs::write(&segment, [0; 199]).unwrap();
        assert_eq!(read(&segment), None);
        fs::write(&segment, [0; 200]).unwrap();
        let whole = fs::read(beside(&segment)).unwrap();
        for damaged in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[damaged] ^= 16;
            fs::write(beside(&segment), &bytes).unwrap();
            assert_eq!(read(&segment), None, "byte {damaged}");
        }
    }
}
