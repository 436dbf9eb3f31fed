//! Host names become addresses on threads that may block: the operating system's resolver may take half a minute.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use diskeyval_core::Address;
use diskeyval_core::host::resolve;
use event_listener::Event;
use smol::unblock;

use crate::lock;

/// What is being looked up. A dial may time out and come again while the resolver still blocks: it then waits for the
/// same answer, or threads would pile up.
#[derive(Default)]
pub(super) struct Names {
    asked: Arc<Mutex<Vec<Arc<Question>>>>,
}

struct Question {
    address: Address,
    answer: Mutex<Option<Result<Vec<SocketAddr>, String>>>,
    answered: Event,
}

impl Names {
    /// All addresses of a host, in the resolver's order, or what the resolver says.
    pub(super) async fn look_up(&self, address: &Address) -> Result<Vec<SocketAddr>, String> {
        if let Ok(ip) = address.host().parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, address.port())]);
        }
        let question = self.ask(address);
        loop {
            let answered = question.answered.listen();
            if let Some(answer) = &*lock(&question.answer) {
                return answer.clone();
            }
            answered.await;
        }
    }

    fn ask(&self, address: &Address) -> Arc<Question> {
        let mut asked = lock(&self.asked);
        if let Some(question) = asked.iter().find(|question| question.address == *address) {
            return question.clone();
        }
        let question =
            Question { address: address.clone(), answer: Mutex::default(), answered: Event::new() };
        let question = Arc::new(question);
        asked.push(question.clone());
        drop(asked);
        let (answering, everything) = (question.clone(), self.asked.clone());
        // It is not withdrawn by a dial that gives up: the thread is busy all the same.
        unblock(move || {
            let found = resolve(&answering.address).map_err(|error: io::Error| error.to_string());
            *lock(&answering.answer) = Some(found);
            lock(&everything).retain(|other| !Arc::ptr_eq(other, &answering));
            answering.answered.notify(usize::MAX);
        })
        .detach();
        question
    }
}

#[cfg(test)]
mod tests {
    use futures_lite::future::block_on;

    use super::*;

    #[test]
    fn names_and_addresses_are_found() {
        let names = Names::default();
        let of = |host| Address::new(host, 7).expect("a good address");
        let found = block_on(names.look_up(&of("::1"))).expect("it is one");
        assert_eq!(found, ["[::1]:7".parse().expect("an address")]);
        let found = block_on(names.look_up(&of("localhost"))).expect("every machine has it");
        assert!(found.iter().all(|address| address.ip().is_loopback() && address.port() == 7), "{found:?}");
        assert!(lock(&names.asked).is_empty(), "an answer is not kept");
    }
}
