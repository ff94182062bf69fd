//! Which hosts a token may go to (protocol section 2).
//!
//! The service names the sync server of a vault, and a hostile or broken one could name any. Nothing is
//! sent before the name has passed [`sync_url`].

use url::{Host, Url};

use crate::error::{Error, Kind};
use crate::text::quote;

/// The sync servers' domain.
const DOMAIN: &str = ".obsidian.md";

/// The address of a sync server that the service named as `host` or `host:port`: `wss` below
/// `obsidian.md`, `ws` on this machine.
///
/// # Errors
/// [`Kind::ForbiddenHost`] for every other host, and for anything that is not plainly a host.
pub fn sync_url(host: &str) -> Result<Url, Error> {
    checked_sync_url(host).ok_or_else(|| {
        Error::new(
            Kind::ForbiddenHost,
            format!(
                "the service named the sync host {}, which is neither under obsidian.md nor this \
                 machine; nothing was sent to it",
                quote(host)
            ),
        )
    })
}

fn checked_sync_url(host: &str) -> Option<Url> {
    let (name, port) = match host.split_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (host, None),
    };
    if let Some(port) = port {
        // `parse` alone would take a sign.
        let digits = port.bytes().all(|byte| byte.is_ascii_digit());
        port.parse::<u16>()
            .ok()
            .filter(|port| digits && *port != 0)?;
    }
    let name = name.to_ascii_lowercase();
    let scheme = match name.as_str() {
        "127.0.0.1" | "localhost" => "ws",
        _ if name.strip_suffix(DOMAIN)?.split('.').all(is_label) => "wss",
        _ => return None,
    };
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    Url::parse(&format!("{scheme}://{name}{port}/")).ok()
}

/// Whether this is one part of a host name, and nothing that a URL parser would take for more.
fn is_label(label: &str) -> bool {
    !label.is_empty()
        && label.len() <= 63
        && label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// The base of the REST API: `https` anywhere, plain `http` on this machine only.
///
/// The answer's path ends in a slash, so that the calls' paths can be joined to it.
///
/// # Errors
/// [`Kind::InvalidInput`] when the text is no such URL or holds a user, query or fragment;
/// [`Kind::ForbiddenHost`] for plain `http` to another machine, which would show the password to all.
pub fn api_base(text: &str) -> Result<Url, Error> {
    // What stands before an @ may be a password.
    let shown = if text.contains('@') {
        "…".to_owned()
    } else {
        quote(text)
    };
    let invalid =
        |why: &str| Error::new(Kind::InvalidInput, format!("the API address {shown} {why}"));
    let mut url = Url::parse(text).map_err(|error| invalid("is not a URL").with_source(error))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid("must not hold a user name or password"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(invalid("must end with its path"));
    }
    match url.scheme() {
        "https" => {}
        "http" if is_this_machine(&url) => {}
        "http" => {
            return Err(Error::new(
                Kind::ForbiddenHost,
                format!("the API address {shown} would send the password unencrypted; use https"),
            ));
        }
        _ => return Err(invalid("must start with https://")),
    }
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Ok(url)
}

/// Whether a URL's host is the loopback interface, by name or by address.
pub(crate) fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn permitted_hosts() {
        for (host, url) in [
            ("sync-1.obsidian.md", "wss://sync-1.obsidian.md/"),
            ("SYNC-1.Obsidian.MD", "wss://sync-1.obsidian.md/"),
            ("a.b.obsidian.md", "wss://a.b.obsidian.md/"),
            ("sync-1.obsidian.md:8443", "wss://sync-1.obsidian.md:8443/"),
            ("sync-1.obsidian.md:443", "wss://sync-1.obsidian.md/"),
            ("127.0.0.1", "ws://127.0.0.1/"),
            ("127.0.0.1:8080", "ws://127.0.0.1:8080/"),
            ("localhost", "ws://localhost/"),
            ("LocalHost:1", "ws://localhost:1/"),
        ] {
            assert_eq!(sync_url(host).unwrap().as_str(), url);
        }
    }

    #[test]
    fn forbidden_hosts() {
        for host in [
            "",
            ".",
            ":",
            ":443",
            "obsidian.md",
            ".obsidian.md",
            "..obsidian.md",
            "a..obsidian.md",
            "evil-obsidian.md",
            "evilobsidian.md",
            "obsidian.md.evil.com",
            "sync.obsidian.md.",
            "sync.obsidian.md.evil.com",
            "sync.obsidian.mdx",
            "127.0.0.1.evil.com",
            "127.0.0.1.",
            "127.0.0.2",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0.0.0.0",
            "[::1]",
            "::1",
            "localhost.",
            "localhost.evil.com",
            "evil.com",
            "evil.com#.obsidian.md",
            "evil.com/.obsidian.md",
            "evil.com?.obsidian.md",
            "evil.com\\.obsidian.md",
            "evil.com:1.obsidian.md",
            "evil.com@sync.obsidian.md",
            "sync.obsidian.md@evil.com",
            "user:pass@sync.obsidian.md",
            "sync.obsidian.md:pass@evil.com",
            "sync.obsidian.md/path",
            "sync.obsidian.md:443/path",
            "sync.obsidian.md?x",
            "wss://sync.obsidian.md",
            "sync.obsidian.md:",
            "sync.obsidian.md:0",
            "sync.obsidian.md:65536",
            "sync.obsidian.md:+443",
            "sync.obsidian.md:443:443",
            "sync.obsidian.md:https",
            " sync.obsidian.md",
            "sync.obsidian.md ",
            "sync.obsidian.md\n",
            "sync.obsidian.md\0",
            "evil.com%2e.obsidian.md",
            "evil.com\t.obsidian.md",
            "s\u{131}nc.obsidian.md",
            "sync\u{3002}obsidian.md",
            "sync.obs\u{131}dian.md",
            "*.obsidian.md",
            "_.obsidian.md",
        ] {
            let error = sync_url(host).expect_err(host);
            assert_eq!(error.kind(), Kind::ForbiddenHost);
        }
    }

    #[test]
    fn a_forbidden_host_is_named_safely() {
        let error = sync_url("evil\u{1b}[2J.com").unwrap_err();
        assert!(error.to_string().contains(r"evil\u{1b}[2J.com"), "{error}");
    }

    #[test]
    fn api_addresses() {
        for (text, base) in [
            ("https://api.obsidian.md", "https://api.obsidian.md/"),
            ("https://example.org:1/api", "https://example.org:1/api/"),
            ("http://127.0.0.1:80/", "http://127.0.0.1/"),
            ("http://localhost:3000", "http://localhost:3000/"),
            ("http://[::1]:3000/x/", "http://[::1]:3000/x/"),
        ] {
            assert_eq!(api_base(text).unwrap().as_str(), base);
        }
        for (text, kind) in [
            ("", Kind::InvalidInput),
            ("api.obsidian.md", Kind::InvalidInput),
            ("ftp://api.obsidian.md", Kind::InvalidInput),
            ("wss://api.obsidian.md", Kind::InvalidInput),
            ("https://user@api.obsidian.md", Kind::InvalidInput),
            ("https://a:secret@api.obsidian.md:port", Kind::InvalidInput),
            ("https://:secret@api.obsidian.md", Kind::InvalidInput),
            ("https://api.obsidian.md/?a=b", Kind::InvalidInput),
            ("https://api.obsidian.md/#a", Kind::InvalidInput),
            ("http://api.obsidian.md", Kind::ForbiddenHost),
            ("http://127.0.0.1.evil.com", Kind::ForbiddenHost),
            ("http://localhost.evil.com", Kind::ForbiddenHost),
            ("http://10.0.0.1", Kind::ForbiddenHost),
        ] {
            let error = api_base(text).expect_err(text);
            assert_eq!(error.kind(), kind, "{text}");
            assert!(!error.to_string().contains("secret"));
        }
    }

    proptest! {
        #[test]
        fn what_passes_goes_nowhere_else(host in "[a-zA-Z0-9.:@/\\\\#?%\\[\\]_ -]{0,30}(\\.obsidian\\.md)?") {
            if let Ok(url) = sync_url(&host) {
                let name = url.host_str().unwrap();
                prop_assert!(name.ends_with(".obsidian.md") && url.scheme() == "wss"
                    || is_this_machine(&url) && url.scheme() == "ws");
                prop_assert!(url.username().is_empty() && url.path() == "/");
            }
        }
    }
}
