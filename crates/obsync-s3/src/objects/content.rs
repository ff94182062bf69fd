//! What an object's bytes are: by S3's own word, by ours, or by reading them.

use futures_util::TryStreamExt as _;
use object_store::ObjectStoreExt as _;
use object_store::path::Path;
use obsidian_sync::ContentHash;
use obsync_core::{Stamp, StoreError, Trust, VaultPath};
use sha2::Digest as _;

use super::S3VaultStore;
use crate::fault::Fault;
use crate::object::stamp;

type Hashed = Option<(ContentHash, Stamp)>;

impl S3VaultStore {
    /// The hash of the bytes at a key: S3's own, the one that we wrote, or by reading.
    pub(super) async fn hash_at(&self, key: &Path) -> Result<Hashed, StoreError> {
        let head = self.0.bucket.head(key).await;
        let Some(head) = head.map_err(|fault| self.fault(fault, "s3:GetObject", key))? else {
            return Ok(None);
        };
        let told = head.checksum.or(head.mark.map(|(hash, _)| hash));
        match told {
            Some(hash) => Ok(Some((hash, head.stamp))),
            None => self.read_through(key).await,
        }
    }

    /// The hash of a path's object, by what may be trusted. S3 computes its own checksum when it takes
    /// the bytes; our mark is only metadata, which tools copy from object to object.
    pub(super) async fn check_hash(
        &self,
        path: &VaultPath,
        trust: Trust<'_>,
    ) -> Result<Hashed, StoreError> {
        let Ok(key) = self.key(path) else {
            return Ok(None);
        };
        let Trust::Records { size, known } = trust else {
            return self.read_through(&key).await;
        };
        let head = self.0.bucket.head(&key).await;
        let Some(head) = head.map_err(|fault| self.fault(fault, "s3:GetObject", &key))? else {
            return Ok(None);
        };
        let mark = head.mark.map(|(hash, _)| hash);
        let mark = mark.filter(|_| head.size == size && known == Some(&head.stamp));
        match head.checksum.or(mark) {
            Some(hash) => Ok(Some((hash, head.stamp))),
            None => self.read_through(&key).await,
        }
    }

    /// Reads all bytes, a piece at a time.
    async fn read_through(&self, key: &Path) -> Result<Hashed, StoreError> {
        let read = async {
            let found = self.0.bucket.store().get(key).await?;
            let stamp = stamp(found.meta.e_tag.as_deref(), found.meta.size);
            let mut stream = found.into_stream();
            let mut hasher = sha2::Sha256::new();
            while let Some(piece) = stream.try_next().await? {
                hasher.update(&piece);
            }
            Ok::<_, object_store::Error>((ContentHash(hasher.finalize().into()), stamp))
        };
        match read.await.map_err(Fault::from) {
            Ok(found) => Ok(Some(found)),
            Err(fault) if fault.is_absent() => Ok(None),
            Err(fault) => Err(self.fault(fault, "s3:GetObject", key)),
        }
    }
}
