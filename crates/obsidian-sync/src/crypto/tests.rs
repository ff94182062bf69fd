//! Known answers and properties of the encryption.

use std::sync::{LazyLock, OnceLock};

use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::secret::Password;

/// Known answers, made with the algorithms of the service's own clients.
static VECTORS: LazyLock<Vec<Vector>> = LazyLock::new(|| {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        #[serde(rename = "note")]
        _note: String,
        vectors: Vec<Vector>,
    }
    let text = include_str!("../../tests/crypto-vectors.json");
    serde_json::from_str::<File>(text)
        .expect("the vectors are well-formed")
        .vectors
});

// Unknown fields are refused, so that no section of the file is left unchecked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    version: u64,
    password: String,
    salt: String,
    key: String,
    keyhash: String,
    siv_enc_key: Option<String>,
    siv_mac_key: Option<String>,
    gcm_key: Option<String>,
    strings: Vec<KnownName>,
    contents: Vec<KnownContent>,
    #[serde(skip)]
    derived: OnceLock<VaultKey>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KnownName {
    plain: String,
    encoded: String,
    #[serde(default)]
    wraps16: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KnownContent {
    /// Repeated up to `plain_len`.
    plain: String,
    plain_len: usize,
    plain_sha256: String,
    iv: String,
    sealed_sha256: String,
    sealed: Option<String>,
}

impl Vector {
    fn key(&self) -> &VaultKey {
        self.derived
            .get_or_init(|| VaultKey::derive(&Password::new(&*self.password), &self.salt))
    }

    fn cipher(&self) -> VaultCipher {
        let version = EncryptionVersion::from_number(self.version).expect("a known version");
        VaultCipher::new(version, self.key(), &self.salt)
    }
}

impl KnownContent {
    fn plain(&self) -> Vec<u8> {
        let pattern = hex::decode(&self.plain).unwrap();
        pattern.into_iter().cycle().take(self.plain_len).collect()
    }
}

#[test]
fn keys_are_the_known_ones() {
    assert_eq!(VECTORS.len(), 9);
    for vector in VECTORS.iter() {
        let key = vector.key();
        assert_eq!(hex::encode(key.bytes()), vector.key);
        assert_eq!(vector.cipher().keyhash(), vector.keyhash);
        let derived = [
            (
                "ObsidianAesSivEnc",
                vector.salt.as_bytes(),
                &vector.siv_enc_key,
            ),
            (
                "ObsidianAesSivMac",
                vector.salt.as_bytes(),
                &vector.siv_mac_key,
            ),
            ("ObsidianAesGcm", b"".as_slice(), &vector.gcm_key),
        ];
        for (info, salt, known) in derived {
            assert_eq!(known.is_some(), vector.version != 0, "{info}");
            if let Some(known) = known {
                assert_eq!(&hex::encode(key.expand(salt, info)), known, "{info}");
            }
        }
    }
}

#[test]
fn names_are_the_known_ones_in_both_directions() {
    let mut wraps = 0;
    for vector in VECTORS.iter() {
        let cipher = vector.cipher();
        for name in &vector.strings {
            let encoded = cipher.encode_name(&name.plain);
            assert_eq!(
                encoded.as_str(),
                name.encoded,
                "{} v{}",
                name.plain,
                vector.version
            );
            assert_eq!(cipher.decode_name(&encoded).unwrap(), name.plain);
            wraps += usize::from(name.wraps16);
        }
    }
    assert_eq!(wraps, 18, "the counter trap is among the vectors");
}

#[test]
fn content_is_the_known_one_in_both_directions() {
    for vector in VECTORS.iter() {
        let cipher = vector.cipher();
        for content in &vector.contents {
            let plain = content.plain();
            assert_eq!(ContentHash::of(&plain).to_hex(), content.plain_sha256);
            let iv = hex::decode(&content.iv).unwrap().try_into().unwrap();
            let sealed = cipher.seal_with_iv(&plain, iv);
            assert_eq!(ContentHash::of(&sealed).to_hex(), content.sealed_sha256);
            if let Some(known) = &content.sealed {
                assert_eq!(&hex::encode(&sealed), known);
            }
            assert_eq!(stream(&cipher, &sealed, 7).unwrap(), plain);
            assert_eq!(cipher.open(sealed).unwrap(), plain);
        }
    }
}

#[test]
fn hashes_round_trip_and_none_is_empty() {
    let cipher = any_cipher(EncryptionVersion::V3);
    let hash = ContentHash::of(b"text");
    let encoded = cipher.encode_hash(Some(hash));
    assert_eq!(encoded, cipher.encode_name(&hash.to_hex()));
    assert_eq!(cipher.decode_hash(&encoded).unwrap(), Some(hash));
    assert_eq!(cipher.encode_hash(None), EncodedName::default());
    assert_eq!(cipher.decode_hash(&EncodedName::default()).unwrap(), None);
    let not_a_hash = cipher.encode_name("a.md");
    assert_eq!(
        cipher.decode_hash(&not_a_hash).unwrap_err().kind(),
        Kind::Corrupt
    );
}

#[test]
fn an_empty_file_is_not_encrypted() {
    for version in VERSIONS {
        let cipher = any_cipher(version);
        assert_eq!(cipher.seal(b""), b"");
        assert_eq!(cipher.open(Vec::new()).unwrap(), b"");
        assert_eq!(cipher.open(vec![9; 12]).unwrap(), b"");
        assert_eq!(stream(&cipher, &[], 1).unwrap(), b"");
        assert_eq!(stream(&cipher, &[9; 12], 5).unwrap(), b"");
        // An encrypted nothing, as another client might send it.
        let sealed = cipher.0.content.seal(b"", [1; 12]);
        assert_eq!(sealed.len() as u64, SEAL_OVERHEAD);
        assert_eq!(cipher.open(sealed.clone()).unwrap(), b"");
        assert_eq!(stream(&cipher, &sealed, 3).unwrap(), b"");
    }
}

#[test]
fn content_cut_at_any_length_is_refused() {
    for version in VERSIONS {
        let cipher = any_cipher(version);
        let sealed = cipher.seal(b"a short note");
        for length in (1..sealed.len()).filter(|length| *length != 12) {
            let cut = sealed[..length].to_vec();
            assert!(stream(&cipher, &cut, 5).is_err(), "{length}");
            assert_eq!(
                cipher.open(cut).unwrap_err().kind(),
                Kind::Corrupt,
                "{length}"
            );
        }
    }
}

#[test]
fn names_that_are_no_names_are_refused() {
    for version in VERSIONS {
        let cipher = any_cipher(version);
        let name = cipher.encode_name("Daily/today.md");
        for bad in [
            "",
            "zz",
            "0",
            "é",
            "00",
            "000102030405060708090a0b0c0d0e0f10",
        ] {
            let error = cipher.decode_name(&EncodedName::new(bad)).unwrap_err();
            assert_eq!(error.kind(), Kind::Corrupt, "{bad}");
        }
        let short = EncodedName::new(&name.as_str()[..name.as_str().len() - 2]);
        assert!(cipher.decode_name(&short).is_err());
        let upper = EncodedName::new(name.as_str().to_uppercase());
        assert_eq!(cipher.decode_name(&upper).unwrap(), "Daily/today.md");
    }
}

#[test]
fn another_key_opens_nothing() {
    let ours = any_cipher(EncryptionVersion::V3);
    let theirs = VECTORS[8].cipher();
    assert!(theirs.decode_name(&ours.encode_name("a.md")).is_err());
    assert!(theirs.open(ours.seal(b"text")).is_err());
}

#[test]
fn text_decodes_as_on_the_web() {
    assert_eq!(lossy_text(b"\xef\xbb\xbfa.md".to_vec()), "a.md");
    assert_eq!(
        lossy_text(b"\xef\xbb\xbf\xef\xbb\xbfa".to_vec()),
        "\u{feff}a"
    );
    assert_eq!(lossy_text(b"a\xff\xc3.md".to_vec()), "a\u{fffd}\u{fffd}.md");
    assert_eq!(lossy_text(b"\xef\xbb\xbf\xff".to_vec()), "\u{fffd}");
    // A sequence cut short is one replacement character, as in the encoding standard.
    assert_eq!(lossy_text(b"\xf0\x9f\x9aa".to_vec()), "\u{fffd}a");
    let cipher = any_cipher(EncryptionVersion::V2);
    let marked = cipher.encode_name("\u{feff}a.md");
    assert_eq!(cipher.decode_name(&marked).unwrap(), "a.md");
}

#[test]
fn random_ivs_differ() {
    let cipher = any_cipher(EncryptionVersion::V3);
    assert_ne!(cipher.seal(b"x")[..12], cipher.seal(b"x")[..12]);
}

#[test]
fn ciphers_do_not_print_keys() {
    let cipher = any_cipher(EncryptionVersion::V3);
    assert_eq!(format!("{cipher:?}"), "VaultCipher { version: V3, .. }");
    assert_eq!(format!("{:?}", cipher.opener()), "ContentOpener { .. }");
}

const VERSIONS: [EncryptionVersion; 3] = [
    EncryptionVersion::V0,
    EncryptionVersion::V2,
    EncryptionVersion::V3,
];

/// The first vault of the vectors, in a version.
fn any_cipher(version: EncryptionVersion) -> VaultCipher {
    let vector = VECTORS
        .iter()
        .find(|vector| vector.version == version.number())
        .unwrap();
    vector.cipher()
}

fn stream(cipher: &VaultCipher, sealed: &[u8], cut: usize) -> Result<Vec<u8>, Error> {
    let mut opener = cipher.opener();
    let mut plain = Vec::new();
    for piece in sealed.chunks(cut) {
        opener.update(piece, &mut plain);
    }
    opener.finish().map(|()| plain)
}

fn versions() -> impl Strategy<Value = EncryptionVersion> {
    prop::sample::select(VERSIONS.as_slice())
}

proptest! {
    #[test]
    fn names_round_trip(version in versions(), name in "\\PC{1,300}") {
        let cipher = any_cipher(version);
        let encoded = cipher.encode_name(&name);
        prop_assert_eq!(cipher.decode_name(&encoded).unwrap(), name);
    }

    #[test]
    fn a_changed_name_is_refused(
        version in versions(), name in "\\PC{0,80}", at in any::<prop::sample::Index>(), bit in 0..8_u8,
    ) {
        let cipher = any_cipher(version);
        let mut bytes = hex::decode(cipher.encode_name(&name).as_str()).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        prop_assert!(cipher.decode_name(&EncodedName::new(hex::encode(bytes))).is_err());
    }

    #[test]
    fn content_round_trips(version in versions(), plain in prop::collection::vec(any::<u8>(), 0..3000)) {
        let cipher = any_cipher(version);
        let sealed = cipher.seal(&plain);
        let overhead = if plain.is_empty() { 0 } else { SEAL_OVERHEAD };
        prop_assert_eq!(sealed.len() as u64, plain.len() as u64 + overhead);
        prop_assert_eq!(cipher.open(sealed).unwrap(), plain);
    }

    #[test]
    fn streaming_equals_whole_for_any_cut(
        version in versions(),
        plain in prop::collection::vec(any::<u8>(), 0..700),
        cuts in prop::collection::vec(0..90_usize, 1..40),
    ) {
        let cipher = any_cipher(version);
        let sealed = cipher.seal(&plain);
        let mut opener = cipher.opener();
        let mut opened = Vec::new();
        let mut rest = sealed.as_slice();
        for cut in cuts.iter().cycle().take(4000) {
            let (piece, after) = rest.split_at(rest.len().min(*cut));
            opener.update(piece, &mut opened);
            rest = after;
        }
        opener.update(rest, &mut opened);
        prop_assert!(opener.finish().is_ok());
        prop_assert_eq!(opened, plain);
    }

    #[test]
    fn changed_content_is_refused_whole_and_streaming(
        plain in prop::collection::vec(any::<u8>(), 1..300),
        at in any::<prop::sample::Index>(),
        bit in 0..8_u8,
        cut in 1..50_usize,
    ) {
        let cipher = any_cipher(EncryptionVersion::V3);
        let mut sealed = cipher.seal(&plain);
        let at = at.index(sealed.len());
        sealed[at] ^= 1_u8 << bit;
        prop_assert!(stream(&cipher, &sealed, cut).is_err());
        prop_assert!(cipher.open(sealed).is_err());
    }

    #[test]
    fn arbitrary_bytes_never_panic(version in versions(), bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let cipher = any_cipher(version);
        let _ = cipher.decode_name(&EncodedName::new(hex::encode(&bytes)));
        let _ = stream(&cipher, &bytes, 9);
        let _ = cipher.open(bytes);
    }
}
