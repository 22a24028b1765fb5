//! One page of the blobs of a namespace. Folders give their entries in no order, so a page looks
//! at all names, and keeps the first ones alone.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use micro_plugin_api::{
    Result,
    blob::{BlobKey, BlobPage, BlobQuery},
    store::Position,
};

use super::{
    file::Reader,
    path::{self, KEY, MORE},
};
use crate::directory::failed;

/// The most blobs of a page whose query names no limit, or a larger one.
const PAGE: usize = 1_000;

/// A query that may go to another thread.
pub(super) struct Query {
    /// The namespace's folder, if it can have one.
    folder: Option<PathBuf>,
    namespace: String,
    prefix: String,
    after: Option<String>,
    limit: usize,
}

/// The first keys that were found, and their files: one more than go on a page.
struct Found<'a> {
    query: &'a Query,
    files: BTreeMap<String, PathBuf>,
}

impl Query {
    /// # Errors
    /// `invalid` for a cursor of somebody else.
    pub(super) fn new(folder: &Path, query: &BlobQuery<'_>) -> Result<Self> {
        let position = query.cursor.map(Position::from_cursor).transpose()?;
        Ok(Self {
            folder: path::of_namespace(folder, query.namespace),
            namespace: query.namespace.to_owned(),
            prefix: query.prefix.to_owned(),
            after: position.map(|position| position.key),
            limit: match query.limit {
                0 => PAGE,
                limit => limit.min(PAGE),
            },
        })
    }

    /// # Errors
    /// `internal` if a blob of the page is damaged, naming it.
    pub(super) fn page(&self) -> Result<BlobPage> {
        let mut found = Found {
            query: self,
            files: BTreeMap::new(),
        };
        if let Some(folder) = &self.folder {
            found.look_into(folder, "")?;
        }
        let mut page = BlobPage::default();
        if found.files.len() > self.limit {
            // By what was found: a blob of this page may be deleted before it is looked at.
            found.files.pop_last();
            page.next = found.files.last_key_value().map(|(key, _)| {
                let key = key.clone();
                Position { skip: 0, key }.to_cursor()
            });
        }
        for (key, file) in found.files {
            let opened = match File::open(&file) {
                Ok(opened) => opened,
                // Deleted since.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(failed("open", &file, &error)),
            };
            let key = BlobKey::new(&self.namespace, &key);
            page.blobs.push(Reader::open(opened, &file, key)?.0);
        }
        Ok(page)
    }

    fn matches(&self, key: &str) -> bool {
        key.starts_with(&self.prefix) && self.after.as_deref().is_none_or(|after| key > after)
    }
}

impl Found<'_> {
    /// Looks at the names in a folder, which stands for what the encoded `so_far` begins.
    fn look_into(&mut self, folder: &Path, so_far: &str) -> Result<()> {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(failed("list", folder, &error)),
        };
        for entry in entries {
            let entry = entry.map_err(|error| failed("list", folder, &error))?;
            match path::piece(&entry.file_name()) {
                Some((piece, MORE)) => {
                    self.look_into(&entry.path(), &format!("{so_far}{piece}"))?;
                }
                Some((piece, KEY)) => {
                    let key = path::decode(&format!("{so_far}{piece}"));
                    if let Some(key) = key.filter(|key| self.query.matches(key)) {
                        self.keep(key, entry.path());
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn keep(&mut self, key: String, file: PathBuf) {
        self.files.insert(key, file);
        if self.files.len() > self.query.limit + 1 {
            self.files.pop_last();
        }
    }
}
