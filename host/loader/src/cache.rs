//! The folder of copies, which does not grow for ever: what nobody has loaded for a while is removed.
//!
//! Whoever makes or finds a copy there holds the folder until the library is open; a library that is
//! open needs its file no more.

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    time::{Duration, SystemTime},
};

/// How long a copy stays that nobody loads: who goes back to the build before finds it.
const KEPT: Duration = Duration::from_secs(3_600);

/// What begins the name of a copy that is being made.
pub(crate) const UNFINISHED: &str = ".copy-";

/// Keeps copies from being removed, as long as it lives.
#[derive(Debug)]
pub(crate) struct Held(#[expect(dead_code, reason = "it is there to be dropped")] Option<File>);

/// Holds the folder `cache`, which is there. Where that cannot be (a full disk), nobody else can
/// hold it alone either, and nothing is removed.
pub(crate) fn hold(cache: &Path) -> Held {
    let lock = lock_file(cache).and_then(|file| file.lock_shared().map(|()| file));
    Held(lock.ok())
}

/// Notes that a copy was loaded now.
pub(crate) fn touch(copy: &Path) {
    // One that looks older than it is may have to be made once more.
    let _ = File::open(copy).and_then(|file| file.set_modified(SystemTime::now()));
}

/// Removes the copies in `cache` that nobody has loaded for [`KEPT`], but those of the hashes in
/// `used`, and the halves of copies that were never finished. Tells how many; none while somebody
/// holds the folder.
pub(crate) fn prune(cache: &Path, used: &BTreeSet<String>) -> usize {
    let lock = lock_file(cache).ok();
    // It is held until all is done.
    let Some(_alone) = lock.filter(|file| file.try_lock().is_ok()) else {
        return 0;
    };
    let entries = fs::read_dir(cache).into_iter().flatten().flatten();
    let unused = entries.filter(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_copy = match name.strip_suffix(".so") {
            Some(hash) => is_hash(hash) && !used.contains(hash),
            None => name.starts_with(UNFINISHED),
        };
        is_copy && entry.metadata().is_ok_and(|facts| is_old(&facts))
    });
    unused
        .filter(|entry| fs::remove_file(entry.path()).is_ok())
        .count()
}

fn lock_file(cache: &Path) -> std::io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(cache.join("lock"))
}

fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_old(facts: &fs::Metadata) -> bool {
    // One from the future, by a clock that was set back, stays.
    let age = facts.modified().map(|then| then.elapsed());
    age.is_ok_and(|age| age.is_ok_and(|age| age > KEPT))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(cache: &Path, name: &str, age: Duration) {
        let file = File::create(cache.join(name)).unwrap();
        file.set_modified(SystemTime::now() - age).unwrap();
    }

    fn names(cache: &Path) -> Vec<String> {
        let entries = fs::read_dir(cache).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| name != "lock").collect();
        names.sort();
        names
    }

    #[test]
    fn what_nobody_has_loaded_for_a_while_goes() {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path();
        let [used, unused, recent, touched] = ["a", "b", "c", "d"].map(|one| one.repeat(64));
        let copy = |hash: &str| format!("{hash}.so");
        let old = KEPT * 2;
        for hash in [&used, &unused, &touched] {
            file(cache, &copy(hash), old);
        }
        file(cache, &copy(&recent), KEPT / 2);
        file(cache, &format!("{UNFINISHED}1"), old);
        file(cache, &format!("{UNFINISHED}2"), Duration::ZERO);
        file(cache, "libmine.so", old);
        file(cache, "notes", old);
        touch(&cache.join(copy(&touched)));
        let used = BTreeSet::from([used]);

        let held = hold(cache);
        assert_eq!(prune(cache, &used), 0);
        assert_eq!(names(cache).len(), 8);
        drop(held);
        assert_eq!(prune(cache, &used), 2);
        let left = [
            format!("{UNFINISHED}2"),
            copy(&"a".repeat(64)),
            copy(&recent),
            copy(&touched),
            "libmine.so".to_owned(),
            "notes".to_owned(),
        ];
        assert_eq!(names(cache), left);
        assert_eq!(prune(&cache.join("nowhere"), &used), 0);
    }
}
