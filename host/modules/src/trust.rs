//! Whether the store that is live still holds what the server began with. A backend may come back
//! empty, or as somebody else's: its accounts and rules would take the place of this platform's.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use micro_plugin_api::{Call, Code, Error, Result, StoreHandle};

use crate::identity::{self, ID};

/// Which store it has to be.
#[derive(Clone, Default)]
enum Expected {
    /// Any: nobody has asked for the platform's id.
    #[default]
    Any,
    /// The first that answers, if it is whole.
    First,
    /// The one of the platform of this id.
    Of(String),
}

/// What is expected of the store, and whether it has been seen since it failed last.
pub(crate) struct Trust {
    expected: Mutex<Expected>,
    is_sure: AtomicBool,
}

impl Default for Trust {
    fn default() -> Self {
        Self {
            expected: Mutex::default(),
            is_sure: AtomicBool::new(true),
        }
    }
}

impl Trust {
    /// From now on only a store of that platform will do; this one is.
    pub(crate) fn begin(&self, platform: &str) {
        *self.lock() = Expected::Of(platform.to_owned());
        self.is_sure.store(true, Ordering::Release);
    }

    /// The store has not answered: the first that does, if it is whole, is the one.
    pub(crate) fn await_first(&self) {
        *self.lock() = Expected::First;
        self.is_sure.store(false, Ordering::Release);
    }

    /// Notes how a call to the store ended: one that failed may come back as another one.
    pub(crate) fn note<T>(&self, result: Result<T>) -> Result<T> {
        if let Err(error) = &result
            && error.code() == Code::UNAVAILABLE
            && !matches!(&*self.lock(), Expected::Any)
        {
            self.is_sure.store(false, Ordering::Release);
        }
        result
    }

    /// Asks the store whose it is, unless it has answered that since it failed last.
    ///
    /// # Errors
    /// `unavailable` if it is not the one that is expected, or does not answer.
    pub(crate) async fn check(&self, call: &Call, store: &StoreHandle) -> Result<()> {
        if self.is_sure.load(Ordering::Acquire) {
            return Ok(());
        }
        self.verify(call, store).await
    }

    /// Asks the store whose it is.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub(crate) async fn verify(&self, call: &Call, store: &StoreHandle) -> Result<()> {
        let expected = self.lock().clone();
        let verified = match &expected {
            Expected::Any => Ok(()),
            Expected::First => {
                whole(call, store).await?;
                let id = identity::id_of(store).await?;
                *self.lock() = Expected::Of(id);
                Ok(())
            }
            Expected::Of(platform) => match identity::read(call, store, ID).await? {
                Some(id) if id == *platform => whole(call, store).await,
                found => Err(another(platform, found.as_deref())),
            },
        };
        self.is_sure.store(verified.is_ok(), Ordering::Release);
        verified
    }

    fn lock(&self) -> MutexGuard<'_, Expected> {
        // Nothing that is done under the lock can panic half way.
        self.expected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn whole(call: &Call, store: &StoreHandle) -> Result<()> {
    let whole = identity::check_whole_store(call, store).await;
    // For whoever calls it is no conflict of theirs.
    whole.map_err(|error| match error.code() {
        Code::CONFLICT => Error::unavailable(error.message()),
        _ => error,
    })
}

fn another(platform: &str, found: Option<&str>) -> Error {
    let holds = match found {
        Some(id) => format!("holds the records of another platform ({id})"),
        None => "does not hold the id of any platform".to_owned(),
    };
    Error::unavailable(format!(
        "the store has changed behind the server: it {holds}, and this server began with platform \
         {platform}. Nothing is read from it or written to it; bring the records back, or restart \
         the server to begin with what the store holds now"
    ))
}
