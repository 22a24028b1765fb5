//! A store of a library, as the handle calls it.

use std::sync::Arc;

use super::link::Link;
use crate::{
    BoxFuture, Call, Result,
    abi::{store_records::lend_commit, tables::StoreTable},
    store::{Commit, DynStore, ListQuery, Page, Record, Table, Version},
};

pub(super) struct Client {
    pub(super) link: Arc<Link>,
    pub(super) table: &'static StoreTable,
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
