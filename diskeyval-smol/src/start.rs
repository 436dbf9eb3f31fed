//! From a configuration to a node that runs.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use diskeyval_core::host::{Files, Ground, Renewal, StartError, bind, prepare};
use diskeyval_core::{Config, Engine};
use smol::{Executor, Timer, unblock};

use crate::bell::Bell;
use crate::board::Board;
use crate::disk::Disk;
use crate::driver::{Driver, Ending, Life, Shared};
use crate::events::Hub;
use crate::lock;
use crate::net::Net;
use crate::queue::Queue;

/// What the handle of a node is made of.
pub(crate) struct Started {
    pub(crate) config: Config,
    pub(crate) shared: Arc<Shared>,
    pub(crate) local_addr: SocketAddr,
    pub(crate) renewal: Arc<Mutex<Renewal>>,
}

/// Makes a node, and what drives it.
pub(crate) async fn start(
    listener: Option<TcpListener>,
    mut config: Config,
) -> Result<(Started, Driver), StartError> {
    // Resolvers and directories may block.
    let (listener, config, ground) = unblock(move || {
        let listener = listener.map_or_else(|| bind(&config), Ok)?;
        let ground = prepare(&listener, &mut config)?;
        Ok::<_, StartError>((listener, config, ground))
    })
    .await?;
    let Ground { settings, policy, renewal, seed, local_addr, directory } = ground;
    let listener = listener.try_into().map_err(|source| StartError::io("watch sockets", source))?;
    let (executor, bell) = (Executor::new(), Arc::new(Bell::default()));
    let shared = Arc::new(Shared {
        queue: Queue::new(bell.clone(), settings.limits()),
        board: Board::default(),
        hub: Hub::new(settings.limits().max_watchers),
    });
    let node = settings.node_id().clone();
    let net = Net::new(
        listener,
        node.clone(),
        &policy,
        settings.rpc_timeout(),
        settings.limits(),
        bell.clone(),
        &executor,
    );
    let disk =
        directory.map(|directory| Disk::start(node.clone(), Files::new(directory), bell.clone(), &executor));
    let renewal = Arc::new(Mutex::new(renewal));
    if let Some(span) = lock(&renewal).look_every() {
        executor.spawn(watch_files(renewal.clone(), shared.clone(), span)).detach();
    }
    let life = Life {
        node,
        engine: Engine::open(settings, seed),
        net,
        disk,
        bell,
        ending: Ending(shared.clone()),
        // The engine stops within an election timeout, which is at most twice the configured one.
        patience: config.election_timeout * 2 + Duration::from_secs(1),
    };
    Ok((Started { config, shared, local_addr, renewal }, Driver::of(life.live(executor))))
}

/// Looks at the files of the certificates again and again. It ends with the executor.
async fn watch_files(renewal: Arc<Mutex<Renewal>>, shared: Arc<Shared>, span: Duration) {
    loop {
        Timer::after(span).await;
        let (renewal, shared) = (renewal.clone(), shared.clone());
        let look = move || {
            let mut renewal = lock(&renewal);
            match renewal.look() {
                Ok(None) => {}
                // It is answered in its own time, and nobody waits for that.
                Ok(Some(policy)) => drop(shared.renew(policy, span)),
                Err(error) => shared.refuse_certificates(&error),
            }
        };
        unblock(look).await;
    }
}
