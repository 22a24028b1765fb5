//! `Store`: reading, writing, deleting and listing records.

use std::sync::Arc;

use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use micro_access::namespace;
use micro_modules::Modules;
use micro_plugin_api::{
    BoxStream, Call,
    store::{Commit, Fields, ListQuery, Precondition, Table},
};
use micro_proto::store::{
    CommitRequest, CommitResponse, DatabasesRequest, DatabasesResponse, DeleteRequest,
    DeleteResponse, ListOptions, ListRequest, ListResponse, ReadRequest, ReadResponse,
    TablesRequest, TablesResponse, WatchRequest, WatchResponse, WriteRequest, WriteResponse,
    store_server::Store,
};
use micro_wire::{Error, frame::MAX_MESSAGE};
use prost::Message as _;
use tonic::{Request, Response, Status};

use super::{DEFAULT_TABLE, commits, pages, record};
use crate::{error, request};

/// How much of a response records and keys may fill, in bytes: the largest message, less room for
/// what stands around them.
const MAX_ANSWER: usize = MAX_MESSAGE - (64 << 10);

/// About how many bytes of keys one message of a list holds. Most lists are one message; a longer
/// one goes on in the next.
const LIST_MESSAGE: usize = 4 << 20;

/// The records of every namespace.
pub(super) struct StoreService {
    modules: Arc<Modules>,
}

/// One call, authorized: in which table it acts.
struct Scope {
    id: &'static str,
    call: Call,
    database: String,
    table: String,
}

impl Scope {
    /// The table that a call names, if its caller administers the database.
    fn of<T>(
        id: &'static str,
        request: &Request<T>,
        database: impl FnOnce(&T) -> Option<(&str, &str)>,
    ) -> Result<Self, Error> {
        let caller = request::caller(request);
        let (database, table) = database(request.get_ref()).unwrap_or_default();
        let database = request::namespace_of(Some(database), &caller);
        caller.authorize_admin(id, database)?;
        let table = if table.is_empty() {
            DEFAULT_TABLE
        } else {
            table
        };
        Ok(Self {
            id,
            call: request::call(request),
            database: database.to_owned(),
            table: table.to_owned(),
        })
    }

    fn table(&self) -> Table<'_> {
        Table::new(&self.database, &self.table)
    }

    fn bad_request(&self, detail: impl Into<String>) -> Error {
        Error::bad_request(self.id, detail)
    }

    fn failed(&self, error: micro_plugin_api::Error) -> Error {
        error::from_module(self.id, &error)
    }
}

impl StoreService {
    pub(super) fn new(modules: Arc<Modules>) -> Self {
        Self { modules }
    }

    async fn commit(&self, scope: &Scope, commit: Commit) -> Result<(), Error> {
        let committed = self.modules.store().commit(&scope.call, &commit).await;
        committed.map(drop).map_err(|error| scope.failed(error))
    }
}

/// The keys of a list, read as the answer is: whoever does not read holds up one message.
fn keys(
    modules: Arc<Modules>,
    scope: Scope,
    options: ListOptions,
) -> impl Stream<Item = Result<ListResponse, Status>> + Send {
    async_stream::try_stream! {
        let query = ListQuery {
            prefix: &options.prefix,
            suffix: &options.suffix,
            order: pages::order(&options.order),
            limit: pages::count(options.limit),
            skip: options.offset,
            fields: Fields::Keys,
            cursor: None,
        };
        let mut walk = pages::Walk::new(query.limit);
        let (mut message, mut bytes) = (ListResponse::default(), 0);
        loop {
            let page = walk.next(&modules, &scope.call, scope.table(), &query).await;
            let Some(records) = page.map_err(|error| scope.failed(error))? else {
                break;
            };
            for record in records {
                if bytes > LIST_MESSAGE {
                    yield std::mem::take(&mut message);
                    bytes = 0;
                }
                bytes += record.key.len() + 10;
                message.keys.push(record.key);
            }
        }
        yield message;
    }
}

#[tonic::async_trait]
impl Store for StoreService {
    type ListStream = BoxStream<Result<ListResponse, Status>>;
    type WatchStream = BoxStream<Result<WatchResponse, Status>>;

    async fn read(&self, request: Request<ReadRequest>) -> Result<Response<ReadResponse>, Status> {
        let scope = Scope::of("store.Store.Read", &request, |request| {
            let options = request.options.as_ref()?;
            Some((&options.database, &options.table))
        })?;
        let ReadRequest { key, options } = request.into_inner();
        let options = options.unwrap_or_default();
        if !options.prefix && !options.suffix {
            let store = self.modules.store();
            let read = store.read(&scope.call, scope.table(), &key).await;
            let found = read.map_err(|error| scope.failed(error))?;
            let found = found.ok_or_else(|| Error::not_found(scope.id, "not found"))?;
            let records = vec![record::to_proto(found, options.versions)];
            return Ok(Response::new(ReadResponse { records }));
        }
        let query = ListQuery {
            prefix: if options.prefix { &key } else { "" },
            suffix: if options.suffix { &key } else { "" },
            order: pages::order(&options.order),
            limit: pages::count(options.limit),
            skip: options.offset,
            ..ListQuery::default()
        };
        let (mut records, mut bytes) = (Vec::new(), 0);
        let take = |found| {
            let found = record::to_proto(found, options.versions);
            // A tag and a length of at most five bytes each stand before a record.
            bytes += found.encoded_len() + 10;
            if bytes > MAX_ANSWER {
                let detail = "the records that match do not fit into one answer of 16 MiB; read them in parts, with limit and offset";
                return Err(scope.bad_request(detail));
            }
            records.push(found);
            Ok(())
        };
        let failed = |error| scope.failed(error);
        pages::each(
            &self.modules,
            &scope.call,
            scope.table(),
            query,
            failed,
            take,
        )
        .await?;
        Ok(Response::new(ReadResponse { records }))
    }

    async fn write(
        &self,
        request: Request<WriteRequest>,
    ) -> Result<Response<WriteResponse>, Status> {
        let scope = Scope::of("store.Store.Write", &request, |request| {
            let options = request.options.as_ref()?;
            Some((&options.database, &options.table))
        })?;
        let Some(mut record) = request.into_inner().record else {
            return Err(scope.bad_request("no record specified").into());
        };
        let key = std::mem::take(&mut record.key);
        if key.is_empty() {
            return Err(scope.bad_request("Missing key").into());
        }
        let put = record::to_put(record).map_err(|detail| scope.bad_request(detail))?;
        let commit = Commit::new().put(scope.table(), key, Precondition::Any, put);
        self.commit(&scope, commit).await?;
        Ok(Response::new(WriteResponse {}))
    }

    async fn delete(
        &self,
        request: Request<DeleteRequest>,
    ) -> Result<Response<DeleteResponse>, Status> {
        let scope = Scope::of("store.Store.Delete", &request, |request| {
            let options = request.options.as_ref()?;
            Some((&options.database, &options.table))
        })?;
        let key = request.into_inner().key;
        if key.is_empty() {
            return Err(scope.bad_request("Missing key").into());
        }
        let commit = Commit::new().delete(scope.table(), key, Precondition::Any);
        self.commit(&scope, commit).await?;
        Ok(Response::new(DeleteResponse {}))
    }

    async fn list(
        &self,
        request: Request<ListRequest>,
    ) -> Result<Response<Self::ListStream>, Status> {
        let scope = Scope::of("store.Store.List", &request, |request| {
            let options = request.options.as_ref()?;
            Some((&options.database, &options.table))
        })?;
        let options = request.into_inner().options.unwrap_or_default();
        let mut messages = keys(Arc::clone(&self.modules), scope, options).boxed();
        // What fails before there is anything is the answer; later it ends the stream.
        let first = messages.try_next().await?;
        let messages = stream::iter(first.map(Ok)).chain(messages);
        Ok(Response::new(messages.boxed()))
    }

    async fn databases(
        &self,
        request: Request<DatabasesRequest>,
    ) -> Result<Response<DatabasesResponse>, Status> {
        let id = "store.Store.Databases";
        request::caller(&request).authorize_admin(id, namespace::DEFAULT)?;
        let call = request::call(&request);
        let databases = self.modules.store().databases(&call).await;
        let mut databases = databases.map_err(error::module(id))?;
        databases.retain(|name| !namespace::is_reserved(name));
        Ok(Response::new(DatabasesResponse { databases }))
    }

    async fn tables(
        &self,
        request: Request<TablesRequest>,
    ) -> Result<Response<TablesResponse>, Status> {
        let scope = Scope::of("store.Store.Tables", &request, |request| {
            Some((&request.database, ""))
        })?;
        let tables = self
            .modules
            .store()
            .tables(&scope.call, &scope.database)
            .await;
        let tables = tables.map_err(|error| scope.failed(error))?;
        Ok(Response::new(TablesResponse { tables }))
    }

    async fn commit(
        &self,
        request: Request<CommitRequest>,
    ) -> Result<Response<CommitResponse>, Status> {
        let id = "store.Store.Commit";
        let (caller, call) = (request::caller(&request), request::call(&request));
        let commit = commits::commit(id, &caller, request.into_inner())?;
        let committed = self.modules.store().commit(&call, &commit).await;
        let version = committed.map_err(error::module(id))?;
        Ok(Response::new(CommitResponse { version: version.0 }))
    }

    async fn watch(
        &self,
        request: Request<WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let scope = Scope::of("store.Store.Watch", &request, |request| {
            let options = request.options.as_ref()?;
            Some((&options.database, &options.table))
        })?;
        let prefix = request.into_inner().options.unwrap_or_default().prefix;
        let store = self.modules.store();
        let changes = store.watch(&scope.call, scope.table(), &prefix).await;
        let changes = changes.map_err(|error| scope.failed(error))?;
        let messages = changes.map(move |change| match change {
            Ok(change) => Ok(record::change_to_proto(change)),
            Err(error) => Err(scope.failed(error).into()),
        });
        Ok(Response::new(messages.boxed()))
    }
}
