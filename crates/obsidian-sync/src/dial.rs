//! From a host name to an upgraded WebSocket, each step under its own deadline.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use http::header::{HeaderMap, RETRY_AFTER, USER_AGENT};
use http::{HeaderValue, StatusCode};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::error::{Error as WsError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use url::Url;

use crate::deadlines::{Deadlines, Step, within};
use crate::error::{Error, Kind};
use crate::host::is_this_machine;

/// The largest frame and message. Pieces have 2 MiB; the rest is room for long lists.
const MESSAGE_LIMIT: usize = 4 * 1024 * 1024;
/// How long an address has the field to itself before the next one is tried beside it.
const STAGGER: Duration = Duration::from_millis(250);
/// More addresses than a sane host has.
const MAX_ADDRESSES: usize = 8;

/// What a connection runs over: a TCP stream, TLS over one, or a pipe in a test.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Any of them.
pub(crate) type BoxedIo = Box<dyn Io>;

/// Resolves the host and connects to the first of its addresses that answers.
pub(crate) async fn tcp(url: &Url, deadlines: &Deadlines) -> Result<TcpStream, Error> {
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or_default();
    let found = within(
        deadlines.resolve,
        host,
        Step::Resolve,
        lookup_host((host, port)),
    )
    .await?;
    let addresses: Vec<_> = found
        .map_err(|error| unreachable(host, "its address was not found", error))?
        // Whatever the name service makes of "localhost": plain text stays on this machine.
        .filter(|address| !is_this_machine(url) || address.ip().is_loopback())
        .take(MAX_ADDRESSES)
        .collect();
    let stream = within(
        deadlines.connect,
        host,
        Step::Connect,
        first(addresses, TcpStream::connect),
    )
    .await?
    .map_err(|error| unreachable(host, "it does not take connections", error))?;
    // Else the handshake takes 43 ms instead of 1.4.
    stream
        .set_nodelay(true)
        .map_err(|error| unreachable(host, "the socket failed", error))?;
    Ok(stream)
}

/// The first connection that succeeds. Addresses are tried in their order, each a little after the one
/// before or as soon as that has failed, so that a dead one (IPv6, mostly) costs next to nothing.
pub(crate) async fn first<S, F>(
    addresses: Vec<SocketAddr>,
    connect: impl Fn(SocketAddr) -> F,
) -> io::Result<S>
where
    F: Future<Output = io::Result<S>>,
{
    let mut waiting = addresses.into_iter();
    let mut attempts = FuturesUnordered::new();
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    loop {
        if let Some(address) = waiting.next() {
            attempts.push(connect(address));
        }
        let patience = if waiting.len() > 0 {
            STAGGER
        } else {
            Duration::MAX
        };
        match timeout(patience, attempts.next()).await {
            Ok(Some(Ok(stream))) => return Ok(stream),
            Ok(Some(Err(error))) => failure = error,
            Ok(None) => return Err(failure),
            Err(_) => {}
        }
    }
}

/// The TLS handshake, where the URL asks for one.
pub(crate) async fn tls(
    io: BoxedIo,
    url: &Url,
    config: Arc<ClientConfig>,
    deadlines: &Deadlines,
) -> Result<BoxedIo, Error> {
    if url.scheme() != "wss" {
        return Ok(io);
    }
    let host = url.host_str().unwrap_or_default();
    let name = ServerName::try_from(host.to_owned()).map_err(|error| {
        Error::new(Kind::ForbiddenHost, format!("{host} is no name for TLS")).with_source(error)
    })?;
    let handshake = TlsConnector::from(config).connect(name, io);
    let stream = within(deadlines.tls, host, Step::Tls, handshake)
        .await?
        .map_err(|error| unreachable(host, "the TLS handshake failed", error))?;
    Ok(Box::new(stream))
}

/// The WebSocket upgrade.
pub(crate) async fn upgrade(
    io: BoxedIo,
    url: &Url,
    user_agent: &str,
    deadlines: &Deadlines,
) -> Result<WebSocketStream<BoxedIo>, Error> {
    let host = url.host_str().unwrap_or_default();
    let mut request = url.as_str().into_client_request().map_err(|error| {
        Error::new(
            Kind::InvalidInput,
            format!("{host} makes no WebSocket address"),
        )
        .with_source(error)
    })?;
    let user_agent = HeaderValue::from_str(user_agent).map_err(|error| {
        Error::new(
            Kind::InvalidInput,
            "the User-Agent holds characters that HTTP does not allow",
        )
        .with_source(error)
    })?;
    request.headers_mut().insert(USER_AGENT, user_agent);
    let config = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_LIMIT))
        .max_frame_size(Some(MESSAGE_LIMIT));
    let handshake = tokio_tungstenite::client_async_with_config(request, io, Some(config));
    // Boxed: the handshake's state is large, and would be part of every caller's future.
    within(deadlines.upgrade, host, Step::Upgrade, Box::pin(handshake))
        .await?
        .map(|(socket, _)| socket)
        .map_err(|error| refused_upgrade(host, error))
}

fn refused_upgrade(host: &str, error: WsError) -> Error {
    match error {
        WsError::Http(response) if response.status() == StatusCode::TOO_MANY_REQUESTS => {
            Error::new(
                Kind::Overloaded,
                format!("the sync server {host} takes no more connections"),
            )
            .with_status(response.status().as_u16())
            .with_retry_after(retry_after(response.headers()))
        }
        WsError::Http(response) => Error::new(
            Kind::Edge,
            format!(
                "the sync server {host} refused the connection with HTTP {}",
                response.status()
            ),
        )
        .with_status(response.status().as_u16())
        .with_retry_after(retry_after(response.headers())),
        WsError::Io(error) => unreachable(host, "the connection broke during the upgrade", error),
        WsError::Protocol(ProtocolError::HandshakeIncomplete) => Error::new(
            Kind::Network,
            format!("{host} closed the connection during the upgrade"),
        ),
        error => Error::new(Kind::Protocol, format!("{host} does not speak WebSocket"))
            .with_source(error),
    }
}

fn unreachable(host: &str, why: &str, error: io::Error) -> Error {
    Error::new(
        Kind::Network,
        format!("can't reach the sync server {host}: {why}"),
    )
    .with_source(error)
}

/// `Retry-After` in its form of seconds; a day at most.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers
        .get(RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()?;
    Some(Duration::from_secs(seconds.min(24 * 60 * 60)))
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::time::{Instant, sleep};

    use super::*;

    fn addresses(count: u8) -> Vec<SocketAddr> {
        (1..=count)
            .map(|last| SocketAddr::from(([192, 0, 2, last], 1)))
            .collect()
    }

    fn last_octet(address: SocketAddr) -> u8 {
        match address.ip() {
            std::net::IpAddr::V4(ip) => ip.octets()[3],
            std::net::IpAddr::V6(_) => 0,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_address_does_not_hold_up_the_next() {
        let start = Instant::now();
        let winner = first(addresses(3), async |address| match last_octet(address) {
            3 => Ok(3),
            _ => pending().await,
        });
        assert_eq!(winner.await.unwrap(), 3);
        assert_eq!(start.elapsed(), STAGGER * 2);
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_refusal_the_next_is_tried_at_once() {
        let start = Instant::now();
        let winner = first(addresses(3), async |address| match last_octet(address) {
            3 => Ok(3),
            _ => Err(io::ErrorKind::ConnectionRefused.into()),
        });
        assert_eq!(winner.await.unwrap(), 3);
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_first_address_may_still_win() {
        let winner = first(addresses(2), async |address| match last_octet(address) {
            1 => {
                sleep(STAGGER * 2).await;
                Ok(1)
            }
            _ => pending().await,
        });
        assert_eq!(winner.await.unwrap(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn without_an_answer_the_last_failure_is_told() {
        let refused = first(addresses(2), async |_| {
            Err::<(), _>(io::Error::from(io::ErrorKind::ConnectionRefused))
        });
        assert_eq!(
            refused.await.unwrap_err().kind(),
            io::ErrorKind::ConnectionRefused
        );
        let none = first(addresses(0), async |_| Ok(()));
        assert_eq!(none.await.unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[tokio::test]
    async fn connecting_names_the_host_and_sets_nodelay() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let url = Url::parse(&format!("ws://{address}/")).unwrap();
        let stream = tcp(&url, &Deadlines::default()).await.unwrap();
        assert!(stream.nodelay().unwrap());

        drop(listener);
        let error = tcp(&url, &Deadlines::default()).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Network);
        assert!(error.to_string().contains("127.0.0.1"), "{error}");
    }

    #[test]
    fn retry_after_is_read_and_bounded() {
        let headers = |value: &'static str| {
            HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(value))])
        };
        assert_eq!(retry_after(&headers(" 7 ")), Some(Duration::from_secs(7)));
        assert_eq!(
            retry_after(&headers("999999999999")),
            Some(Duration::from_secs(86_400))
        );
        assert_eq!(retry_after(&headers("Wed, 21 Oct 2015 07:28:00 GMT")), None);
        assert_eq!(retry_after(&headers("-1")), None);
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }
}
