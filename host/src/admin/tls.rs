//! TLS for addresses that others can reach. The handshake is part of the connection's own reading and writing: one that is slow holds up nobody who
//! comes after it.

use super::listener::{Bounded, Connection};
use axum::serve::Listener;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject as _};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{Accept, TlsAcceptor};

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or is not PEM.
    #[error("the {what} file {} cannot be read as PEM: {source}", path.display())]
    Pem {
        /// Which.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: pem::Error,
    },
    /// Certificate and key do not do.
    #[error("the certificate of {} cannot be used with the key of {}: {source}", cert.display(), key.display())]
    Unusable {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why.
        source: rustls::Error,
    },
}

/// Accepts TLS with this certificate chain and key (PEM).
pub(super) fn acceptor(cert_file: &Path, key_file: &Path) -> Result<TlsAcceptor, TlsError> {
    let pem = |what, path: &Path| {
        let path = path.to_owned();
        move |source| TlsError::Pem { what, path, source }
    };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(cert_file).and_then(Iterator::collect);
    let chain = chain.map_err(pem("certificate", cert_file))?;
    if chain.is_empty() {
        return Err(pem("certificate", cert_file)(pem::Error::NoItemsFound));
    }
    let key = PrivateKeyDer::from_pem_file(key_file).map_err(pem("private key", key_file))?;
    let unusable = |source| TlsError::Unusable { cert: cert_file.to_owned(), key: key_file.to_owned(), source };
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(unusable)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// A bounded listener, with TLS or without.
pub(super) struct Secured {
    inner: Bounded,
    acceptor: Option<TlsAcceptor>,
}

impl Secured {
    /// Without an acceptor the connections are plain.
    pub(super) fn new(inner: Bounded, acceptor: Option<TlsAcceptor>) -> Self {
        Self { inner, acceptor }
    }
}

impl Listener for Secured {
    type Io = Stream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (connection, address) = self.inner.accept().await;
        let stream = match &self.acceptor {
            Some(acceptor) => Stream::Shaking(Box::new(acceptor.accept(connection))),
            None => Stream::Plain(connection),
        };
        (stream, address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.inner.local_addr()
    }
}

/// One connection.
pub(super) enum Stream {
    /// Without TLS.
    Plain(Connection),
    /// In its handshake.
    Shaking(Box<Accept<Connection>>),
    /// With TLS.
    Secure(Box<TlsStream<Connection>>),
}

impl Stream {
    /// Comes to the end of the handshake first.
    fn shaken(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Self::Shaking(accept) = self {
            let stream = ready!(Pin::new(accept).poll(cx))?;
            *self = Self::Secure(Box::new(stream));
        }
        Poll::Ready(Ok(()))
    }

    fn inner<'a, T>(
        &'a mut self,
        cx: &mut Context<'_>,
        plain: impl FnOnce(Pin<&'a mut Connection>, &mut Context<'_>) -> Poll<io::Result<T>>,
        secure: impl FnOnce(Pin<&'a mut TlsStream<Connection>>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        ready!(self.shaken(cx))?;
        match self {
            Self::Plain(stream) => plain(Pin::new(stream), cx),
            Self::Secure(stream) => secure(Pin::new(stream), cx),
            Self::Shaking(_) => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(self.shaken(cx))?;
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Secure(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Shaking(_) => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.inner(cx, |plain, cx| plain.poll_write(cx, bytes), |secure, cx| secure.poll_write(cx, bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner(cx, |plain, cx| plain.poll_flush(cx), |secure, cx| secure.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if matches!(*self, Self::Shaking(_)) {
            // Nothing was said yet: there is nothing to end.
            return Poll::Ready(Ok(()));
        }
        self.inner(cx, |plain, cx| plain.poll_shutdown(cx), |secure, cx| secure.poll_shutdown(cx))
    }
}
