//! The records that every interface shares: errors, the circumstances of a call, the instance.

use std::{
    marker::PhantomData,
    time::{Duration, Instant},
};

use abi_stable::{
    StableAbi,
    std_types::{ROption, RStr, RString},
};

use crate::{Call, Code, Error, TraceContext, userinfo};

/// Set in [`ErrorRecord::flags`] when the same call may succeed if it is simply made again.
const RETRYABLE: u32 = 1;

#[repr(C)]
#[derive(StableAbi)]
pub(crate) struct ErrorRecord {
    code: u32,
    flags: u32,
    message: RString,
    detail: ROption<RString>,
}

impl From<Error> for ErrorRecord {
    fn from(error: Error) -> Self {
        Self {
            code: error.code().as_u32(),
            flags: if error.is_retryable() { RETRYABLE } else { 0 },
            message: error.message().into(),
            detail: error.detail().map(RString::from).into(),
        }
    }
}

impl From<ErrorRecord> for Error {
    fn from(record: ErrorRecord) -> Self {
        // What a library of a plugin's says of an address may hold what stands in it.
        let message = userinfo::hide_in_text(&record.message);
        let error = Self::new(Code::from_u32(record.code), message)
            .with_retryable(record.flags & RETRYABLE != 0);
        match record.detail.into_option() {
            Some(detail) => error.with_detail(detail.into_string()),
            None => error,
        }
    }
}

/// [`Call`], with the deadline as what is left of it: clocks are not shared.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub(crate) struct CallRecord<'a> {
    remaining_nanos: ROption<u64>,
    namespace: RStr<'a>,
    traceparent: RStr<'a>,
    tracestate: RStr<'a>,
}

impl<'a> From<&'a Call> for CallRecord<'a> {
    fn from(call: &'a Call) -> Self {
        Self {
            remaining_nanos: call
                .remaining()
                .map(|left| left.as_nanos().try_into().unwrap_or(u64::MAX))
                .into(),
            namespace: call.namespace().into(),
            traceparent: call.trace().traceparent.as_str().into(),
            tracestate: call.trace().tracestate.as_str().into(),
        }
    }
}

impl From<CallRecord<'_>> for Call {
    fn from(record: CallRecord<'_>) -> Self {
        let call = Self::new(record.namespace.as_str()).with_trace(TraceContext {
            traceparent: record.traceparent.into(),
            tracestate: record.tracestate.into(),
        });
        let deadline = record
            .remaining_nanos
            .into_option()
            // More time than the clock can express is no deadline.
            .and_then(|nanos| Instant::now().checked_add(Duration::from_nanos(nanos)));
        match deadline {
            Some(deadline) => call.with_deadline(deadline),
            None => call,
        }
    }
}

/// An opened instance, lent to one call.
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy)]
pub(crate) struct InstanceRef<'a> {
    pointer: *const (),
    lent: PhantomData<&'a ()>,
}

// SAFETY: it stands for a shared reference to the plugin's `Instance`, which is Send and Sync.
unsafe impl Send for InstanceRef<'_> {}
// SAFETY: as above.
unsafe impl Sync for InstanceRef<'_> {}

impl<'a> InstanceRef<'a> {
    /// # Safety
    /// `pointer` must be that of an instance that outlives `'a`.
    pub(crate) unsafe fn new(pointer: *const ()) -> Self {
        Self {
            pointer,
            lent: PhantomData,
        }
    }

    /// # Safety
    /// It must come from the library that asks, whose instances are of type `T`.
    pub(crate) unsafe fn get<T>(self) -> &'a T {
        // SAFETY: as promised by the caller here, and by that of `new` for the lifetime.
        unsafe { &*self.pointer.cast::<T>() }
    }
}

/// What opening gives: the instance, and the function that drops it.
#[repr(C)]
#[derive(StableAbi)]
pub(crate) struct OpenedRecord {
    pub(crate) instance: *const (),
    pub(crate) release: extern "C" fn(*const ()),
}

/// A key with its value.
#[repr(C)]
#[derive(StableAbi)]
pub(crate) struct PairRecord {
    pub(crate) key: RString,
    pub(crate) value: RString,
}

/// The same, lent.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub(crate) struct PairRef<'a> {
    pub(crate) key: RStr<'a>,
    pub(crate) value: RStr<'a>,
}
