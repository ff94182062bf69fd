//! TLS for both transports: rustls with ring and the Mozilla roots, chosen explicitly.

use std::sync::{Arc, OnceLock};

use rustls::{ClientConfig, RootCertStore};

/// The configuration that all connections share, sessions to resume included.
pub(crate) fn client_config() -> Arc<ClientConfig> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    let config = CONFIG.get_or_init(|| {
        let roots = RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        };
        let mut config = trusting(roots);
        // Neither the REST client nor a WebSocket speaks HTTP/2 here.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Arc::new(config)
    });
    Arc::clone(config)
}

/// A configuration that trusts these roots.
pub(crate) fn trusting(roots: RootCertStore) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has suites for TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::ServerConfig;
    use rustls::pki_types::{PrivateKeyDer, ServerName};
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    /// A handshake with a server whose certificate only its maker vouches for.
    async fn handshake(with: impl FnOnce(&RootCertStore) -> Arc<ClientConfig>) -> bool {
        let name = "sync.example.org";
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let (here, there) = tokio::io::duplex(64 * 1024);
        let acceptor = TlsAcceptor::from(Arc::new(server));
        let connector = TlsConnector::from(with(&roots));
        let name = ServerName::try_from(name).unwrap();
        let (_, connected) = tokio::join!(acceptor.accept(there), connector.connect(name, here));
        connected.is_ok()
    }

    #[tokio::test]
    async fn a_certificate_that_nobody_known_vouches_for_is_refused() {
        assert!(!handshake(|_| client_config()).await);
        assert!(handshake(|roots| Arc::new(trusting(roots.clone()))).await);
    }
}
