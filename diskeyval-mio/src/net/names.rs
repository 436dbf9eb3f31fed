//! Host names become addresses on threads of their own: the operating system's resolver may block for
//! half a minute, and the driver must not.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::thread;

use diskeyval_core::Address;
use diskeyval_core::host::resolve;
use mio::Waker;

use crate::lock;

/// What is known of an address at once.
pub(super) enum Lookup {
    Known(SocketAddr),
    /// The answer will come out of [`Names::answers`].
    Later,
}

pub(super) struct Answer {
    pub(super) address: Address,
    pub(super) found: io::Result<Vec<SocketAddr>>,
}

pub(super) struct Names {
    answers: Arc<Mutex<Vec<Answer>>>,
    /// What is being looked up. A dial may time out and come again while the resolver still blocks: it
    /// then waits for the same answer, or threads would pile up.
    asked: Vec<Address>,
    waker: Arc<Waker>,
    thread_name: String,
}

impl Names {
    pub(super) fn new(waker: Arc<Waker>, thread_name: String) -> Names {
        Names { answers: Arc::default(), asked: Vec::new(), waker, thread_name }
    }

    pub(super) fn look_up(&mut self, address: &Address) -> io::Result<Lookup> {
        if let Ok(ip) = address.host().parse::<IpAddr>() {
            return Ok(Lookup::Known(SocketAddr::new(ip, address.port())));
        }
        if !self.asked.contains(address) {
            let (answers, waker, address) = (self.answers.clone(), self.waker.clone(), address.clone());
            self.asked.push(address.clone());
            let asking = address.clone();
            let spawned = thread::Builder::new().name(self.thread_name.clone()).spawn(move || {
                let found = resolve(&asking);
                lock(&answers).push(Answer { address: asking, found });
                // Should this fail, the dials that wait end by their deadline.
                let _ = waker.wake();
            });
            if let Err(error) = spawned {
                self.asked.retain(|other| *other != address);
                return Err(error);
            }
        }
        Ok(Lookup::Later)
    }

    pub(super) fn answers(&mut self) -> Vec<Answer> {
        if self.asked.is_empty() {
            return Vec::new();
        }
        let answers = std::mem::take(&mut *lock(&self.answers));
        self.asked.retain(|address| !answers.iter().any(|answer| answer.address == *address));
        answers
    }
}
