//! Proxies between the nodes: each node dials each other through one of its own, and what goes through it can be cut, held
//! up and torn.

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
    /// Everything, each byte by itself.
    Torn,
    /// A few bytes of each connection, then it is cut: each next one elsewhere.
    Brittle,
    /// Nothing, and nobody is told. Nothing is read either, so whoever sends finds in the end that it cannot. What is
    /// under way arrives once it opens.
    Held,
    /// Nothing: connections are closed, and new ones are closed at once.
    Severed,
}

impl Proxies {
    /// Between nodes that listen at these addresses.
    pub(super) fn new(nodes: &[SocketAddr]) -> io::Result<Proxies> {
        let mut proxies = Proxies { lines: Vec::new() };
        for from in 0..nodes.len() {
            for (to, &target) in nodes.iter().enumerate().filter(|(to, _)| *to != from) {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
                let address = listener.local_addr()?;
                let gate = Arc::new(Gate::default());
                let target = Arc::new(Mutex::new(target));
                let (passing, current) = (gate.clone(), target.clone());
                thread::spawn(move || accept(&listener, &current, &passing));
                proxies.lines.push(Line { from, to, address, target, gate });
            }
        }
        Ok(proxies)
    }

    /// Where `from` dials `to`.
    pub(super) fn address(&self, from: usize, to: usize) -> Option<SocketAddr> {
        self.lines.iter().find(|line| (line.from, line.to) == (from, to)).map(|line| line.address)
    }

    /// From now on, whoever dials `from` -> `to` reaches this address.
    pub(super) fn lead(&self, from: usize, to: usize, address: SocketAddr) {
        for line in self.lines.iter().filter(|line| (line.from, line.to) == (from, to)) {
            *line.target.lock().unwrap_or_else(PoisonError::into_inner) = address;
        }
    }

    /// Sets what passes between a node and all others, both ways.
    pub(super) fn set(&self, node: usize, passage: Passage) {
        for line in self.lines.iter().filter(|line| line.from == node || line.to == node) {
            line.gate.set(passage);
        }
    }

    /// Sets what passes between all nodes.
    pub(super) fn set_all(&self, passage: Passage) {
        self.lines.iter().for_each(|line| line.gate.set(passage));
    }

    /// How many connections there have been.
    pub(super) fn connections(&self) -> u64 {
        self.lines.iter().map(|line| line.gate.lock().next).sum()
    }

    /// Cuts all connections once. New ones may come.
    pub(super) fn cut_all(&self) {
        self.lines.iter().for_each(|line| line.gate.cut());
    }
}

impl Drop for Proxies {
    fn drop(&mut self) {
        for line in &self.lines {
            line.gate.set(Passage::Severed);
            line.gate.lock().over = true;
            // Whoever accepts there looks up, and ends. If it has ended, so much the better.
            let _ = TcpStream::connect(line.address);
        }
    }
}

/// What all connections of one line pass.
struct Gate {
    inside: Mutex<Inside>,
    changed: Condvar,
}

struct Inside {
    passage: Passage,
    over: bool,
    connections: Vec<Connection>,
    next: u64,
}

struct Connection {
    number: u64,
    ends: [TcpStream; 2],
    /// How many bytes may still pass while the line is brittle.
    left: usize,
}

/// What may pass on a brittle line is less than this: a handshake, and some frames.
const BRITTLE: u64 = 6000;

impl Default for Gate {
    fn default() -> Gate {
        let inside = Inside { passage: Passage::Open, over: false, connections: Vec::new(), next: 0 };
        Gate { inside: Mutex::new(inside), changed: Condvar::new() }
    }
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, passage: Passage) {
        self.lock().passage = passage;
        if passage == Passage::Severed {
            self.cut();
        }
        self.changed.notify_all();
    }

    fn cut(&self) {
        for connection in self.lock().connections.drain(..) {
            connection.ends.iter().for_each(hang_up);
        }
    }

    /// Waits while it is held. What may pass of so many bytes, and whether each by itself; `None` if nothing ever will.
    fn pass(&self, connection: u64, bytes: usize) -> Option<(usize, bool)> {
        let mut inside = self.lock();
        loop {
            match inside.passage {
                Passage::Open => return Some((bytes, false)),
                Passage::Torn => return Some((bytes, true)),
                Passage::Severed => return None,
                Passage::Brittle => {
                    let this = inside.connections.iter_mut().find(|one| one.number == connection)?;
                    let passes = bytes.min(this.left);
                    this.left -= passes;
                    return Some((passes, false));
                }
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
        // Any place will do, as long as it is another each time.
        let left = usize::try_from(number.wrapping_mul(2_654_435_761) % BRITTLE).unwrap_or(0);
        inside.connections.push(Connection { number, ends, left });
        Some(number)
    }

    fn leave(&self, number: u64) {
        self.lock().connections.retain(|one| one.number != number);
    }
}

/// It may be closed already.
fn hang_up(stream: &TcpStream) {
    let _ = stream.shutdown(Shutdown::Both);
}

fn accept(listener: &TcpListener, target: &Mutex<SocketAddr>, gate: &Arc<Gate>) {
    for near in listener.incoming().flatten() {
        if gate.lock().over {
            break;
        }
        let gate = gate.clone();
        let target = *target.lock().unwrap_or_else(PoisonError::into_inner);
        // Whatever fails ends the connection, and whoever dialled will dial again.
        thread::spawn(move || carry(near, target, &gate));
    }
}

/// One connection, from its beginning to its end.
fn carry(near: TcpStream, target: SocketAddr, gate: &Arc<Gate>) -> io::Result<()> {
    // Nobody is reached through a line that is held, and whoever dials is not told.
    gate.pass(u64::MAX, 0);
    if gate.lock().passage == Passage::Severed {
        return Ok(());
    }
    let far = TcpStream::connect(target)?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let Some(number) = gate.enter([near.try_clone()?, far.try_clone()?]) else { return Ok(()) };
    let (back_from, back_to) = (far.try_clone()?, near.try_clone()?);
    thread::scope(|scope| {
        scope.spawn(|| pump(back_from, back_to, gate, number));
        pump(near, far, gate, number);
    });
    gate.leave(number);
    Ok(())
}

/// Carries bytes one way, until there are no more.
fn pump(mut from: TcpStream, mut to: TcpStream, gate: &Gate, number: u64) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => {
                // The other way may have more to carry.
                if gate.pass(number, 0).is_some() {
                    let _ = to.shutdown(Shutdown::Write);
                }
                return;
            }
            Ok(length) => {
                let Some((passes, torn)) = gate.pass(number, length) else { break };
                let size = if torn { 1 } else { passes.max(1) };
                let written = buffer[..passes].chunks(size).try_for_each(|piece| {
                    if torn {
                        // So that the one who reads has a chance to find the byte alone.
                        thread::yield_now();
                    }
                    to.write_all(piece)
                });
                if written.is_err() || passes < length {
                    break;
                }
            }
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

    const AGES: Duration = Duration::from_secs(60);

    fn echo() -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener");
        let address = listener.local_addr().expect("its address");
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let back = stream.try_clone().expect("a clone");
                thread::spawn(move || pump(stream, back, &Gate::default(), 0));
            }
        });
        address
    }

    fn dial(proxies: &Proxies) -> TcpStream {
        let stream = TcpStream::connect(proxies.address(0, 1).expect("a line")).expect("connected");
        stream.set_read_timeout(Some(AGES)).expect("a timeout");
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
        proxies.set(1, Passage::Torn);
        says(&mut stream, b"tear");

        proxies.set(1, Passage::Held);
        stream.write_all(b"two.").expect("written");
        stream.set_read_timeout(Some(Duration::from_millis(50))).expect("a timeout");
        assert!(stream.read_exact(&mut [0; 4]).is_err(), "nothing passes");
        stream.set_read_timeout(Some(AGES)).expect("a timeout");
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
    fn a_brittle_line_lets_a_part_pass_and_another_part_the_next_time() {
        let node = echo();
        let proxies = Proxies::new(&[node, node]).expect("proxies");
        proxies.set_all(Passage::Brittle);
        let lengths: Vec<usize> = (0..4)
            .map(|_| {
                let mut stream = dial(&proxies);
                let _ = stream.write_all(&[7; 20_000]);
                let mut back = Vec::new();
                let _ = stream.read_to_end(&mut back);
                back.len()
            })
            .collect();
        assert!(lengths.iter().all(|length| *length < 6000), "{lengths:?}");
    }

    #[test]
    fn a_line_leads_elsewhere() {
        let gone = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener");
        let address = gone.local_addr().expect("its address");
        drop(gone);
        let proxies = Proxies::new(&[address, address]).expect("proxies");
        assert!(matches!(dial(&proxies).read(&mut [0; 4]), Ok(0) | Err(_)), "nobody is there");
        proxies.lead(0, 1, echo());
        says(&mut dial(&proxies), b"here");
    }
}
