//! Connections that mean no good.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use diskeyval_core::tls::{Policy, server_name};
use diskeyval_mio::NodeId;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::{Orders, Wave, millis};

/// How often all connections are looked at.
const LOOK: Duration = Duration::from_millis(50);

/// How often a slow one says a byte.
const PAUSE: Duration = Duration::from_secs(1);

/// How long to wait for an answer that a node gives at once.
const ANSWER: Duration = Duration::from_secs(5);

/// The beginning of a TLS handshake that is as long as a record may be and longer, and that says that it is 16 MiB.
const PLAIN_BOMB: &[u8] = &[0x16, 3, 1, 0x3f, 0xff, 1, 0xff, 0xff, 0xff, 3, 3];

/// What a slow one says: the beginning of a handshake that is none too long.
const SLOWLY: &[u8] = &[0x16, 3, 1, 0x02, 0x00, 1, 0, 1, 0xfc, 3, 3];

struct Connection {
    stream: TcpStream,
    since: Instant,
    /// How often it has said a byte, if it is a slow one.
    said: Option<usize>,
    /// After how long the node has closed it.
    closed: Option<Duration>,
}

/// Waves, for as long as they are wanted.
pub(super) fn flood(orders: &Orders, mut tell: impl FnMut(Wave) -> io::Result<()>) -> io::Result<()> {
    allow_files(usize::from(orders.silent) + usize::from(orders.slow) + usize::from(orders.bombs))?;
    let id = NodeId::new(&orders.name).map_err(io::Error::other)?;
    let config = Policy::from_pem(&orders.tls, &id).map_err(io::Error::other)?.client_config();
    let end = Instant::now() + Duration::from_millis(orders.millis);
    while Instant::now() < end {
        tell(wave(orders, &config)?)?;
    }
    Ok(())
}

/// Each connection takes a descriptor.
fn allow_files(count: usize) -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let (limit, wanted) = (getrlimit(Resource::Nofile), count as u64 + 64);
    if limit.current.is_some_and(|current| current < wanted) {
        setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), ..limit })?;
    }
    Ok(())
}

fn wave(orders: &Orders, config: &Arc<ClientConfig>) -> io::Result<Wave> {
    let at = SocketAddr::from(([127, 0, 0, 1], orders.port));
    let mut connections = Vec::new();
    let kinds = [(orders.silent, None), (orders.slow, Some(0))];
    for (count, said) in kinds {
        for _ in 0..count {
            connections.push(connect(at, said)?);
        }
    }
    for nth in 0..orders.bombs {
        let mut connection = connect(at, None)?;
        // That it is closed in the midst of this is as good as afterwards.
        let _ = if nth % 2 == 0 {
            connection.stream.write_all(PLAIN_BOMB)
        } else {
            bomb_behind_tls(&connection.stream, config)
        };
        connections.push(connection);
    }
    for connection in &connections {
        connection.stream.set_nonblocking(true)?;
    }
    let end = Instant::now() + Duration::from_millis(orders.patience_millis);
    while connections.iter().any(|connection| connection.closed.is_none()) && Instant::now() < end {
        connections.iter_mut().for_each(Connection::go_on);
        thread::sleep(LOOK);
    }
    let closed = || connections.iter().filter_map(|connection| connection.closed);
    Ok(Wave {
        connections: connections.len(),
        closed: closed().count(),
        longest_millis: closed().max().map_or(0, millis),
    })
}

fn connect(at: SocketAddr, said: Option<usize>) -> io::Result<Connection> {
    let stream = TcpStream::connect_timeout(&at, ANSWER)?;
    Ok(Connection { stream, since: Instant::now(), said, closed: None })
}

/// Shows the certificate, and then says that a frame of 4 GiB comes.
fn bomb_behind_tls(stream: &TcpStream, config: &Arc<ClientConfig>) -> io::Result<()> {
    stream.set_read_timeout(Some(ANSWER))?;
    let session = ClientConnection::new(config.clone(), server_name()).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(session, stream);
    stream.write_all(&[0xff; 64])?;
    stream.flush()
}

impl Connection {
    /// Says a byte if it is time, and looks whether it is over.
    fn go_on(&mut self) {
        if self.closed.is_some() {
            return;
        }
        if let Some(said) = self.said
            && self.since.elapsed() >= PAUSE * u32::try_from(said).unwrap_or(u32::MAX)
        {
            // If that fails, reading tells.
            let _ = self.stream.write(&[SLOWLY[said % SLOWLY.len()]]);
            self.said = Some(said + 1);
        }
        let mut scratch = [0; 4096];
        loop {
            match self.stream.read(&mut scratch) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        self.closed = Some(self.since.elapsed());
    }
}
