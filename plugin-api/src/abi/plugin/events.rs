//! `micro.stream/1` over the instance's stream.

use abi_stable::std_types::{RStr, RString, RVec};
use futures::StreamExt;

use super::{
    instance::{Instance, Method},
    run,
};
use crate::{
    Call, Result,
    abi::{
        event_records::{
            ConsumeRef, DeliveryRecord, EventRecord, HistoryRef, NewEventRef, SettlementRef,
        },
        guard::{self, Future},
        records::{CallRecord, InstanceRef},
        stream::StreamRecord,
        tables::StreamTable,
    },
    stream::{ConsumeOptions, HistoryQuery, NewEvent, Settlement},
};

pub(super) static TABLE: StreamTable = StreamTable {
    publish,
    consume,
    settle,
    history,
    health,
    shutdown,
};

/// The instance and its stream, or a future that has failed.
macro_rules! stream {
    ($instance:ident) => {{
        // SAFETY: the host calls the functions of this table with what `open` of this library gave.
        let instance = unsafe { Instance::borrow($instance) };
        match instance.stream() {
            Ok(stream) => (instance, stream.clone()),
            Err(error) => return guard::failed(error),
        }
    }};
}

extern "C" fn publish<'a>(
    instance: InstanceRef<'a>,
    call: CallRecord<'a>,
    events: RVec<NewEventRef<'a>>,
) -> Future<'a, RVec<RString>> {
    guard::entry(move || {
        let (instance, stream) = stream!(instance);
        let call = Call::from(call);
        let events: Vec<NewEvent> = events.into_iter().map(Into::into).collect();
        run::run(instance, Method::StreamPublish, &call.clone(), async move {
            let ids = stream.publish(&call, &events).await?;
            Ok(ids.into_iter().map(Into::into).collect())
        })
    })
}

extern "C" fn consume<'a>(
    instance: InstanceRef<'a>,
    call: CallRecord<'a>,
    topic: RStr<'a>,
    options: ConsumeRef<'a>,
) -> Future<'a, StreamRecord<DeliveryRecord>> {
    guard::entry(move || {
        let (instance, stream) = stream!(instance);
        let (call, topic) = (Call::from(call), String::from(topic));
        let options = ConsumeOptions::from(options);
        let lender = run::Lender::new(instance, Method::StreamConsume);
        run::run(instance, Method::StreamConsume, &call.clone(), async move {
            let deliveries = stream.consume(&call, &topic, &options).await?;
            Ok(lender.lend(deliveries.map(|delivery| delivery.map(Into::into))))
        })
    })
}

extern "C" fn settle<'a>(
    instance: InstanceRef<'a>,
    call: CallRecord<'a>,
    settlements: RVec<SettlementRef<'a>>,
) -> Future<'a, ()> {
    guard::entry(move || {
        let (instance, stream) = stream!(instance);
        let call = Call::from(call);
        let settlements = settlements.into_iter().map(TryInto::try_into);
        let settlements = match settlements.collect::<Result<Vec<Settlement>>>() {
            Ok(settlements) => settlements,
            Err(error) => return guard::failed(error),
        };
        run::run(instance, Method::StreamSettle, &call.clone(), async move {
            stream.settle(&call, &settlements).await
        })
    })
}

extern "C" fn history<'a>(
    instance: InstanceRef<'a>,
    call: CallRecord<'a>,
    topic: RStr<'a>,
    query: HistoryRef,
) -> Future<'a, StreamRecord<EventRecord>> {
    guard::entry(move || {
        let (instance, stream) = stream!(instance);
        let (call, topic) = (Call::from(call), String::from(topic));
        let query = HistoryQuery::from(query);
        let lender = run::Lender::new(instance, Method::StreamHistory);
        run::run(instance, Method::StreamHistory, &call.clone(), async move {
            let events = stream.history(&call, &topic, &query).await?;
            Ok(lender.lend(events.map(|event| event.map(Into::into))))
        })
    })
}

extern "C" fn health<'a>(instance: InstanceRef<'a>, call: CallRecord<'a>) -> Future<'a, ()> {
    guard::entry(move || {
        let (instance, stream) = stream!(instance);
        let call = Call::from(call);
        run::run(instance, Method::StreamHealth, &call.clone(), async move {
            stream.health(&call).await
        })
    })
}

extern "C" fn shutdown<'a>(instance: InstanceRef<'a>, call: CallRecord<'a>) -> Future<'a, ()> {
    guard::entry(move || {
        let (instance, stream) = stream!(instance);
        let call = Call::from(call);
        run::run(
            instance,
            Method::StreamShutdown,
            &call.clone(),
            async move { stream.shutdown(&call).await },
        )
    })
}
