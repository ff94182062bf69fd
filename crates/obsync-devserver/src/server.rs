//! A service that listens.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Deref;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::builder::Builder;
use crate::error::Error;
use crate::http::{self, Tasks};
use crate::service::Service;

/// How long no connection is taken after one could not be.
const PAUSE: Duration = Duration::from_millis(50);

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
    let take = |(stream, _)| tasks.spawn(http::connection(service.clone(), tasks.clone(), stream));
    tokio::select! {
        () = accept(|| listener.accept(), take) => {}
        () = shutdown => {}
    }
    tasks.stop.cancel();
    tasks.tracker.close();
    tasks.tracker.wait().await;
    Ok(())
}

/// Takes connections for ever.
async fn accept<T, F>(next: impl Fn() -> F, mut take: impl FnMut(T))
where
    F: Future<Output = io::Result<T>>,
{
    loop {
        match next().await {
            Ok(connection) => take(connection),
            // Out of file descriptors, most likely: others have to close first.
            Err(error) => {
                tracing::warn!(%error, "could not accept a connection");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_waits_where_no_connection_can_be_taken() {
        let (asked, taken) = (Cell::new(0), Cell::new(0));
        let next = || async {
            asked.set(asked.get() + 1);
            match asked.get() {
                2 | 5 => Ok(()),
                20 => std::future::pending().await,
                _ => Err(io::Error::from_raw_os_error(24)),
            }
        };
        let accepted = accept(next, |()| taken.set(taken.get() + 1));
        let ended = tokio::time::timeout(Duration::from_millis(520), accepted).await;
        assert!(ended.is_err());
        assert_eq!((asked.get(), taken.get()), (13, 2));
    }
}
