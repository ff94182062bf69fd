//! [`reach`]: the way to a host, step by step, for those who look for what is wrong with it.

use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use url::Url;

use crate::client::Deadlines;
use crate::dial;
use crate::error::{Error, Kind};
use crate::tls;

/// How long each step to a host took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// Looking up its addresses.
    pub resolve: Duration,
    /// Connecting to one of them.
    pub connect: Duration,
    /// The TLS handshake; `None` on this machine, where there is none.
    pub tls: Option<Duration>,
}

/// Goes to a host as far as the TLS handshake, as a connection would, and sends it nothing. `url` is one
/// that [`api_base`](crate::host::api_base) or [`sync_url`](crate::host::sync_url) has passed.
///
/// # Errors
/// [`Kind::Network`] or [`Kind::Timeout`]; the message names the host and the step.
pub async fn reach(url: &Url, deadlines: &Deadlines) -> Result<Reached, Error> {
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let port = url.port_or_known_default().unwrap_or_default();

    let began = Instant::now();
    let step = "its address can't be looked up";
    let found = within(deadlines.resolve, host, step, lookup_host((bare, port))).await?;
    let resolve = began.elapsed();

    let began = Instant::now();
    let step = "it does not take connections";
    let connecting = dial::first(found.collect(), TcpStream::connect);
    let stream = within(deadlines.connect, host, step, connecting).await?;
    let connect = began.elapsed();

    if !matches!(url.scheme(), "https" | "wss") {
        return Ok(Reached {
            resolve,
            connect,
            tls: None,
        });
    }
    let began = Instant::now();
    let name = ServerName::try_from(bare.to_owned()).map_err(|error| {
        Error::new(Kind::InvalidInput, format!("{host} is no name for TLS")).with_source(error)
    })?;
    let step = "the TLS handshake fails";
    let handshake = TlsConnector::from(tls::client_config()).connect(name, stream);
    within(deadlines.tls, host, step, handshake).await?;
    Ok(Reached {
        resolve,
        connect,
        tls: Some(began.elapsed()),
    })
}

async fn within<T>(
    limit: Duration,
    host: &str,
    step: &str,
    work: impl Future<Output = std::io::Result<T>>,
) -> Result<T, Error> {
    let what = format!("can't reach {host}: {step}");
    match timeout(limit, work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(Error::new(Kind::Network, what).with_source(error)),
        Err(_) => Err(Error::new(
            Kind::Timeout,
            format!("{what}: no answer within {limit:?}"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[tokio::test]
    async fn each_step_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let deadlines = Deadlines::default();
        let reached = reach(&url(&format!("http://{address}/")), &deadlines).await;
        assert_eq!(reached.unwrap().tls, None);

        // Speaks no TLS: hangs up on the first bytes.
        let hanging_up = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                drop(stream);
            }
        });
        let error = reach(&url(&format!("https://{address}/")), &deadlines).await;
        let error = error.unwrap_err();
        assert_eq!(
            (error.kind(), error.to_string()),
            (
                Kind::Network,
                "can't reach 127.0.0.1: the TLS handshake fails".to_owned()
            )
        );
        hanging_up.abort();
        let _ = hanging_up.await;
        let error = reach(&url(&format!("https://{address}/")), &deadlines).await;
        let error = error.unwrap_err().to_string();
        assert_eq!(error, "can't reach 127.0.0.1: it does not take connections");
        let error = reach(&url("https://nowhere.invalid/"), &deadlines).await;
        let error = error.unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("can't reach nowhere.invalid: "),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_handshake_that_hangs_ends_at_its_deadline() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let deadlines = Deadlines {
            tls: Duration::from_millis(50),
            ..Deadlines::default()
        };
        let error = reach(&url(&format!("wss://{address}/")), &deadlines).await;
        assert_eq!(error.unwrap_err().kind(), Kind::Timeout);
    }
}
