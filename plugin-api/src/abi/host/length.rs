//! The bytes of a blob, which are as many as its plugin said: whoever puts them together is not made to
//! hold more, and does not take a part for the whole.

use bytes::Bytes;
use futures::{Stream, StreamExt as _, future::ready, stream};

use crate::{Error, Result};

/// `chunks`, of a blob that is said to have `size` bytes. Fails with `internal` where it has others.
pub(super) fn exact(
    plugin: String,
    size: u64,
    chunks: impl Stream<Item = Result<Bytes>> + Send,
) -> impl Stream<Item = Result<Bytes>> + Send {
    let wrong = move |what: &str| {
        Error::internal(format!(
            "the plugin {plugin} sent {what} the {size} bytes that it says a blob has; the blob is \
             damaged, or the plugin has to be mended"
        ))
    };
    let items = chunks.map(Some).chain(stream::once(ready(None)));
    // What is left to come; `None` after the end.
    items.scan(Some(size), move |left, item| {
        let before = left.take();
        let next = before.and_then(|before| match item {
            Some(Ok(chunk)) => {
                *left = before.checked_sub(chunk.len() as u64);
                Some(left.map(|_| chunk).ok_or_else(|| wrong("more than")))
            }
            Some(Err(error)) => Some(Err(error)),
            None => (before > 0).then(|| Err(wrong("less than"))),
        });
        ready(next)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(size: u64, chunks: &[&'static str]) -> Vec<Result<Bytes>> {
        let chunks: Vec<_> = chunks.iter().map(|chunk| Ok(Bytes::from(*chunk))).collect();
        exact("p".to_owned(), size, stream::iter(chunks))
            .collect()
            .await
    }

    #[tokio::test]
    async fn as_many_bytes_as_were_said() {
        assert_eq!(read(0, &[]).await, []);
        assert_eq!(read(0, &[""]).await, [Ok(Bytes::new())]);
        let chunks = read(3, &["a", "", "bc"]).await;
        assert_eq!(chunks, ["a", "", "bc"].map(|chunk| Ok(chunk.into())));
    }

    #[tokio::test]
    async fn more_or_less_is_an_error_and_the_end() {
        for (chunks, come, words) in [
            (
                &["a", "bc", "d", "e"][..],
                2,
                "p sent more than the 3 bytes",
            ),
            (&["a", "b"][..], 2, "p sent less than the 3 bytes"),
        ] {
            let mut items = read(3, chunks).await;
            let error = items.pop().unwrap().unwrap_err();
            assert!(error.message().contains(words), "{error}");
            assert_eq!(items.len(), come);
            assert!(items.iter().all(Result::is_ok));
        }
    }

    #[tokio::test]
    async fn a_failure_is_the_end_and_nothing_is_missed_after_it() {
        let failed = Error::unavailable("gone");
        let chunks = stream::iter([Ok("a".into()), Err(failed.clone())]);
        let items: Vec<_> = exact("p".to_owned(), 3, chunks).collect().await;
        assert_eq!(items, [Ok("a".into()), Err(failed)]);
    }
}
