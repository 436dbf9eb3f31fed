//! From a configuration to a node that runs.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use diskeyval_core::{Address, Config, ConfigError, Engine, Settings};

use crate::board::Board;
use crate::driver::{Driver, Shared};
use crate::error::StartError;
use crate::net::{Net, resolve};
use crate::notifier::Hub;
use crate::queue::Queue;
use crate::tls::Context;

/// What the handle of a node is made of.
pub(crate) struct Started {
    pub(crate) shared: Arc<Shared>,
    pub(crate) local_addr: SocketAddr,
    pub(crate) threads: [JoinHandle<()>; 2],
}

/// Binds the address that is configured.
pub(crate) fn bind(config: &Config) -> Result<TcpListener, StartError> {
    let settings = config.validate()?;
    let address = settings.own_address();
    listen(address).map_err(|source| StartError::Bind { address: address.clone(), source })
}

fn listen(address: &Address) -> io::Result<TcpListener> {
    TcpListener::bind(&*resolve(address)?)
}

/// Starts a node behind a listener.
pub(crate) fn start_on(listener: TcpListener, config: &mut Config) -> Result<Started, StartError> {
    let local_addr =
        listener.local_addr().map_err(|source| cannot("ask for the address of a socket", source))?;
    // Whatever port it is that port 0 has become, peers and status are told the real one.
    config.port = local_addr.port();
    let settings = config.validate()?;
    let tls = match &config.tls {
        Some(pem) => Context::new(pem, &config.node_id)?,
        None => return Err(no_tls().into()),
    };
    let seed =
        tls.seed().ok_or_else(|| cannot("draw random numbers", io::Error::other("the generator failed")))?;
    let net = Net::new(
        listener,
        settings.node_id().clone(),
        tls,
        settings.rpc_timeout(),
        settings.limits().max_strangers,
    )
    .map_err(|source| cannot("watch sockets", source))?;
    let shared = Arc::new(Shared {
        queue: Queue::new(net.waker(), settings.limits()),
        board: Board::default(),
        hub: Arc::new(Hub::default()),
    });
    let threads = spawn(settings, config.election_timeout, seed, net, &shared)
        .map_err(|source| cannot("start a thread", source))?;
    Ok(Started { shared, local_addr, threads })
}

fn spawn(
    settings: Settings,
    election_timeout: Duration,
    seed: diskeyval_core::Seed,
    net: Net,
    shared: &Arc<Shared>,
) -> io::Result<[JoinHandle<()>; 2]> {
    let node = settings.node_id().clone();
    let hub = shared.hub.clone();
    let notifier = thread::Builder::new().name(format!("dkv-{node}-events")).spawn(move || hub.serve())?;
    // The engine stops within an election timeout, which is at most twice the configured one.
    let patience = election_timeout * 2 + Duration::from_secs(1);
    let io_thread = thread::Builder::new().name(format!("dkv-{node}-io"));
    let engine = Engine::open(settings, seed);
    let driver = Driver::new(node, engine, net, shared.clone(), patience);
    match io_thread.spawn(move || driver.live()) {
        Ok(driver) => Ok([driver, notifier]),
        Err(error) => {
            shared.hub.close();
            Err(error)
        }
    }
}

fn no_tls() -> ConfigError {
    ConfigError::BadTls {
        part: "cert",
        why: "there is none, and nodes speak only mutual TLS: set certificate, key and CA with `Config::tls`"
            .into(),
    }
}

fn cannot(what: &'static str, source: io::Error) -> StartError {
    StartError::Io { what, source }
}
