//! A store of a library, as the handle calls it.

use std::sync::Arc;

use futures::StreamExt;

use super::link::Link;
use crate::{
    BoxFuture, BoxStream, Call, Error, Result,
    abi::{
        store_records::lend_commit,
        tables::{StoreTable, StoreWatchTable},
    },
    store::{Commit, DynStore, ListQuery, Page, Record, RecordChange, Table, Version},
};

pub(super) struct Client {
    pub(super) link: Arc<Link>,
    pub(super) table: &'static StoreTable,
    /// A plugin that was built before stores could be watched has none.
    pub(super) watch: Option<&'static StoreWatchTable>,
}

impl DynStore for Client {
    fn read<'a>(
        &'a self,
        call: &'a Call,
        table: Table<'a>,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<Record>>> {
        let link = &*self.link;
        let future = (self.table.read)(link.instance(), call.into(), table.into(), key.into());
        let answer = link.call("store.read", call, future);
        Box::pin(async move { Ok(answer.await?.into_option().map(Into::into)) })
    }

    fn list<'a>(
        &'a self,
        call: &'a Call,
        table: Table<'a>,
        query: &'a ListQuery<'a>,
    ) -> BoxFuture<'a, Result<Page>> {
        let link = &*self.link;
        let future = (self.table.list)(link.instance(), call.into(), table.into(), query.into());
        let answer = link.call("store.list", call, future);
        Box::pin(async move { Ok(answer.await?.into()) })
    }

    fn commit<'a>(&'a self, call: &'a Call, commit: &'a Commit) -> BoxFuture<'a, Result<Version>> {
        let link = &*self.link;
        let future = (self.table.commit)(link.instance(), call.into(), lend_commit(commit));
        let answer = link.call("store.commit", call, future);
        Box::pin(async move { Ok(Version(answer.await?)) })
    }

    fn databases<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<Vec<String>>> {
        let link = &*self.link;
        let future = (self.table.databases)(link.instance(), call.into());
        let answer = link.call("store.databases", call, future);
        Box::pin(async move { Ok(answer.await?.into_iter().map(Into::into).collect()) })
    }

    fn tables<'a>(
        &'a self,
        call: &'a Call,
        database: &'a str,
    ) -> BoxFuture<'a, Result<Vec<String>>> {
        let link = &*self.link;
        let future = (self.table.tables)(link.instance(), call.into(), database.into());
        let answer = link.call("store.tables", call, future);
        Box::pin(async move { Ok(answer.await?.into_iter().map(Into::into).collect()) })
    }

    fn watch<'a>(
        &'a self,
        call: &'a Call,
        table: Table<'a>,
        prefix: &'a str,
    ) -> BoxFuture<'a, Result<BoxStream<Result<RecordChange>>>> {
        const METHOD: &str = "store.watch";
        let Some(watch) = self.watch else {
            let error = Error::unsupported(format!(
                "the plugin {} cannot watch its store; build it against a newer micro-plugin-api",
                self.link.plugin()
            ));
            return Box::pin(std::future::ready(Err(error)));
        };
        let link = &*self.link;
        let future = (watch.watch)(link.instance(), call.into(), table.into(), prefix.into());
        let answer = link.call(METHOD, call, future);
        Box::pin(async move {
            let changes = self.link.stream(METHOD, answer.await?);
            let changes = changes.map(|change| change.map(Into::into));
            Ok(Box::pin(changes) as BoxStream<Result<RecordChange>>)
        })
    }

    fn health<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<()>> {
        let link = &*self.link;
        let future = (self.table.health)(link.instance(), call.into());
        Box::pin(link.call("store.health", call, future))
    }

    fn shutdown<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<()>> {
        let link = &*self.link;
        let future = (self.table.shutdown)(link.instance(), call.into());
        Box::pin(link.call("store.shutdown", call, future))
    }
}
