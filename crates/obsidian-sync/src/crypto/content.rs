//! AES-256-GCM for content: whole in memory with ring, or as a stream with bounded memory.

use aes::Aes256;
use aes::cipher::{
    Array, BlockCipherEncrypt as _, InnerIvInit as _, KeyInit as _, StreamCipher as _,
};
use ctr::{Ctr32BE, CtrCore};
use ghash::GHash;
use ghash::universal_hash::UniversalHash as _;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::error::{Error, Kind};

pub(super) const IV_LEN: usize = 12;
pub(super) const TAG_LEN: usize = 16;

/// The key of content (and of version 0's names).
pub(super) struct ContentKey {
    key: LessSafeKey,
    /// For the streaming opener, which ring does not have.
    bytes: Zeroizing<[u8; 32]>,
}

impl ContentKey {
    pub(super) fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, bytes.as_ref()).expect("the key has 32 bytes");
        Self {
            key: LessSafeKey::new(key),
            bytes,
        }
    }

    /// IV ‖ ciphertext ‖ tag, also for an empty plaintext.
    pub(super) fn seal(&self, plain: &[u8], iv: [u8; IV_LEN]) -> Vec<u8> {
        let mut sealed = Vec::with_capacity(IV_LEN + plain.len() + TAG_LEN);
        sealed.extend_from_slice(&iv);
        sealed.extend_from_slice(plain);
        let tag = self
            .key
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(iv),
                Aad::empty(),
                &mut sealed[IV_LEN..],
            )
            .expect("content is far below the 64 GiB that one GCM message may hold");
        sealed.extend_from_slice(tag.as_ref());
        sealed
    }

    /// The plaintext, or `None` where the tag does not fit. Works in place.
    pub(super) fn open(&self, mut sealed: Vec<u8>) -> Option<Vec<u8>> {
        let iv: [u8; IV_LEN] = sealed.get(..IV_LEN)?.try_into().ok()?;
        let length = self
            .key
            .open_within(
                Nonce::assume_unique_for_key(iv),
                Aad::empty(),
                &mut sealed,
                IV_LEN..,
            )
            .ok()?
            .len();
        sealed.truncate(length);
        Some(sealed)
    }

    pub(super) fn opener(&self) -> ContentOpener {
        ContentOpener {
            aes: Aes256::new((&*self.bytes).into()),
            head: [0; IV_LEN],
            head_len: 0,
            started: None,
            kept: [0; TAG_LEN],
            kept_len: 0,
        }
    }
}

/// Opens content piece by piece, holding no more than a tag's length back.
///
/// What [`update`](Self::update) hands out is **unverified** until [`finish`](Self::finish) has
/// returned `Ok`: write it where no reader looks, and throw it away otherwise. For content that fits
/// in memory, [`VaultCipher::open`](super::VaultCipher::open) is faster and safer.
pub struct ContentOpener {
    aes: Aes256,
    head: [u8; IV_LEN],
    head_len: usize,
    /// From the moment the IV is complete.
    started: Option<Started>,
    /// The last bytes so far: they may be the tag.
    kept: [u8; TAG_LEN],
    kept_len: usize,
}

impl ContentOpener {
    /// Takes the next bytes of the sealed content, cut anywhere, and appends the plaintext that they
    /// give to `out`.
    pub fn update(&mut self, sealed: &[u8], out: &mut Vec<u8>) {
        let (head, body) = sealed.split_at(sealed.len().min(IV_LEN - self.head_len));
        self.head[self.head_len..][..head.len()].copy_from_slice(head);
        self.head_len += head.len();
        if body.is_empty() {
            return;
        }
        let started = self
            .started
            .get_or_insert_with(|| Started::new(&self.aes, self.head));

        // Of what was kept and what came, the last 16 bytes stay; the rest can't be the tag.
        let free = (self.kept_len + body.len()).saturating_sub(TAG_LEN);
        let from_kept = free.min(self.kept_len);
        let (released, rest) = body.split_at(free - from_kept);
        started.release(&self.kept[..from_kept], out);
        started.release(released, out);
        self.kept.copy_within(from_kept..self.kept_len, 0);
        self.kept_len -= from_kept;
        self.kept[self.kept_len..][..rest.len()].copy_from_slice(rest);
        self.kept_len += rest.len();
    }

    /// Checks the tag, in constant time. Only after `Ok` is what was handed out the content.
    ///
    /// # Errors
    /// [`Kind::Corrupt`] when the content was cut short, changed, or sealed with another key.
    pub fn finish(self) -> Result<(), Error> {
        let genuine = match self.started {
            // Nothing at all, or an IV alone: both stand for an empty file.
            None => self.head_len == 0 || self.head_len == IV_LEN,
            Some(started) => {
                self.kept_len == TAG_LEN
                    && !started.too_long
                    && bool::from(started.tag().ct_eq(&self.kept))
            }
        };
        if genuine {
            Ok(())
        } else {
            Err(content_corrupt())
        }
    }
}

impl std::fmt::Debug for ContentOpener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ContentOpener").finish_non_exhaustive()
    }
}

/// The state of GCM once the IV is known.
struct Started {
    stream: Ctr32BE<Aes256>,
    hash: GHash,
    /// Ciphertext that does not fill a block of the hash yet.
    partial: [u8; 16],
    partial_len: usize,
    length: u64,
    tag_mask: [u8; 16],
    /// More than the counter can number: not content, whatever its tag.
    too_long: bool,
}

impl Started {
    fn new(aes: &Aes256, iv: [u8; IV_LEN]) -> Self {
        let mut hash_key = Array::from([0; 16]);
        aes.encrypt_block(&mut hash_key);
        let mut counter = [0; 16];
        counter[..IV_LEN].copy_from_slice(&iv);
        counter[15] = 1;
        let mut tag_mask = Array::from(counter);
        aes.encrypt_block(&mut tag_mask);
        counter[15] = 2;
        Self {
            stream: Ctr32BE::from_core(CtrCore::inner_iv_init(aes.clone(), &counter.into())),
            hash: GHash::new(&hash_key),
            partial: [0; 16],
            partial_len: 0,
            length: 0,
            tag_mask: tag_mask.into(),
            too_long: false,
        }
    }

    /// Hashes and decrypts ciphertext.
    fn release(&mut self, ciphertext: &[u8], out: &mut Vec<u8>) {
        self.length += ciphertext.len() as u64;
        self.absorb(ciphertext);
        let start = out.len();
        out.extend_from_slice(ciphertext);
        if self.stream.try_apply_keystream(&mut out[start..]).is_err() {
            self.too_long = true;
        }
    }

    /// Feeds the hash, which takes whole blocks only.
    fn absorb(&mut self, mut data: &[u8]) {
        if self.partial_len > 0 {
            let (fill, rest) = data.split_at(data.len().min(16 - self.partial_len));
            self.partial[self.partial_len..][..fill.len()].copy_from_slice(fill);
            self.partial_len += fill.len();
            data = rest;
            if self.partial_len < 16 {
                return;
            }
            self.hash.update(&[self.partial.into()]);
        }
        let (blocks, rest) = Array::slice_as_chunks(data);
        self.hash.update(blocks);
        self.partial[..rest.len()].copy_from_slice(rest);
        self.partial_len = rest.len();
    }

    fn tag(mut self) -> [u8; 16] {
        self.hash.update_padded(&self.partial[..self.partial_len]);
        // Lengths in bits: of the associated data (none), of the ciphertext.
        let lengths = u128::from(self.length * 8).to_be_bytes();
        self.hash.update(&[lengths.into()]);
        let mut tag: [u8; 16] = self.hash.finalize().into();
        for (byte, mask) in tag.iter_mut().zip(self.tag_mask) {
            *byte ^= mask;
        }
        tag
    }
}

pub(super) fn content_corrupt() -> Error {
    Error::new(
        Kind::Corrupt,
        "the content failed its authenticity check: it was damaged, cut short or encrypted with \
         another key",
    )
}
