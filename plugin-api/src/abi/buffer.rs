//! Bytes that cross by reference count: whoever holds them keeps the other side's buffer alive.

use std::slice;

use abi_stable::StableAbi;
use bytes::Bytes;

use super::guard;

/// Values up to this size are copied by the receiver: cheaper than to hold on to the sender's
/// buffer and to return it across the boundary.
const COPY_LIMIT: usize = 1024;

/// An owned, immutable run of bytes with the function that gives it back.
#[repr(C)]
#[derive(StableAbi)]
pub(crate) struct Buffer {
    pointer: *const u8,
    length: usize,
    owner: *mut (),
    release: extern "C" fn(*mut ()),
}

// SAFETY: a `Buffer` owns a boxed `Bytes`, which is Send and Sync; the bytes are never written to
// and `release` may be called on any thread.
unsafe impl Send for Buffer {}
// SAFETY: as above; shared access only reads.
unsafe impl Sync for Buffer {}

extern "C" fn release(owner: *mut ()) {
    // The owner of `Bytes` may be of any type, so that its drop is an author's code.
    let _ = guard::contain(|| {
        // SAFETY: `owner` came from `Box::into_raw` in `Buffer::from`, and a `Buffer` calls
        // `release` once, when it is dropped.
        drop(unsafe { Box::from_raw(owner.cast::<Bytes>()) });
    });
}

extern "C" fn nothing(_: *mut ()) {}

impl From<Bytes> for Buffer {
    fn from(bytes: Bytes) -> Self {
        if bytes.is_empty() {
            return Self {
                pointer: std::ptr::NonNull::dangling().as_ptr(),
                length: 0,
                owner: std::ptr::null_mut(),
                release: nothing,
            };
        }
        let (pointer, length) = (bytes.as_ptr(), bytes.len());
        Self {
            pointer,
            length,
            owner: Box::into_raw(Box::new(bytes)).cast(),
            release,
        }
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: `pointer` and `length` are those of the `Bytes` that `owner` keeps alive until
        // `self` is dropped; for none they are those of an empty slice.
        unsafe { slice::from_raw_parts(self.pointer, self.length) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        (self.release)(self.owner);
    }
}

impl From<Buffer> for Bytes {
    fn from(buffer: Buffer) -> Self {
        if buffer.length <= COPY_LIMIT {
            Self::copy_from_slice(buffer.as_ref())
        } else {
            Self::from_owner(buffer)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_values_are_copied_and_large_ones_shared() {
        for (size, shared) in [(1, false), (1024, false), (1025, true)] {
            let sent = Bytes::from(vec![7; size]);
            let received = Bytes::from(Buffer::from(sent.clone()));
            assert_eq!(sent, received);
            assert_eq!(sent.as_ptr() == received.as_ptr(), shared, "{size} bytes");
        }
    }

    #[test]
    fn a_panic_in_the_drop_of_an_owner_stays_inside() {
        struct Bad;
        impl AsRef<[u8]> for Bad {
            fn as_ref(&self) -> &[u8] {
                &[1; 2000]
            }
        }
        impl Drop for Bad {
            fn drop(&mut self) {
                panic!("an owner that panics");
            }
        }
        drop(Bytes::from(Buffer::from(Bytes::from_owner(Bad))));
    }
}
