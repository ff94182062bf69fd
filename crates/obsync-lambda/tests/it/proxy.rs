//! A way to a server that can be cut, or that holds up what looks like something.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// It ends with its test.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    cut: watch::Sender<()>,
    open: Arc<AtomicUsize>,
}

impl Proxy {
    pub(crate) async fn to(server: &str) -> Self {
        Self::holding_up(server, None).await
    }

    /// A connection whose client sends this at the start of a piece is held up from there on.
    pub(crate) async fn holding_up(server: &str, start: Option<&'static str>) -> Self {
        let server: SocketAddr = server.trim_start_matches("http://").parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (cut, _) = watch::channel(());
        let open = Arc::<AtomicUsize>::default();
        let (cuts, counter) = (cut.clone(), Arc::clone(&open));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (mut cut, open) = (cuts.subscribe(), Arc::clone(&counter));
                open.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    tokio::select! {
                        _ = forward(client, server, start) => {}
                        _ = cut.changed() => {}
                    }
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, cut, open }
    }

    /// Ends all connections, and waits until they have ended.
    pub(crate) async fn cut(&self) {
        assert!(self.open.load(Ordering::SeqCst) > 0, "nothing is open");
        self.cut.send_replace(());
        while self.open.load(Ordering::SeqCst) > 0 {
            tokio::task::yield_now().await;
        }
    }
}

async fn forward(
    mut client: TcpStream,
    server: SocketAddr,
    start: Option<&'static str>,
) -> std::io::Result<()> {
    let mut server = TcpStream::connect(server).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut up, mut down) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            read = client.read(&mut up) => match read? {
                0 => return Ok(()),
                _ if start.is_some_and(|start| up.starts_with(start.as_bytes())) => {
                    std::future::pending::<()>().await;
                }
                count => server.write_all(&up[..count]).await?,
            },
            read = server.read(&mut down) => match read? {
                0 => return Ok(()),
                count => client.write_all(&down[..count]).await?,
            },
        }
    }
}
