//! A service that listens.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Deref;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::builder::Builder;
use crate::error::Error;
use crate::http::{self, Tasks};
use crate::service::Service;

/// Answers clients on a loopback port until `shutdown` resolves, then ends every connection.
///
/// # Errors
/// Where the listener is not on a loopback address: passwords and tokens travel in the clear.
pub async fn serve(
    listener: TcpListener,
    service: Service,
    shutdown: impl Future<Output = ()>,
) -> Result<(), Error> {
    let address = listener
        .local_addr()
        .map_err(Error::io("listen on", "the port"))?;
    if !address.ip().is_loopback() {
        return Err(Error::Invalid(format!(
            "{address} is not a loopback address"
        )));
    }
    service.set_host(address.to_string());
    let tasks = Tasks::default();
    let accept = async {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    tasks.spawn(http::connection(service.clone(), tasks.clone(), stream));
                }
                // Out of file descriptors, most likely: others have to close first.
                Err(error) => {
                    tracing::warn!(%error, "could not accept a connection");
                    tokio::task::yield_now().await;
                }
            }
        }
    };
    tokio::select! {
        () = accept => {}
        () = shutdown => {}
    }
    tasks.stop.cancel();
    tasks.tracker.close();
    tasks.tracker.wait().await;
    Ok(())
}

/// A [`Service`] on a port of its own. Dropping it stops it.
#[derive(Debug)]
pub struct DevServer {
    service: Service,
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl DevServer {
    /// Starts an empty service with default settings on a free port.
    ///
    /// # Errors
    /// Where no port can be opened.
    pub async fn start() -> Result<Self, Error> {
        Service::builder().start().await
    }

    /// Starts to build a service with other settings; [`Builder::start`] ends it.
    pub fn builder() -> Builder {
        Service::builder()
    }

    /// The base URL of the REST calls.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Stops listening and ends every connection. The service, with all it holds, can start again.
    pub async fn shutdown(mut self) -> Service {
        self.stop.cancel();
        // It ends in good order or was aborted with the runtime; either way it is over.
        let _ = (&mut self.task).await;
        self.service.clone()
    }
}

impl Drop for DevServer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Deref for DevServer {
    type Target = Service;

    fn deref(&self) -> &Service {
        &self.service
    }
}

impl Builder {
    /// Builds the service and starts it on a free port.
    ///
    /// # Errors
    /// As [`Builder::build`] and [`Service::start`].
    pub async fn start(self) -> Result<DevServer, Error> {
        self.build()?.start(0).await
    }
}

impl Service {
    /// Starts to listen on a port of 127.0.0.1; 0 takes a free one.
    ///
    /// # Errors
    /// Where the port can't be opened.
    pub async fn start(self, port: u16) -> Result<DevServer, Error> {
        let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let failed = |source| Error::io("listen on", wanted.to_string())(source);
        let listener = TcpListener::bind(wanted).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        // Before the task runs: who asks for the host right away gets it.
        self.set_host(address.to_string());
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let service = self.clone();
        let task = tokio::spawn(async move {
            if let Err(error) = serve(listener, service, stopped).await {
                tracing::error!(%error, "the service stopped");
            }
        });
        Ok(DevServer {
            service: self,
            address,
            stop,
            task,
        })
    }
}
