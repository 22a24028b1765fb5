//! `micro.registry/1` and `micro.runtime/1` over the instance's modules: methods by name.

use abi_stable::std_types::{RStr, RString};
use futures::{Stream, StreamExt};
use serde::Serialize;

use super::{
    instance::{Instance, Method},
    run,
};
use crate::{
    Call, Error, RegistryHandle, Result, RuntimeHandle,
    abi::{
        documents::{self, Deregister, ListInstances, Logs, Matching, Register, Start, Stop},
        guard::{self, Future},
        records::{CallRecord, InstanceRef},
        stream::StreamRecord,
        tables::DocumentTable,
    },
};

pub(super) static REGISTRY: DocumentTable = DocumentTable {
    call: registry_call,
    stream: registry_stream,
};

pub(super) static RUNTIME: DocumentTable = DocumentTable {
    call: runtime_call,
    stream: runtime_stream,
};

/// The instance, its module and the method, or a future that has failed.
macro_rules! target {
    ($instance:ident.$module:ident(), $method:ident) => {{
        // SAFETY: the host calls the functions of these tables with what `open` of this library
        // gave.
        let instance = unsafe { Instance::borrow($instance) };
        let method = method(concat!(stringify!($module), "."), $method.as_str());
        match (instance.$module(), method) {
            (Ok(module), Ok(method)) => (instance, module.clone(), method),
            (Err(error), _) | (_, Err(error)) => return guard::failed(error),
        }
    }};
}

const ALL: &[Method] = &[
    Method::RegistryRegister,
    Method::RegistryDeregister,
    Method::RegistryList,
    Method::RegistryWatch,
    Method::RegistryHealth,
    Method::RegistryShutdown,
    Method::RuntimeStart,
    Method::RuntimeStop,
    Method::RuntimeList,
    Method::RuntimeLogs,
    Method::RuntimeWatch,
    Method::RuntimeHealth,
    Method::RuntimeShutdown,
];

fn method(module: &str, name: &str) -> Result<Method> {
    ALL.iter()
        .copied()
        .find(|method| method.name().strip_prefix(module) == Some(name))
        .ok_or_else(|| unknown(module, name))
}

fn unknown(module: &str, name: &str) -> Error {
    Error::unsupported(format!(
        "this plugin does not know the method {module}{name}"
    ))
}

fn answer(value: &impl Serialize) -> Result<RString> {
    documents::write(value).map(Into::into)
}

fn answers<T: Serialize>(
    items: impl Stream<Item = Result<T>> + Send + 'static,
) -> impl Stream<Item = Result<RString>> + Send + 'static {
    items.map(|item| answer(&item?))
}

extern "C" fn registry_call<'a>(
    instance: InstanceRef<'a>,
    call: CallRecord<'a>,
    method: RStr<'a>,
    arguments: RStr<'a>,
) -> Future<'a, RString> {
    guard::entry(move || {
        let (instance, registry, method) = target!(instance.registry(), method);
        let (call, arguments) = (Call::from(call), String::from(arguments));
        run::run(instance, method, &call.clone(), async move {
            call_registry(registry, method, &call, &arguments).await
        })
    })
}

async fn call_registry(
    registry: RegistryHandle,
    method: Method,
    call: &Call,
    arguments: &str,
) -> Result<RString> {
    match method {
        Method::RegistryRegister => {
            let arguments: Register<'_> = documents::read(arguments)?;
            registry
                .register(call, &arguments.service, arguments.ttl())
                .await?;
        }
        Method::RegistryDeregister => {
            let arguments: Deregister<'_> = documents::read(arguments)?;
            registry.deregister(call, &arguments.service).await?;
        }
        Method::RegistryList => {
            let arguments: Matching<'_> = documents::read(arguments)?;
            return answer(&registry.list(call, &arguments.filter).await?);
        }
        Method::RegistryHealth => registry.health(call).await?,
        Method::RegistryShutdown => registry.shutdown(call).await?,
        _ => return Err(unknown("", method.name())),
    }
    answer(&())
}

extern "C" fn registry_stream<'a>(
    instance: InstanceRef<'a>,
    call: CallRecord<'a>,
    method: RStr<'a>,
    arguments: RStr<'a>,
) -> Future<'a, StreamRecord<RString>> {
    guard::entry(move || {
        let (instance, registry, method) = target!(instance.registry(), method);
        let (call, arguments) = (Call::from(call), String::from(arguments));
        let lender = run::Lender::new(instance, method);
        run::run(instance, method, &call.clone(), async move {
            match method {
                Method::RegistryWatch => {
                    let arguments: Matching<'_> = documents::read(&arguments)?;
                    let changes = registry.watch(&call, &arguments.filter).await?;
                    Ok(lender.lend(answers(changes)))
                }
                _ => Err(unknown("", method.name())),
            }
        })
    })
}

extern "C" fn runtime_call<'a>(
    instance: InstanceRef<'a>,
    call: CallRecord<'a>,
    method: RStr<'a>,
    arguments: RStr<'a>,
) -> Future<'a, RString> {
    guard::entry(move || {
        let (instance, runtime, method) = target!(instance.runtime(), method);
        let (call, arguments) = (Call::from(call), String::from(arguments));
        run::run(instance, method, &call.clone(), async move {
            call_runtime(runtime, method, &call, &arguments).await
        })
    })
}

async fn call_runtime(
    runtime: RuntimeHandle,
    method: Method,
    call: &Call,
    arguments: &str,
) -> Result<RString> {
    match method {
        Method::RuntimeStart => {
            let arguments: Start<'_> = documents::read(arguments)?;
            return answer(&runtime.start(call, &arguments.spec).await?);
        }
        Method::RuntimeStop => {
            let arguments: Stop<'_> = documents::read(arguments)?;
            runtime
                .stop(call, &arguments.key, &arguments.options)
                .await?;
        }
        Method::RuntimeList => {
            let arguments: ListInstances<'_> = documents::read(arguments)?;
            return answer(&runtime.list(call, arguments.namespace.as_deref()).await?);
        }
        Method::RuntimeHealth => runtime.health(call).await?,
        Method::RuntimeShutdown => runtime.shutdown(call).await?,
        _ => return Err(unknown("", method.name())),
    }
    answer(&())
}

extern "C" fn runtime_stream<'a>(
    instance: InstanceRef<'a>,
    call: CallRecord<'a>,
    method: RStr<'a>,
    arguments: RStr<'a>,
) -> Future<'a, StreamRecord<RString>> {
    guard::entry(move || {
        let (instance, runtime, method) = target!(instance.runtime(), method);
        let (call, arguments) = (Call::from(call), String::from(arguments));
        let lender = run::Lender::new(instance, method);
        run::run(instance, method, &call.clone(), async move {
            match method {
                Method::RuntimeLogs => {
                    let arguments: Logs<'_> = documents::read(&arguments)?;
                    let lines = runtime
                        .logs(&call, &arguments.key, &arguments.options)
                        .await?;
                    Ok(lender.lend(answers(lines)))
                }
                Method::RuntimeWatch => Ok(lender.lend(answers(runtime.watch(&call).await?))),
                _ => Err(unknown("", method.name())),
            }
        })
    })
}
