//! The TCP connection with a hand on it: cut after so many bytes, or let through in drops.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

/// How the connection treats what is written.
#[derive(Debug, Clone, Copy)]
enum Mode {
    Open,
    Cut { left: usize },
    Trickle { bytes: usize, pause: Duration },
}

/// The hand on a connection: changes how it treats what is written from now on.
#[derive(Debug, Clone)]
pub(crate) struct Valve(Arc<Mutex<Mode>>);

impl Valve {
    /// Lets so many bytes through, then fails every write.
    pub(crate) fn cut_after(&self, bytes: usize) {
        self.set(Mode::Cut { left: bytes });
    }

    /// Lets so many bytes through at a time.
    pub(crate) fn trickle(&self, bytes: usize, pause: Duration) {
        self.set(Mode::Trickle {
            bytes: bytes.max(1),
            pause,
        });
    }

    fn set(&self, mode: Mode) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = mode;
    }

    fn mode(&self) -> Mode {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A TCP connection under a [`Valve`].
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    valve: Valve,
    pause: Pin<Box<Sleep>>,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream) -> (Self, Valve) {
        let valve = Valve(Arc::new(Mutex::new(Mode::Open)));
        let pause = Box::pin(tokio::time::sleep(Duration::ZERO));
        (
            Self {
                stream,
                valve: valve.clone(),
                pause,
            },
            valve,
        )
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.valve.mode() {
            Mode::Open => Pin::new(&mut self.stream).poll_write(cx, buf),
            Mode::Cut { left: 0 } => {
                let error = io::Error::new(io::ErrorKind::BrokenPipe, "cut by a fault");
                Poll::Ready(Err(error))
            }
            Mode::Cut { left } => {
                let part = &buf[..buf.len().min(left)];
                let written = ready!(Pin::new(&mut self.stream).poll_write(cx, part))?;
                self.valve.cut_after(left - written);
                Poll::Ready(Ok(written))
            }
            Mode::Trickle { bytes, pause } => {
                ready!(self.pause.as_mut().poll(cx));
                let part = &buf[..buf.len().min(bytes)];
                let written = ready!(Pin::new(&mut self.stream).poll_write(cx, part))?;
                self.pause.as_mut().reset(Instant::now() + pause);
                Poll::Ready(Ok(written))
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
