//! The plugin's folder: who owns it, what format it has, and whose data it holds.

mod format;
mod lock;

use std::{
    any::{Any, TypeId},
    collections::HashMap,
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak},
};

use micro_plugin_api::{Error, Result};
use uuid::Uuid;

use self::lock::Lock;

/// The folders that this process owns. An instance for each set of settings may be open in one
/// process, and all of them may mean the same folder.
static OWNED: LazyLock<Mutex<HashMap<PathBuf, Weak<Directory>>>> = LazyLock::new(Mutex::default);

/// A folder that this process owns for as long as this lives.
///
/// - `LOCK` is locked by the owner and says who that is.
/// - `FORMAT` says which format the folder has, and which platform's data it holds.
/// - Each module has a folder of its own in it.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    platform: Uuid,
    /// The modules that are open, by their type, so that each is open once.
    modules: Mutex<HashMap<TypeId, Weak<dyn Any + Send + Sync>>>,
    /// Held, not used: the system unlocks it when the process ends, however it ends.
    _lock: Lock,
}

impl Directory {
    /// Takes the folder, which is made if it is not there, or shares it if this process has it.
    ///
    /// # Errors
    /// `unavailable` if another process owns it, naming that; `unsupported` for a folder of a newer
    /// format; `invalid` for a folder of something else.
    pub fn open(path: &Path) -> Result<Arc<Self>> {
        make(path)?;
        let path = fs::canonicalize(path).map_err(|error| failed("find", path, &error))?;
        let mut owned = owned();
        if let Some(directory) = owned.get(&path).and_then(Weak::upgrade) {
            return Ok(directory);
        }
        let lock = Lock::acquire(&path)?;
        let platform = format::read_or_create(&path)?;
        let directory = Arc::new(Self {
            path: path.clone(),
            platform,
            modules: Mutex::default(),
            _lock: lock,
        });
        owned.retain(|_, directory| directory.strong_count() > 0);
        owned.insert(path, Arc::downgrade(&directory));
        Ok(directory)
    }

    /// Where it is, absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The id of the platform whose data it holds, made once when the folder was.
    pub fn platform(&self) -> Uuid {
        self.platform
    }

    /// What all instances of a module in this folder share: opened by the first of them, with its
    /// settings, and closed with the last.
    ///
    /// # Errors
    /// Those of `open`.
    pub fn share<T: Send + Sync + 'static>(
        self: &Arc<Self>,
        open: impl FnOnce(Arc<Self>) -> Result<T>,
    ) -> Result<Arc<T>> {
        let mut modules = self.modules.lock().unwrap_or_else(PoisonError::into_inner);
        let there = modules.get(&TypeId::of::<T>()).and_then(Weak::upgrade);
        if let Some(Ok(there)) = there.map(Arc::downcast) {
            return Ok(there);
        }
        let opened = Arc::new(open(self.clone())?);
        let weak: Weak<T> = Arc::downgrade(&opened);
        modules.insert(TypeId::of::<T>(), weak);
        Ok(opened)
    }

    /// The folder of a module, which is made if it is not there.
    ///
    /// # Errors
    /// `unavailable` if it cannot be made.
    pub fn module(&self, name: &str) -> Result<PathBuf> {
        let path = self.path.join(name);
        make(&path)?;
        sync(&self.path)?;
        Ok(path)
    }
}

fn owned() -> MutexGuard<'static, HashMap<PathBuf, Weak<Directory>>> {
    OWNED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes a folder that its owner alone may look into, and those above it that are missing.
fn make(path: &Path) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    // It may have been made by somebody with other ideas of what is private.
    let private = made.and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o700)));
    private.map_err(|error| failed("make", path, &error))
}

/// Puts the entries of a folder on disk: a file that was made or renamed is in it after a crash.
pub(crate) fn sync(folder: &Path) -> Result<()> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| failed("sync", folder, &error))
}

/// The error of something that was to be done to a file or folder.
pub(crate) fn failed(what: &str, path: &Path, error: &io::Error) -> Error {
    let advice = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; free some space there, writing goes on by itself"
        }
        io::ErrorKind::PermissionDenied => "; it must belong to the user that runs the server",
        _ => "",
    };
    Error::unavailable(format!("cannot {what} {}: {error}{advice}", path.display()))
}
