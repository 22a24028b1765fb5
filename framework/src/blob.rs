//! Blobs: large values by key, in the namespace, sent and read in pieces.

use bytes::{Bytes, BytesMut};
use micro_proto::store::{
    BlobDeleteRequest, BlobListOptions, BlobListRequest, BlobOptions, BlobReadRequest,
    BlobWriteRequest, blob_store_client::BlobStoreClient,
};
use tonic::Request;

use crate::{Client, Error, ServiceChannel, client::unary};

/// How much of a blob one message carries, in bytes.
const PIECE: usize = 64 * 1024;

impl Client {
    /// The blobs of the platform, used on this client's own account.
    #[must_use]
    pub fn blobs(&self) -> Blobs {
        Blobs {
            channel: self.core("store"),
            namespace: self.namespace().to_owned(),
        }
    }
}

/// The blobs of one namespace.
#[derive(Clone, Debug)]
pub struct Blobs {
    channel: ServiceChannel,
    namespace: String,
}

impl Blobs {
    /// The blobs of another namespace.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    fn client(&self) -> BlobStoreClient<ServiceChannel> {
        BlobStoreClient::new(self.channel.clone()).max_decoding_message_size(crate::MAX_MESSAGE)
    }

    fn options(&self) -> BlobOptions {
        BlobOptions {
            namespace: self.namespace.clone(),
            ..BlobOptions::default()
        }
    }

    /// The blob of this key; `None` if there is none.
    ///
    /// # Errors
    /// What the store answered.
    pub async fn read(&self, key: impl Into<String>) -> Result<Option<Bytes>, Error> {
        let request = BlobReadRequest {
            key: key.into(),
            options: Some(self.options()),
        };
        match self.collect(request).await {
            Ok(blob) => Ok(Some(blob)),
            Err(error) if error.code == 404 => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn collect(&self, request: BlobReadRequest) -> Result<Bytes, Error> {
        let mut pieces = self
            .client()
            .read(Request::new(request))
            .await?
            .into_inner();
        let mut blob = BytesMut::new();
        while let Some(piece) = pieces.message().await? {
            blob.extend_from_slice(&piece.blob);
        }
        Ok(blob.freeze())
    }

    /// Writes a blob, over the one of its key if there is one.
    ///
    /// # Errors
    /// What the store answered.
    pub async fn write(&self, key: impl Into<String>, blob: impl Into<Bytes>) -> Result<(), Error> {
        let first = BlobWriteRequest {
            key: key.into(),
            options: Some(self.options()),
            blob: Bytes::new(),
        };
        let mut rest: Bytes = blob.into();
        // Key and options are needed once; pieces of the blob follow.
        let pieces = std::iter::from_fn(move || {
            (!rest.is_empty()).then(|| BlobWriteRequest {
                blob: rest.split_to(PIECE.min(rest.len())),
                ..BlobWriteRequest::default()
            })
        });
        let messages = futures::stream::iter(std::iter::once(first).chain(pieces));
        self.client().write(Request::new(messages)).await?;
        Ok(())
    }

    /// Deletes a blob.
    ///
    /// # Errors
    /// What the store answered.
    pub async fn delete(&self, key: impl Into<String>) -> Result<(), Error> {
        let request = BlobDeleteRequest {
            key: key.into(),
            options: Some(self.options()),
        };
        self.client().delete(unary(Request::new(request))).await?;
        Ok(())
    }

    /// The keys that begin so.
    ///
    /// # Errors
    /// What the store answered.
    pub async fn list(&self, prefix: impl Into<String>) -> Result<Vec<String>, Error> {
        let options = BlobListOptions {
            namespace: self.namespace.clone(),
            prefix: prefix.into(),
        };
        let request = BlobListRequest {
            options: Some(options),
        };
        Ok(self
            .client()
            .list(unary(Request::new(request)))
            .await?
            .into_inner()
            .keys)
    }
}
