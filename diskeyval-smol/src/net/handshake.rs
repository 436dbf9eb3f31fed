//! From a socket to a session: who is it?

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_rustls::TlsStream;
use diskeyval_core::identity::Identity;
use diskeyval_core::tls;
use diskeyval_core::{DialError, DialId, Input, Origin};
use futures_lite::{AsyncReadExt, AsyncWriteExt, FutureExt};
use rustls::pki_types::CertificateDer;
use smol::Timer;
use smol::net::TcpStream;

use super::desk::{Desk, News};
use super::link::{self, Link};
use super::{CLOSING, Common};
use crate::lock;

/// Why there is no session.
enum Failure {
    /// It took too long.
    Late,
    /// This is wrong, and what is left of the connection.
    Refused(String, Option<TcpStream>),
}

/// The life of a connection that somebody else has made.
pub(super) async fn accepted(
    common: Arc<Common>,
    desk: Arc<Desk>,
    id: u64,
    stream: TcpStream,
    remote: SocketAddr,
) {
    // Without this, small frames would wait for the acknowledgement of earlier ones.
    let _ = stream.set_nodelay(true);
    let shake = common.acceptor().accept(stream).into_fallible();
    match within(common.handshake, async { shake.await.map(TlsStream::from) }).await {
        Ok((stream, who)) => {
            common.opened(id, who, shown(&stream), Origin::Accepted);
            Link::new(id, stream, desk, common.mail.clone()).live().await;
        }
        Err(Failure::Late) => {
            lock(&common.visitors).late(remote);
        }
        Err(Failure::Refused(why, rest)) => {
            lock(&common.visitors).refused(remote.ip(), why);
            linger(rest).await;
        }
    }
    common.mail.post(News::Ended(id));
}

/// The life of a connection that we have made.
pub(super) async fn dialled(common: Arc<Common>, desk: Arc<Desk>, id: u64, dial: DialId, stream: TcpStream) {
    // Without this, small frames would wait for the acknowledgement of earlier ones.
    let _ = stream.set_nodelay(true);
    let shake = common.connector().connect(tls::server_name(), stream).into_fallible();
    let failed = |why| common.mail.post(News::Failed(Input::DialFailed { dial, why }));
    match within(common.handshake, async { shake.await.map(TlsStream::from) }).await {
        Ok((stream, who)) => {
            common.opened(id, who, shown(&stream), Origin::Dialled(dial));
            Link::new(id, stream, desk, common.mail.clone()).live().await;
        }
        Err(Failure::Late) => failed(DialError::Silent),
        Err(Failure::Refused(why, rest)) => {
            failed(DialError::Tls(why));
            linger(rest).await;
        }
    }
    common.mail.post(News::Ended(id));
}

/// Waits for the end of a handshake, and asks whom the certificate at the other end names.
async fn within(
    span: Duration,
    shake: impl Future<Output = Result<TlsStream<TcpStream>, (io::Error, TcpStream)>>,
) -> Result<(TlsStream<TcpStream>, Identity), Failure> {
    let shaken = async { shake.await.map_err(|(error, rest)| Failure::Refused(text(&error), Some(rest))) };
    let late = async {
        Timer::after(span).await;
        Err(Failure::Late)
    };
    let stream = shaken.or(late).await?;
    let (_, session) = stream.get_ref();
    match tls::peer_identity(session) {
        Ok(who) => Ok((stream, who)),
        Err(error) => Err(Failure::Refused(tls::explain(&error), None)),
    }
}

/// The certificates at the other end.
fn shown(stream: &TlsStream<TcpStream>) -> Vec<CertificateDer<'static>> {
    let (_, session) = stream.get_ref();
    session
        .peer_certificates()
        .map_or_else(Vec::new, |shown| shown.iter().cloned().map(CertificateDer::into_owned).collect())
}

/// The alert that says what we did not like must not be lost on its way: closing a socket on unread bytes would reset it.
async fn linger(rest: Option<TcpStream>) {
    let Some(mut stream) = rest else { return };
    let read = async {
        let mut scratch = [0; 4096];
        if stream.close().await.is_ok() {
            while stream.read(&mut scratch).await.is_ok_and(|n| n > 0) {}
        }
    };
    let late = async {
        Timer::after(CLOSING).await;
    };
    read.or(late).await;
}

fn text(error: &io::Error) -> String {
    match link::tls_error(error) {
        Some(error) => tls::explain(error),
        None if error.kind() == ErrorKind::UnexpectedEof => {
            "the other end hung up during the handshake".into()
        }
        None => format!("the connection broke during the handshake: {error}"),
    }
}
