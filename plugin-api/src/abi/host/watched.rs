//! How much a watch of a registry makes its reader hold: whoever follows one keeps every service that it
//! tells of.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
};

use crate::{
    Error, Result,
    registry::{Change, Service},
};

/// The most bytes of the records that are there at one time, as they cross.
const MOST: usize = 128 << 20;

/// What a watch has told of that is there.
#[derive(Default)]
pub(super) struct Watched {
    /// The bytes of each record, by a hash of its domain, name and version.
    sizes: HashMap<u64, usize>,
    bytes: usize,
    hasher: RandomState,
}

impl Watched {
    /// Takes in a change that crossed as so many bytes.
    ///
    /// # Errors
    /// `internal` if more is there now than a server can hold.
    pub(super) fn take_in(&mut self, plugin: &str, change: &Change, bytes: usize) -> Result<()> {
        let (service, bytes) = match change {
            Change::Present(service) | Change::Created(service) | Change::Updated(service) => {
                (service, Some(bytes))
            }
            Change::Deleted(service) => (service, None),
            Change::Synced => return Ok(()),
        };
        let key = self.key(service);
        let before = match bytes {
            Some(bytes) => self.sizes.insert(key, bytes),
            None => self.sizes.remove(&key),
        };
        self.bytes = self.bytes.saturating_sub(before.unwrap_or_default());
        self.bytes = self.bytes.saturating_add(bytes.unwrap_or_default());
        if self.bytes <= MOST {
            return Ok(());
        }
        Err(Error::internal(format!(
            "the plugin {plugin} tells of {} services, whose records hold more than {MOST} bytes; \
             remove what is not needed from the registry, or mend the plugin if it tells of what is not \
             there",
            self.sizes.len()
        )))
    }

    fn key(&self, service: &Service) -> u64 {
        let Service {
            domain,
            name,
            version,
            ..
        } = service;
        self.hasher.hash_one((domain, name, version))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(name: &str) -> Service {
        Service {
            name: name.to_owned(),
            ..Service::default()
        }
    }

    #[test]
    fn what_goes_and_what_is_told_again_does_not_add_up() {
        let mut watched = Watched::default();
        for round in 0..10 {
            let name = format!("service-{}", round % 2);
            let present = Change::Updated(service(&name));
            assert_eq!(watched.take_in("p", &present, MOST / 2), Ok(()), "{round}");
        }
        let gone = Change::Deleted(service("service-0"));
        assert_eq!(watched.take_in("p", &gone, 100), Ok(()));
        assert_eq!(watched.take_in("p", &gone, 100), Ok(()));
        assert_eq!(watched.take_in("p", &Change::Synced, MOST), Ok(()));
        let present = Change::Present(service("service-2"));
        assert_eq!(watched.take_in("p", &present, MOST / 2), Ok(()));
        let present = Change::Created(service("service-3"));
        let refused = watched.take_in("p", &present, 2).unwrap_err();
        assert!(
            refused
                .message()
                .contains("the plugin p tells of 3 services")
        );
    }
}
