//! Connections that we make: find the addresses, try one after the other.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use diskeyval_core::{Address, DialError, DialId, Input};
use futures_lite::FutureExt;
use smol::Timer;
use smol::net::TcpStream;

use super::desk::{Desk, News};
use super::{Common, handshake};

/// The life of a connection that we make.
pub(super) async fn dialled(
    common: Arc<Common>,
    desk: Arc<Desk>,
    id: u64,
    dial: DialId,
    address: Address,
    within: Duration,
) {
    match connect(&common, &address, within).await {
        Ok(stream) => handshake::dialled(common, desk, id, dial, stream).await,
        Err(why) => {
            common.mail.post(News::Failed(Input::DialFailed { dial, why }));
            common.mail.post(News::Ended(id));
        }
    }
}

/// Each address gets its share of the time that is left, so that one that is silent does not hide another that would
/// answer.
async fn connect(common: &Common, address: &Address, within: Duration) -> Result<TcpStream, DialError> {
    // No dial takes a century: a span too long for the clock is cut to one.
    let now = Instant::now();
    let until = now.checked_add(within).unwrap_or(now + Duration::from_secs(3600));
    let found = async { Some(common.names.look_up(address).await) };
    let late = async {
        Timer::at(until).await;
        None
    };
    let addresses = match found.or(late).await {
        Some(Ok(addresses)) => addresses,
        Some(Err(why)) => return Err(DialError::Unresolved(why)),
        None => {
            let why = format!("the resolver has not found {} in time", address.host());
            return Err(DialError::Unresolved(why));
        }
    };
    let mut failure = None;
    for (tried, address) in addresses.iter().enumerate() {
        let shares = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        let share = until.saturating_duration_since(Instant::now()) / shares;
        match attempt(*address, share).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failed(&mut failure, &error),
        }
    }
    Err(failure.unwrap_or(DialError::Silent))
}

async fn attempt(address: SocketAddr, share: Duration) -> io::Result<TcpStream> {
    let late = async {
        Timer::after(share).await;
        Err(ErrorKind::TimedOut.into())
    };
    TcpStream::connect(address).or(late).await
}

/// Remembers what one address came to. Silence outweighs the rest: as long as one address may be cut off, it is not
/// certain that nobody is there.
fn failed(failure: &mut Option<DialError>, error: &io::Error) {
    if *failure != Some(DialError::Silent) {
        *failure = Some(match error.kind() {
            ErrorKind::ConnectionRefused => DialError::Refused,
            ErrorKind::TimedOut => DialError::Silent,
            _ => DialError::Other(error.to_string()),
        });
    }
}
