//! The functions that cross: the frozen root, and one table for each named interface.

use abi_stable::{
    StableAbi,
    abi_stability::check_layout_compatibility,
    declare_root_module_statics,
    library::RootModule,
    sabi_types::VersionStrings,
    std_types::{ROption, RResult, RStr, RString, RVec, Tuple2},
    type_layout::TypeLayout,
};

use super::{
    broker_records::{MessageDeliveryRecord, MessageRecord},
    buffer::Buffer,
    event_records::{
        ConsumeRef, DeliveryRecord, EventRecord, HistoryRef, NewEventRef, SettlementRef,
    },
    guard::Future,
    records::{CallRecord, ErrorRecord, InstanceRef, OpenedRecord},
    store_records::{
        BlobInfoRecord, BlobKeyRef, BlobListRef, BlobMetaRef, BlobPageRecord, ListRef,
        OperationRef, PageRecord, RecordChangeRecord, RecordRecord, TableRef,
    },
    stream::StreamRecord,
};

/// The frozen root of every library. It never gains, loses or changes a field: a host and a
/// plugin of any two versions must be able to ask each other for interfaces.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = RootRef)))]
#[sabi(missing_field(panic))]
pub(crate) struct Root {
    /// The plugin's metadata as JSON: what stands in its section, and its settings' schema.
    pub(crate) metadata: extern "C" fn() -> RString,
    /// The interface of this name, if the plugin has it.
    #[sabi(last_prefix_field)]
    pub(crate) query: extern "C" fn(RStr<'_>) -> ROption<InterfaceRecord>,
}

impl RootModule for RootRef {
    declare_root_module_statics! {RootRef}
    const BASE_NAME: &'static str = "micro_plugin";
    const NAME: &'static str = "micro_plugin";
    // The version of the root, which is frozen: never this crate's.
    const VERSION_STRINGS: VersionStrings = VersionStrings::new("1.0.0");
}

/// An interface: the layout of its table, and the table.
#[repr(C)]
#[derive(StableAbi)]
pub(crate) struct InterfaceRecord {
    layout: &'static TypeLayout,
    table: *const (),
}

/// A table of functions with a name of its own.
pub(crate) trait Interface: StableAbi + 'static {
    /// The name, with the version that stands for this very layout.
    const NAME: &'static str;
}

impl InterfaceRecord {
    pub(crate) fn new<T: Interface>(table: &'static T) -> Self {
        Self {
            layout: T::LAYOUT,
            table: std::ptr::from_ref(table).cast(),
        }
    }

    /// The table, if its layout is the one this side was built with.
    pub(crate) fn check<T: Interface>(self) -> Result<&'static T, String> {
        check_layout_compatibility(T::LAYOUT, self.layout)
            .into_result()
            // The whole report is thousands of lines about types that nobody outside knows.
            .map_err(|_| format!("its {} has another layout than this one's", T::NAME))?;
        // SAFETY: the other side made the record of a `&'static` table of the layout that it
        // gives, and that layout was just found to be that of `T`. Libraries stay mapped.
        Ok(unsafe { &*self.table.cast::<T>() })
    }
}

macro_rules! interfaces {
    ($($table:ty = $name:literal,)*) => {
        $(impl Interface for $table { const NAME: &'static str = $name; })*
    };
}

interfaces! {
    PluginTable = "micro.plugin/1",
    StoreTable = "micro.store/1",
    StoreWatchTable = "micro.store.watch/1",
    BlobTable = "micro.blob/1",
    StreamTable = "micro.stream/1",
    BrokerTable = "micro.broker/1",
    LogTable = "micro.log/1",
}

/// The names of the interfaces that share [`DocumentTable`].
pub(crate) const REGISTRY: &str = "micro.registry/1";
pub(crate) const RUNTIME: &str = "micro.runtime/1";

impl Interface for DocumentTable {
    const NAME: &'static str = "micro.registry/1 or micro.runtime/1";
}

/// What a plugin may ask of its host: interfaces too, so that both sides can grow.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub(crate) struct HostRecord {
    /// The interface of this name, if the host has it.
    pub(crate) query: extern "C" fn(RStr<'_>) -> ROption<InterfaceRecord>,
    /// An address of the host's program: equal to the plugin's own where both are one program,
    /// which then share logs and panic hook anyway.
    pub(crate) program: *const (),
}

/// `micro.plugin/1`: opening an instance. It blocks, so the host calls it on a thread of its own.
#[repr(C)]
#[derive(StableAbi)]
pub(crate) struct PluginTable {
    /// Settings and [`crate::Host`] as JSON documents.
    pub(crate) open: for<'a> extern "C" fn(
        settings: RStr<'a>,
        host: RStr<'a>,
        services: HostRecord,
    ) -> RResult<OpenedRecord, ErrorRecord>,
}

/// `micro.log/1`, of the host: where logs go.
#[repr(C)]
#[derive(StableAbi)]
pub(crate) struct LogTable {
    /// Whether the host wants events of this level (1 error … 5 trace).
    pub(crate) enabled: extern "C" fn(level: u32) -> bool,
    /// An event: level, plugin, target, text.
    pub(crate) log: for<'a> extern "C" fn(u32, RStr<'a>, RStr<'a>, RStr<'a>),
}

/// `micro.store/1`.
#[repr(C)]
#[derive(StableAbi)]
pub(crate) struct StoreTable {
    pub(crate) read: for<'a> extern "C" fn(
        InstanceRef<'a>,
        CallRecord<'a>,
        TableRef<'a>,
        RStr<'a>,
    ) -> Future<'a, ROption<RecordRecord>>,
    pub(crate) list: for<'a> extern "C" fn(
        InstanceRef<'a>,
        CallRecord<'a>,
        TableRef<'a>,
        ListRef<'a>,
    ) -> Future<'a, PageRecord>,
    pub(crate) commit: for<'a> extern "C" fn(
        InstanceRef<'a>,
        CallRecord<'a>,
        RVec<OperationRef<'a>>,
    ) -> Future<'a, u64>,
    pub(crate) databases:
        for<'a> extern "C" fn(InstanceRef<'a>, CallRecord<'a>) -> Future<'a, RVec<RString>>,
    pub(crate) tables: for<'a> extern "C" fn(
        InstanceRef<'a>,
        CallRecord<'a>,
        RStr<'a>,
    ) -> Future<'a, RVec<RString>>,
    pub(crate) health: for<'a> extern "C" fn(InstanceRef<'a>, CallRecord<'a>) -> Future<'a, ()>,
    pub(crate) shutdown: for<'a> extern "C" fn(InstanceRef<'a>, CallRecord<'a>) -> Future<'a, ()>,
}

/// `micro.store.watch/1`: what a store tells of its commits.
#[repr(C)]
#[derive(StableAbi)]
pub(crate) struct StoreWatchTable {
    pub(crate) watch: for<'a> extern "C" fn(
        InstanceRef<'a>,
        CallRecord<'a>,
        TableRef<'a>,
        RStr<'a>,
    ) -> Future<'a, StreamRecord<RecordChangeRecord>>,
}

/// What reading a blob gives: what is known of it, and its bytes.
pub(crate) type BlobContent = Tuple2<BlobInfoRecord, StreamRecord<Buffer>>;

/// `micro.blob/1`.
#[repr(C)]
#[derive(StableAbi)]
pub(crate) struct BlobTable {
    pub(crate) write: for<'a> extern "C" fn(
        InstanceRef<'a>,
        CallRecord<'a>,
        BlobKeyRef<'a>,
        BlobMetaRef<'a>,
        StreamRecord<Buffer>,
    ) -> Future<'a, BlobInfoRecord>,
    pub(crate) read: for<'a> extern "C" fn(
        InstanceRef<'a>,
        CallRecord<'a>,
        BlobKeyRef<'a>,
    ) -> Future<'a, BlobContent>,
    pub(crate) delete:
        for<'a> extern "C" fn(InstanceRef<'a>, CallRecord<'a>, BlobKeyRef<'a>) -> Future<'a, ()>,
    pub(crate) list: for<'a> extern "C" fn(
        InstanceRef<'a>,
        CallRecord<'a>,
        BlobListRef<'a>,
    ) -> Future<'a, BlobPageRecord>,
    pub(crate) namespaces:
        for<'a> extern "C" fn(InstanceRef<'a>, CallRecord<'a>) -> Future<'a, RVec<RString>>,
    pub(crate) health: for<'a> extern "C" fn(InstanceRef<'a>, CallRecord<'a>) -> Future<'a, ()>,
    pub(crate) shutdown: for<'a> extern "C" fn(InstanceRef<'a>, CallRecord<'a>) -> Future<'a, ()>,
}

/// `micro.stream/1`.
#[repr(C)]
#[derive(StableAbi)]
pub(crate) struct StreamTable {
    pub(crate) publish: for<'a> extern "C" fn(
        InstanceRef<'a>,
        CallRecord<'a>,
        RVec<NewEventRef<'a>>,
    ) -> Future<'a, RVec<RString>>,
    pub(crate) consume: for<'a> extern "C" fn(
        InstanceRef<'a>,
        CallRecord<'a>,
        RStr<'a>,
        ConsumeRef<'a>,
    ) -> Future<'a, StreamRecord<DeliveryRecord>>,
    pub(crate) settle: for<'a> extern "C" fn(
        InstanceRef<'a>,
        CallRecord<'a>,
        RVec<SettlementRef<'a>>,
    ) -> Future<'a, ()>,
    pub(crate) history: for<'a> extern "C" fn(
        InstanceRef<'a>,
        CallRecord<'a>,
        RStr<'a>,
        HistoryRef,
    ) -> Future<'a, StreamRecord<EventRecord>>,
    pub(crate) health: for<'a> extern "C" fn(InstanceRef<'a>, CallRecord<'a>) -> Future<'a, ()>,
    pub(crate) shutdown: for<'a> extern "C" fn(InstanceRef<'a>, CallRecord<'a>) -> Future<'a, ()>,
}

/// `micro.registry/1` and `micro.runtime/1`: methods by name over JSON documents, which can gain
/// fields. Neither module is called often enough for the text to matter.
#[repr(C)]
#[derive(StableAbi)]
pub(crate) struct DocumentTable {
    /// Method and arguments to answer.
    pub(crate) call: for<'a> extern "C" fn(
        InstanceRef<'a>,
        CallRecord<'a>,
        RStr<'a>,
        RStr<'a>,
    ) -> Future<'a, RString>,
    /// Method and arguments to a stream of answers.
    pub(crate) stream: for<'a> extern "C" fn(
        InstanceRef<'a>,
        CallRecord<'a>,
        RStr<'a>,
        RStr<'a>,
    ) -> Future<'a, StreamRecord<RString>>,
}

/// `micro.broker/1`.
#[repr(C)]
#[derive(StableAbi)]
pub(crate) struct BrokerTable {
    pub(crate) publish: for<'a> extern "C" fn(
        InstanceRef<'a>,
        CallRecord<'a>,
        RStr<'a>,
        MessageRecord,
    ) -> Future<'a, ()>,
    pub(crate) subscribe: for<'a> extern "C" fn(
        InstanceRef<'a>,
        CallRecord<'a>,
        RStr<'a>,
        ROption<RStr<'a>>,
    )
        -> Future<'a, StreamRecord<MessageDeliveryRecord>>,
    pub(crate) health: for<'a> extern "C" fn(InstanceRef<'a>, CallRecord<'a>) -> Future<'a, ()>,
    pub(crate) shutdown: for<'a> extern "C" fn(InstanceRef<'a>, CallRecord<'a>) -> Future<'a, ()>,
}
