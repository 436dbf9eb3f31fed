//! From a configuration to a node that runs.

#[cfg(all(test, feature = "dev-certs"))]
mod tests;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use diskeyval_core::host::{Directory, Files, Ground, Perform, Renewal, StartError, prepare};
use diskeyval_core::{Config, Engine, Fault, NodeId, StorageFault};

use crate::board::Board;
use crate::disk::Disk;
use crate::driver::{Driving, Shared};
use crate::lock;
use crate::net::Net;
use crate::notifier::Hub;
use crate::queue::{End, Queue};
use crate::tls::Context;

/// What the handle of a node is made of.
pub(crate) struct Started {
    pub(crate) shared: Arc<Shared>,
    pub(crate) local_addr: SocketAddr,
    pub(crate) renewal: Arc<Mutex<Renewal>>,
    /// Those that end with the node.
    pub(crate) threads: Vec<JoinHandle<()>>,
}

/// Makes a node behind a listener, and what is to drive it.
pub(crate) fn make_on(listener: TcpListener, config: &mut Config) -> Result<(Started, Driving), StartError> {
    make_with(listener, config, Files::new)
}

/// Starts a node behind a listener, on a thread of its own, and waits until it has read what it had kept.
pub(crate) fn start_on(listener: TcpListener, config: &mut Config) -> Result<Started, StartError> {
    start_with(listener, config, Files::new)
}

/// The same, on whatever carries out what is to be done to the directory.
fn start_with<P: Perform>(
    listener: TcpListener,
    config: &mut Config,
    on: impl FnOnce(Directory) -> P,
) -> Result<Started, StartError> {
    let (mut started, driving) = make_with(listener, config, on)?;
    let thread = thread::Builder::new().name(format!("dkv-{}-io", config.node_id));
    let thread = thread.spawn(move || driving.live()).map_err(|source| {
        started.shared.board.end(End::Crashed);
        started.shared.hub.close();
        StartError::io("start a thread", source)
    })?;
    started.threads.push(thread);
    if let Err(fault) = wait_until_open(&started.shared) {
        for thread in started.threads {
            // Both catch what panics in them.
            let _ = thread.join();
        }
        return Err(fault.into());
    }
    Ok(started)
}

fn make_with<P: Perform>(
    listener: TcpListener,
    config: &mut Config,
    on: impl FnOnce(Directory) -> P,
) -> Result<(Started, Driving), StartError> {
    let Ground { settings, policy, renewal, seed, local_addr, directory } = prepare(&listener, config)?;
    let node = settings.node_id().clone();
    let net =
        Net::new(listener, node.clone(), Context::new(&policy), settings.rpc_timeout(), settings.limits())
            .map_err(|source| StartError::io("watch sockets", source))?;
    let shared = Arc::new(Shared {
        queue: Queue::new(net.waker(), settings.limits()),
        board: Board::default(),
        hub: Arc::new(Hub::new(settings.limits().max_watchers)),
    });
    let no_thread = |source| StartError::io("start a thread", source);
    let start_disk = |directory| Disk::start(&node, on(directory), net.waker());
    // If nothing comes of the rest, it ends with this.
    let disk = directory.map(start_disk).transpose().map_err(no_thread)?;
    if disk.is_none() {
        shared.board.opened();
    }
    let hub = shared.hub.clone();
    let notifier = thread::Builder::new().name(format!("dkv-{node}-events"));
    let notifier = notifier.spawn(move || hub.serve()).map_err(no_thread)?;
    let renewal = Arc::new(Mutex::new(renewal));
    let watcher = watch_files(&node, &shared, &renewal).map_err(|source| {
        shared.hub.close();
        no_thread(source)
    })?;
    // The engine stops within an election timeout, which is at most twice the configured one.
    let patience = config.election_timeout * 2 + Duration::from_secs(1);
    let driving = Driving::new(node, Engine::open(settings, seed), net, disk, shared.clone(), patience);
    let threads = [notifier].into_iter().chain(watcher).collect();
    Ok((Started { shared, local_addr, renewal, threads }, driving))
}

/// Waits until the node has read what it had kept. That it cannot is told by whoever starts it; how it fares
/// afterwards, and whatever else may go wrong, by the node.
pub(crate) fn wait_until_open(shared: &Shared) -> Result<(), StorageFault> {
    let opened = shared.board.wait(None, |news| match &news.end {
        Some(End::Halted(Fault::Storage(fault))) => Some(Err(fault.clone())),
        Some(_) => Some(Ok(())),
        None => news.is_open.then_some(Ok(())),
    });
    opened.unwrap_or(Ok(()))
}

/// Starts the thread that looks at the files of the certificates, if there are any. It ends with the node.
fn watch_files(
    node: &NodeId,
    shared: &Arc<Shared>,
    renewal: &Arc<Mutex<Renewal>>,
) -> io::Result<Option<JoinHandle<()>>> {
    let Some(span) = lock(renewal).look_every() else { return Ok(None) };
    let (shared, renewal) = (shared.clone(), renewal.clone());
    let watch = move || {
        while shared.board.wait(Some(span), |news| news.end.is_some().then_some(())).is_none() {
            let mut renewal = lock(&renewal);
            match renewal.look() {
                Ok(None) => {}
                // It is answered in its own time, and nobody waits for that.
                Ok(Some(policy)) => drop(shared.renew(&policy, span)),
                Err(error) => shared.refuse_certificates(&error),
            }
        }
    };
    thread::Builder::new().name(format!("dkv-{node}-certs")).spawn(watch).map(Some)
}
