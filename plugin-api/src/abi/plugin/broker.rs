//! `micro.broker/1` over the instance's broker.

use abi_stable::std_types::{ROption, RStr};
use futures::StreamExt;

use super::{
    instance::{Instance, Method},
    run,
};
use crate::{
    Call,
    abi::{
        broker_records::{MessageDeliveryRecord, MessageRecord},
        guard::{self, Future},
        records::{CallRecord, InstanceRef},
        stream::StreamRecord,
        tables::BrokerTable,
    },
};

pub(super) static TABLE: BrokerTable = BrokerTable {
    publish,
    subscribe,
    health,
    shutdown,
};

/// The instance and its broker, or a future that has failed.
macro_rules! broker {
    ($instance:ident) => {{
        // SAFETY: the host calls the functions of this table with what `open` of this library gave.
        let instance = unsafe { Instance::borrow($instance) };
        match instance.broker() {
            Ok(broker) => (instance, broker),
            Err(error) => return guard::failed(error),
        }
    }};
}

extern "C" fn publish<'a>(
    instance: InstanceRef<'a>,
    call: CallRecord<'a>,
    topic: RStr<'a>,
    message: MessageRecord,
) -> Future<'a, ()> {
    guard::entry(move || {
        let (instance, broker) = broker!(instance);
        let (call, message) = (Call::from(call), message.into());
        if instance.is_inline(Method::BrokerPublish) {
            // The topic is lent for as long as the future lives.
            return run::inline(instance, async move {
                broker.publish(&call, topic.as_str(), message).await
            });
        }
        let (broker, topic) = (broker.clone(), String::from(topic));
        run::hop(instance, Method::BrokerPublish, &call.clone(), async move {
            broker.publish(&call, &topic, message).await
        })
    })
}

extern "C" fn subscribe<'a>(
    instance: InstanceRef<'a>,
    call: CallRecord<'a>,
    topic: RStr<'a>,
    queue: ROption<RStr<'a>>,
) -> Future<'a, StreamRecord<MessageDeliveryRecord>> {
    guard::entry(move || {
        let (instance, broker) = broker!(instance);
        let (broker, call, topic) = (broker.clone(), Call::from(call), String::from(topic));
        let queue = queue.into_option().map(String::from);
        let lender = run::Lender::new(instance, Method::BrokerSubscribe);
        run::run(
            instance,
            Method::BrokerSubscribe,
            &call.clone(),
            async move {
                let deliveries = broker.subscribe(&call, &topic, queue.as_deref()).await?;
                Ok(lender.lend(deliveries.map(|delivery| delivery.map(Into::into))))
            },
        )
    })
}

extern "C" fn health<'a>(instance: InstanceRef<'a>, call: CallRecord<'a>) -> Future<'a, ()> {
    guard::entry(move || {
        let (instance, broker) = broker!(instance);
        let (broker, call) = (broker.clone(), Call::from(call));
        run::run(instance, Method::BrokerHealth, &call.clone(), async move {
            broker.health(&call).await
        })
    })
}

extern "C" fn shutdown<'a>(instance: InstanceRef<'a>, call: CallRecord<'a>) -> Future<'a, ()> {
    guard::entry(move || {
        let (instance, broker) = broker!(instance);
        let (broker, call) = (broker.clone(), Call::from(call));
        run::run(
            instance,
            Method::BrokerShutdown,
            &call.clone(),
            async move { broker.shutdown(&call).await },
        )
    })
}
