//! What the service says: frames, records, names, contents, hosts.

use std::net::Ipv4Addr;
use std::sync::LazyLock;

use bytes::Bytes;
use obsidian_sync::crypto::{VaultCipher, VaultKey};
use obsidian_sync::session::{Incoming, Session};
use obsidian_sync::wire::{InitRequest, PushRequest, RawRecord, Request};
use obsidian_sync::{
    ContentHash, EncodedName, EncryptionVersion, Password, Token, Uid, VaultId, VaultVersion, host,
};
use obsync_core::feed::Collector;
use obsync_core::{VaultPath, escape_name};

/// One cipher of each scheme; the key is derived once.
static CIPHERS: LazyLock<Vec<VaultCipher>> = LazyLock::new(|| {
    let key = VaultKey::derive(&Password::new("fuzz"), "salt");
    [
        EncryptionVersion::V0,
        EncryptionVersion::V2,
        EncryptionVersion::V3,
    ]
    .map(|version| VaultCipher::new(version, &key, "salt"))
    .to_vec()
});

/// A conversation: lines that the service says, and, after `>`, what we ask before the next. A line
/// after `*` comes as a binary frame.
pub(super) fn frames(input: &[u8]) {
    let mut session = Session::new();
    let init = Request::Init(InitRequest {
        token: Token::new("marked-token"),
        id: VaultId::new("vault"),
        keyhash: Token::new("marked-keyhash"),
        version: VaultVersion(0),
        initial: true,
        device: "fuzz".to_owned(),
        encryption_version: 3,
    });
    session.send(&init).unwrap();
    for line in input.split(|&byte| byte == b'\n') {
        let said = match line {
            [b'>', which, ..] => {
                let request = match which {
                    b'p' => Request::Pull { uid: Uid(7) },
                    b'u' => Request::Push(PushRequest {
                        size: Some(3 << 20),
                        pieces: Some(2),
                        ..PushRequest::default()
                    }),
                    b'h' => Request::History {
                        path: EncodedName::default(),
                        last: None,
                    },
                    b'd' => Request::Deleted {
                        suppressrenames: true,
                    },
                    b's' => Request::Size,
                    b'n' => Request::Usernames,
                    _ => Request::Ping,
                };
                // Out of turn it is refused; that is no end.
                session.send(&request).map(drop)
            }
            [b'*', content @ ..] => {
                let frame = Incoming::Binary(Bytes::copy_from_slice(content));
                session.receive(frame).map(drop)
            }
            text => {
                let text = String::from_utf8_lossy(text);
                session.receive(Incoming::Text(&text)).map(drop)
            }
        };
        if let Err(error) = said {
            let told = format!("{error} {error:?}");
            let said = ["marked-token", "marked-keyhash"].map(|secret| told.contains(secret));
            assert_eq!(said, [false; 2], "a secret in: {told}");
        }
    }
}

/// A backlog, one record a line. A name that begins with `=` is the plain form of what stands there: it is
/// encoded with the vault's own key, so that records get past their names.
pub(super) fn records(input: &[u8]) {
    for cipher in CIPHERS.iter() {
        let mut collector = Collector::new(cipher);
        let mut taken = 0;
        for line in input.split(|&byte| byte == b'\n') {
            if let Ok(mut raw) = serde_json::from_slice::<RawRecord>(line) {
                encode(cipher, &mut raw);
                collector.take(&raw);
                taken += 1;
            }
        }
        let feed = collector.finish(VaultVersion(3));
        assert_eq!(feed.count, taken);
        assert!(feed.version.0 >= feed.highest.0);
        assert!(feed.records.is_sorted_by_key(|record| record.uid));
    }
}

fn encode(cipher: &VaultCipher, raw: &mut RawRecord) {
    let encoded = |name: &EncodedName| {
        let plain = name.as_str().strip_prefix('=')?;
        Some(cipher.encode_name(plain))
    };
    if let Some(path) = encoded(&raw.path) {
        raw.path = path;
    }
    if let Some(old) = raw.related_path.as_ref().and_then(encoded) {
        raw.related_path = Some(old);
    }
    if let Some(content) = raw.hash.as_str().strip_prefix('=') {
        raw.hash = cipher.encode_hash(Some(ContentHash::of(content.as_bytes())));
    }
}

/// Encoded names: damaged ones are refused; what opens comes from this very text. What follows a `=` is
/// encoded first.
pub(super) fn names(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    for cipher in CIPHERS.iter() {
        let (name, ours) = match text.strip_prefix('=') {
            Some(plain) => (cipher.encode_name(plain), true),
            None => (EncodedName::new(text.clone()), false),
        };
        let _ = cipher.decode_hash(&name);
        let plain = match cipher.decode_name(&name) {
            Ok(plain) => plain,
            Err(_) => {
                assert!(!ours, "what was encoded just now does not open: {name:?}");
                continue;
            }
        };
        assert!(
            ours,
            "it opens, and nobody who has the key has made it: {name:?}"
        );
        // A mark at the beginning is not part of a name.
        if text.strip_prefix("=\u{feff}").is_none() {
            assert_eq!(cipher.encode_name(&plain), name);
        }
        let mut bytes = hex::decode(name.as_str()).unwrap();
        let at = input.iter().fold(0_usize, |sum, &byte| {
            sum.wrapping_mul(31).wrapping_add(byte.into())
        }) % (bytes.len() * 8);
        bytes[at / 8] ^= 1 << (at % 8);
        let bad = EncodedName::new(hex::encode(bytes));
        assert!(
            cipher.decode_name(&bad).is_err(),
            "bit {at} of {name:?} makes no difference"
        );
    }
}

/// Sealed contents: the two ways to open them agree on every input, cut anywhere.
pub(super) fn content(input: &[u8]) {
    let (&cut, sealed) = input.split_first().unwrap_or((&0, &[]));
    for cipher in CIPHERS.iter() {
        agree(cipher, sealed, usize::from(cut));
        let good = cipher.seal_with_iv(sealed, [7; 12]);
        assert_eq!(cipher.open(good.clone()).unwrap(), sealed);
        agree(cipher, &good, usize::from(cut));
        let mut bad = good;
        if let Some(byte) = bad.get_mut(usize::from(cut)) {
            *byte ^= 1;
            assert!(cipher.open(bad.clone()).is_err());
            agree(cipher, &bad, 3);
        }
    }
}

fn agree(cipher: &VaultCipher, sealed: &[u8], cut: usize) {
    let whole = cipher.open(sealed.to_vec());
    let mut opener = cipher.opener();
    let mut plain = Vec::new();
    for piece in sealed.chunks(cut + 1) {
        opener.update(piece, &mut plain);
    }
    match (whole, opener.finish()) {
        (Ok(whole), Ok(())) => assert_eq!(whole, plain),
        (Err(_), Err(_)) => {}
        (whole, streamed) => panic!("{} but {}", whole.is_ok(), streamed.is_ok()),
    }
}

/// Names as they come out of decryption.
pub(super) fn paths(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let shown = escape_name(&text);
    assert!(!shown.chars().any(obsidian_sync::misleads), "{shown:?}");
    let Ok(path) = VaultPath::parse(&text) else {
        return;
    };
    assert!(!path.as_str().starts_with('/') && !path.as_str().contains('\0'));
    for segment in path.segments() {
        assert!(!matches!(segment, "" | "." | ".."), "{path:?}");
    }
    assert_eq!(VaultPath::parse(path.as_str()).as_ref(), Ok(&path));
    assert_eq!(path.depth(), path.segments().count());
    let (_, _) = (path.extension(), path.display());
    assert!(path.ancestors().all(|above| path.is_within(above.as_str())));
}

/// Host names of a vault list: a token goes to none but the service's and this computer.
pub(super) fn hosts(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    if let Ok(url) = host::sync_url(&text) {
        let host = url.host_str().unwrap();
        let ours = host.ends_with(".obsidian.md") && url.scheme() == "wss";
        assert!(
            ours || (is_here(host) && url.scheme() == "ws"),
            "{text:?} became {url}"
        );
        assert!(
            url.username().is_empty() && url.password().is_none(),
            "{url}"
        );
    }
    if let Ok(url) = host::api_base(&text) {
        let here = url.host_str().is_some_and(is_here);
        assert!(url.scheme() == "https" || here, "{text:?} became {url}");
    }
}

fn is_here(host: &str) -> bool {
    let v4 = host.parse::<Ipv4Addr>().is_ok_and(|v4| v4.is_loopback());
    v4 || matches!(host, "localhost" | "[::1]")
}
