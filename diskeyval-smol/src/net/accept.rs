//! The door: connections that others make.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use diskeyval_core::NodeId;
use smol::channel::{self, Receiver, Sender};
use smol::net::{TcpListener, TcpStream};
use smol::{Executor, Task, Timer};
use tracing::warn;

use crate::bell::Bell;

/// The most connections that wait to be let in; the operating system keeps the others.
const WAITING: usize = 64;

/// How long to wait when the operating system has nothing to make a connection of: it would say so again at once.
const BREATHER: Duration = Duration::from_millis(100);

pub(super) struct Door {
    knocked: Receiver<(TcpStream, SocketAddr)>,
    /// It owns the listener.
    task: Option<Task<()>>,
}

impl Door {
    pub(super) fn open(
        listener: TcpListener,
        node: NodeId,
        bell: Arc<Bell>,
        executor: &Executor<'static>,
    ) -> Door {
        let (sender, knocked) = channel::bounded(WAITING);
        Door { knocked, task: Some(executor.spawn(watch(listener, sender, node, bell))) }
    }

    /// Who has knocked.
    pub(super) fn next(&self) -> Option<(TcpStream, SocketAddr)> {
        self.knocked.try_recv().ok()
    }

    pub(super) fn close(&mut self) {
        self.task = None;
        while self.next().is_some() {}
    }
}

async fn watch(
    listener: TcpListener,
    sender: Sender<(TcpStream, SocketAddr)>,
    node: NodeId,
    bell: Arc<Bell>,
) {
    loop {
        match listener.accept().await {
            Ok(connection) => {
                if sender.send(connection).await.is_err() {
                    return;
                }
                bell.ring();
            }
            Err(error) => match error.kind() {
                // It is gone already: nobody to be told.
                ErrorKind::Interrupted | ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset => {}
                _ => {
                    warn!(%node, %error, "cannot accept connections for now");
                    Timer::after(BREATHER).await;
                }
            },
        }
    }
}
