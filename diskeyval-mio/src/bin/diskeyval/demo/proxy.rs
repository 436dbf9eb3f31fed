//! Proxies between the nodes: each node dials each other through one of its own, so that a node can be cut
//! off and let back.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// One for each ordered pair of nodes.
pub(super) struct Proxies {
    lines: Vec<Line>,
}

/// From one node to another.
struct Line {
    from: usize,
    to: usize,
    address: SocketAddr,
    target: Arc<Mutex<SocketAddr>>,
    gate: Arc<Gate>,
}

/// What passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passage {
    /// Everything.
    Open,
    /// Nothing, and nobody is told: bytes that are under way arrive once it opens.
    Held,
    /// Nothing: connections are closed, and new ones are closed at once.
    Severed,
}

impl Proxies {
    /// Between nodes that listen at these addresses.
    pub(super) fn new(nodes: &[SocketAddr]) -> io::Result<Proxies> {
        let mut lines = Vec::new();
        for from in 0..nodes.len() {
            for (to, &target) in nodes.iter().enumerate().filter(|(to, _)| *to != from) {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
                let address = listener.local_addr()?;
                let gate = Arc::new(Gate::default());
                let target = Arc::new(Mutex::new(target));
                let thread = thread::Builder::new().name(format!("proxy-{from}-{to}"));
                let (passing, current) = (gate.clone(), target.clone());
                thread.spawn(move || accept(&listener, &current, &passing))?;
                lines.push(Line { from, to, address, target, gate });
            }
        }
        Ok(Proxies { lines })
    }

    /// Where `from` dials `to`.
    pub(super) fn address(&self, from: usize, to: usize) -> Option<SocketAddr> {
        self.lines.iter().find(|line| (line.from, line.to) == (from, to)).map(|line| line.address)
    }

    /// From now on, a node is found at another address.
    pub(super) fn moved(&self, node: usize, address: SocketAddr) {
        for line in self.lines.iter().filter(|line| line.to == node) {
            *line.target.lock().unwrap_or_else(PoisonError::into_inner) = address;
        }
    }

    /// Sets what passes between a node and all others, both ways.
    pub(super) fn set(&self, node: usize, passage: Passage) {
        for line in self.lines.iter().filter(|line| line.from == node || line.to == node) {
            line.gate.set(passage);
        }
    }
}

impl Drop for Proxies {
    /// Who is connected is cut off. The threads that accept wait for the end of the process.
    fn drop(&mut self) {
        self.lines.iter().for_each(|line| line.gate.set(Passage::Severed));
    }
}

/// What all connections of one line pass.
struct Gate {
    inside: Mutex<Inside>,
    changed: Condvar,
}

struct Inside {
    passage: Passage,
    /// Both ends of each connection.
    connections: Vec<(u64, [TcpStream; 2])>,
    next: u64,
}

impl Default for Gate {
    fn default() -> Gate {
        let inside = Inside { passage: Passage::Open, connections: Vec::new(), next: 0 };
        Gate { inside: Mutex::new(inside), changed: Condvar::new() }
    }
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, passage: Passage) {
        let mut inside = self.lock();
        inside.passage = passage;
        if passage == Passage::Severed {
            for (_, ends) in inside.connections.drain(..) {
                ends.iter().for_each(hang_up);
            }
        }
        drop(inside);
        self.changed.notify_all();
    }

    /// Waits while it is held. Whether one may pass.
    fn pass(&self) -> bool {
        let mut inside = self.lock();
        loop {
            match inside.passage {
                Passage::Open => return true,
                Passage::Severed => return false,
                Passage::Held => {
                    inside = self.changed.wait(inside).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    /// Takes note of a connection, if it is not too late for it.
    fn enter(&self, ends: [TcpStream; 2]) -> Option<u64> {
        let mut inside = self.lock();
        if inside.passage == Passage::Severed {
            return None;
        }
        let number = inside.next;
        inside.next += 1;
        inside.connections.push((number, ends));
        Some(number)
    }

    fn leave(&self, number: u64) {
        self.lock().connections.retain(|(other, _)| *other != number);
    }
}

/// It may be closed already.
fn hang_up(stream: &TcpStream) {
    let _ = stream.shutdown(Shutdown::Both);
}

fn accept(listener: &TcpListener, target: &Mutex<SocketAddr>, gate: &Arc<Gate>) {
    for near in listener.incoming().flatten() {
        if gate.lock().passage == Passage::Severed {
            continue;
        }
        let gate = gate.clone();
        let target = *target.lock().unwrap_or_else(PoisonError::into_inner);
        // Without a thread there is no connection, and whoever dialled will dial again.
        let _ = thread::Builder::new().name("proxied".into()).spawn(move || carry(near, target, &gate));
    }
}

/// One connection, from its beginning to its end. Whatever fails ends it.
fn carry(near: TcpStream, target: SocketAddr, gate: &Arc<Gate>) -> io::Result<()> {
    if !gate.pass() {
        return Ok(());
    }
    let far = TcpStream::connect(target)?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let Some(number) = gate.enter([near.try_clone()?, far.try_clone()?]) else { return Ok(()) };
    let (back_from, back_to, back_gate) = (far.try_clone()?, near.try_clone()?, gate.clone());
    let back = move || pump(back_from, back_to, &back_gate);
    if let Ok(back) = thread::Builder::new().name("proxied-back".into()).spawn(back) {
        pump(near, far, gate);
        // It catches nothing and cannot panic; and if it did, the connection would be over all the same.
        let _ = back.join();
    }
    gate.leave(number);
    Ok(())
}

/// Carries bytes one way, until there are no more.
fn pump(mut from: TcpStream, mut to: TcpStream, gate: &Gate) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => {
                // The other way may have more to carry.
                if gate.pass() {
                    let _ = to.shutdown(Shutdown::Write);
                }
                return;
            }
            Ok(length) if gate.pass() && to.write_all(&buffer[..length]).is_ok() => {}
            Ok(_) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    hang_up(&from);
    hang_up(&to);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn echo() -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener");
        let address = listener.local_addr().expect("its address");
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let back = stream.try_clone().expect("a clone");
                thread::spawn(move || pump(stream, back, &Gate::default()));
            }
        });
        address
    }

    fn dial(proxies: &Proxies) -> TcpStream {
        let stream = TcpStream::connect(proxies.address(0, 1).expect("a line")).expect("connected");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
        stream
    }

    fn says(stream: &mut TcpStream, word: &[u8; 4]) {
        stream.write_all(word).expect("written");
        let mut back = [0; 4];
        stream.read_exact(&mut back).expect("echoed");
        assert_eq!(&back, word);
    }

    #[test]
    fn what_is_held_arrives_later_and_what_is_severed_is_closed() {
        let node = echo();
        let proxies = Proxies::new(&[node, node]).expect("proxies");
        let mut stream = dial(&proxies);
        says(&mut stream, b"one.");

        proxies.set(1, Passage::Held);
        stream.write_all(b"two.").expect("written");
        stream.set_read_timeout(Some(Duration::from_millis(50))).expect("a timeout");
        assert!(stream.read_exact(&mut [0; 4]).is_err(), "nothing passes");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
        proxies.set(1, Passage::Open);
        let mut back = [0; 4];
        stream.read_exact(&mut back).expect("passes now");
        assert_eq!(&back, b"two.");

        proxies.set(0, Passage::Severed);
        assert!(matches!(stream.read(&mut [0; 4]), Ok(0) | Err(_)), "closed");
        let mut refused = dial(&proxies);
        assert!(matches!(refused.read(&mut [0; 4]), Ok(0) | Err(_)), "closed at once");

        proxies.set(0, Passage::Open);
        says(&mut dial(&proxies), b"back");
    }

    #[test]
    fn a_node_that_has_moved_is_found() {
        let gone = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener");
        let address = gone.local_addr().expect("its address");
        drop(gone);
        let proxies = Proxies::new(&[address, address]).expect("proxies");
        assert!(matches!(dial(&proxies).read(&mut [0; 4]), Ok(0) | Err(_)), "nobody is there");
        proxies.moved(1, echo());
        says(&mut dial(&proxies), b"here");
    }
}
