//! TLS, with certificates of our own: the one thing that needs a look inside.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{DuplexStream, duplex};

use super::*;
use crate::crypto::VaultKey;
use crate::secret::Password;
use crate::types::{EncryptionVersion, Millis};

const HOST: &str = "sync-1.obsidian.md";

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn client(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        Arc::new(tls::trusting(roots))
    }

    fn server(&self, name: &str) -> Arc<ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        Arc::new(config)
    }
}

fn connector() -> Connector {
    let vault = Vault {
        id: VaultId::new("vault-1"),
        name: "Notes".into(),
        host: HOST.into(),
        region: String::new(),
        salt: "00".into(),
        encryption_version: 3,
        created: Millis(0),
        size: 0,
        managed_password: None,
        shared: false,
    };
    let key = VaultKey::derive(&Password::new("password"), "00");
    let cipher = VaultCipher::new(EncryptionVersion::V3, &key, "00");
    Connector::new(&vault, Token::new("token"), &cipher).unwrap()
}

/// Serves one connection over TLS that takes `init` for good.
async fn serve(io: DuplexStream, config: Arc<ServerConfig>) {
    use futures_util::{SinkExt as _, StreamExt as _};
    let Ok(io) = tokio_rustls::TlsAcceptor::from(config).accept(io).await else {
        return;
    };
    let mut socket = tokio_tungstenite::accept_async(io).await.unwrap();
    socket.next().await;
    socket.send(r#"{"res":"ok"}"#.into()).await.unwrap();
    while socket.next().await.is_some() {}
}

async fn connect(
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
) -> Result<SyncClient, Error> {
    let (ours, theirs) = duplex(64 * 1024);
    tokio::spawn(serve(theirs, server));
    let mut connector = connector();
    connector.settings().tls = client;
    connector.connect_over(ours, VaultVersion(0), true).await
}

#[tokio::test]
async fn a_vault_opens_over_tls() {
    let authority = Authority::new();
    let client = connect(authority.client(), authority.server(HOST))
        .await
        .unwrap();
    assert!(client.is_usable());
    client.close().await;
}

#[tokio::test]
async fn a_certificate_for_another_host_is_refused() {
    let authority = Authority::new();
    for name in ["sync-2.obsidian.md", "obsidian.md", "localhost"] {
        let error = connect(authority.client(), authority.server(name))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), Kind::Network, "{error}");
        assert!(error.to_string().contains(HOST), "{error}");
    }
}

#[tokio::test]
async fn an_unknown_authority_is_refused() {
    let server = Authority::new().server(HOST);
    let error = connect(tls::client_config(), server).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Network);
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("UnknownIssuer"), "{cause}");
}

#[tokio::test]
async fn a_server_without_tls_is_refused() {
    let (ours, theirs) = duplex(64 * 1024);
    tokio::spawn(async move { tokio_tungstenite::accept_async(theirs).await.map(drop) });
    let error = connector()
        .connect_over(ours, VaultVersion(0), true)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Network);
}
