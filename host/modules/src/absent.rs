//! What stands in for a module that a profile has no plugin for: every call says so.

use micro_plugin_api::{
    BoxStream, Broker, Call, Error, Result, Stream, broker,
    stream::{ConsumeOptions, Delivery, Event, HistoryQuery, NewEvent, Settlement},
};

use crate::Module;

/// A module that nothing fills. It is well, since nobody said that it should be there.
pub(crate) struct Absent {
    /// The module and the profile's name, as its error names them.
    reason: String,
}

impl Absent {
    pub(crate) fn new(module: Module, profile: &str) -> Self {
        Self {
            reason: format!(
                "profile {profile} has no plugin for the module `{module}`; add `[{module}]` with \
                 a `plugin` to it"
            ),
        }
    }

    fn fail<T>(&self) -> Result<T> {
        Err(Error::unsupported(self.reason.clone()))
    }
}

impl Stream for Absent {
    async fn publish(&self, _: &Call, _: &[NewEvent]) -> Result<Vec<String>> {
        self.fail()
    }

    async fn consume(
        &self,
        _: &Call,
        _: &str,
        _: &ConsumeOptions,
    ) -> Result<BoxStream<Result<Delivery>>> {
        self.fail()
    }

    async fn settle(&self, _: &Call, _: &[Settlement]) -> Result<()> {
        self.fail()
    }

    async fn history(
        &self,
        _: &Call,
        _: &str,
        _: &HistoryQuery,
    ) -> Result<BoxStream<Result<Event>>> {
        self.fail()
    }
}

impl Broker for Absent {
    async fn publish(&self, _: &Call, _: &str, _: broker::Message) -> Result<()> {
        self.fail()
    }

    async fn subscribe(
        &self,
        _: &Call,
        _: &str,
        _: Option<&str>,
    ) -> Result<BoxStream<Result<broker::Delivery>>> {
        self.fail()
    }
}
