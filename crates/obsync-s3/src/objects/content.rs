//! What an object's bytes are: by S3's own word, by ours where that can be believed, or by reading
//! them.

use futures_util::StreamExt as _;
use http::Method;
use object_store::path::Path;
use obsidian_sync::ContentHash;
use obsync_core::{Stamp, StoreError, Trust, VaultPath};
use sha2::Digest as _;

use super::S3VaultStore;
use crate::ask::Ask;
use crate::bucket::e_tag_of;
use crate::fault::Fault;
use crate::object::stamp;

type Hashed = Option<(ContentHash, Stamp)>;

impl S3VaultStore {
    /// The hash of the bytes at a key: S3's own, or by reading. Our mark is only metadata, which tools
    /// keep when they write other bytes: it counts where the object is still `known`, our last write.
    pub(super) async fn hash_at(
        &self,
        key: &Path,
        known: Option<&Stamp>,
    ) -> Result<Hashed, StoreError> {
        let head = self.0.bucket.head(key).await;
        let Some(head) = head.map_err(|fault| self.fault(fault, "s3:GetObject", key))? else {
            return Ok(None);
        };
        match head.hash(known) {
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
        match head.hash(known.filter(|_| head.size == size)) {
            Some(hash) => Ok(Some((hash, head.stamp))),
            None => self.read_through(&key).await,
        }
    }

    /// Reads all bytes, a piece at a time.
    async fn read_through(&self, key: &Path) -> Result<Hashed, StoreError> {
        let ask = Ask::new(Method::GET, key.as_ref());
        let once = || async {
            let bucket = &self.0.bucket;
            let (parts, body) = bucket.once(&ask).await?.into_parts();
            let (mut hasher, mut size) = (sha2::Sha256::new(), 0);
            let mut pieces = body.bytes_stream();
            while let Some(piece) = bucket.piece(pieces.next()).await? {
                let piece = piece.map_err(|error| Fault::unanswered(&error))?;
                size += piece.len() as u64;
                hasher.update(&piece);
            }
            let stamp = stamp(e_tag_of(&parts.headers), size);
            Ok((ContentHash(hasher.finalize().into()), stamp))
        };
        match self.0.bucket.again(&ask, once).await {
            Ok(found) => Ok(Some(found)),
            Err(fault) if fault.is_absent() => Ok(None),
            Err(fault) => Err(self.fault(fault, "s3:GetObject", key)),
        }
    }
}
