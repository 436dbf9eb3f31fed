//! From a configuration to a node that runs.

#[cfg(all(test, feature = "dev-certs"))]
mod tests;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use diskeyval_core::host::{Directory, Files, Ground, Perform, StartError, prepare};
use diskeyval_core::{Config, Engine, Fault, Seed, Settings, StorageFault};

use crate::board::Board;
use crate::disk::Disk;
use crate::driver::{Driver, Shared};
use crate::net::Net;
use crate::notifier::Hub;
use crate::queue::{End, Queue};
use crate::tls::Context;

/// What the handle of a node is made of.
pub(crate) struct Started {
    pub(crate) shared: Arc<Shared>,
    pub(crate) local_addr: SocketAddr,
    pub(crate) threads: [JoinHandle<()>; 2],
}

/// Starts a node behind a listener.
pub(crate) fn start_on(listener: TcpListener, config: &mut Config) -> Result<Started, StartError> {
    start_with(listener, config, Files::new)
}

/// The same, on whatever carries out what is to be done to the directory.
fn start_with<P: Perform>(
    listener: TcpListener,
    config: &mut Config,
    on: impl FnOnce(Directory) -> P,
) -> Result<Started, StartError> {
    let Ground { settings, policy, seed, local_addr, directory } = prepare(&listener, config)?;
    let net = Net::new(
        listener,
        settings.node_id().clone(),
        Context::new(&policy),
        settings.rpc_timeout(),
        settings.limits().max_strangers,
    )
    .map_err(|source| StartError::io("watch sockets", source))?;
    let shared = Arc::new(Shared {
        queue: Queue::new(net.waker(), settings.limits()),
        board: Board::default(),
        hub: Arc::new(Hub::default()),
    });
    let is_kept = directory.is_some();
    let performer = directory.map(on);
    let threads = spawn(settings, config.election_timeout, seed, net, performer, &shared)
        .map_err(|source| StartError::io("start a thread", source))?;
    if is_kept && let Err(fault) = wait_until_open(&shared) {
        for thread in threads {
            // Both catch what panics in them.
            let _ = thread.join();
        }
        return Err(fault.into());
    }
    Ok(Started { shared, local_addr, threads })
}

/// Waits until the node has read what it had kept. That it cannot is told by whoever starts it; how it fares
/// afterwards, and whatever else may go wrong, by the node.
fn wait_until_open(shared: &Shared) -> Result<(), StorageFault> {
    let opened = shared.board.wait(None, |news| match &news.end {
        Some(End::Halted(Fault::Storage(fault))) => Some(Err(fault.clone())),
        Some(_) => Some(Ok(())),
        None => news.is_open.then_some(Ok(())),
    });
    opened.unwrap_or(Ok(()))
}

fn spawn(
    settings: Settings,
    election_timeout: Duration,
    seed: Seed,
    net: Net,
    performer: Option<impl Perform>,
    shared: &Arc<Shared>,
) -> io::Result<[JoinHandle<()>; 2]> {
    let node = settings.node_id().clone();
    let start_disk = |performer| Disk::start(&node, performer, net.waker());
    // If nothing comes of the rest, it ends with this.
    let disk = performer.map(start_disk).transpose()?;
    let hub = shared.hub.clone();
    let notifier = thread::Builder::new().name(format!("dkv-{node}-events")).spawn(move || hub.serve())?;
    // The engine stops within an election timeout, which is at most twice the configured one.
    let patience = election_timeout * 2 + Duration::from_secs(1);
    let io_thread = thread::Builder::new().name(format!("dkv-{node}-io"));
    let engine = Engine::open(settings, seed);
    let driver = Driver::new(node, engine, net, disk, shared.clone(), patience);
    match io_thread.spawn(move || driver.live()) {
        Ok(driver) => Ok([driver, notifier]),
        Err(error) => {
            shared.hub.close();
            Err(error)
        }
    }
}
