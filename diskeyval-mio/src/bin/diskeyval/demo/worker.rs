//! The child process: a node with clients, that does what its parent says and ends with it.

use std::io::{self, BufRead};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use diskeyval_mio::{CloseReason, Error, Event, MemberChange, Notice, Read, Refusal};
use diskeyval_sim::history::{self, Record};

use super::clients::{Client, Crew, say, tell, text};
use super::clock;
use super::node::{Events, Node};
use super::words::{MARK, Order, Setup, Tiding};
use crate::exit::Failure;

/// How long a node may take to its seat.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a change of the members may take. Who is asked may be killed, and then another is.
const CHANGE_WITHIN: Duration = Duration::from_secs(10);

/// The number of the client that writes marks: none of the others has it.
pub(super) const MARKER: u64 = 0;

/// Lives as a child. It listens at this address, if that is still free.
pub(crate) fn run(at: Option<SocketAddr>) -> Result<(), Failure> {
    live(at).map_err(|why| {
        // Where nobody listens any more, the exit code has to do.
        let _ = report(&Tiding::Trouble(why.clone()));
        Failure::failed(why)
    })
}

fn live(at: Option<SocketAddr>) -> Result<(), String> {
    end_with_parent().map_err(|error| error.to_string())?;
    let anywhere = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let listener = at.map_or_else(anywhere, |at| TcpListener::bind(at).or_else(|_| anywhere()));
    let listener = listener.map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    report(&Tiding::Listening(address))?;

    let lines = read_orders()?;
    let Ok(first) = lines.recv() else { return Ok(()) };
    let setup: Setup = serde_json::from_str(&first).map_err(|error| error.to_string())?;
    let node = setup.adapter.start_on(listener, setup.config).map_err(|error| error.to_string())?;
    // Before anything can have been written.
    let events = node.events().map_err(|error| error.to_string())?;
    let (teller, life, removed) = (node.clone(), setup.life, Arc::new(AtomicBool::new(false)));
    let notes_removal = removed.clone();
    let telling = thread::spawn(move || tell_events(events, &teller, life, &notes_removal));
    let waiting = node.clone();
    let patience = if setup.is_expected { PATIENCE } else { Duration::MAX };
    thread::spawn(move || match waiting.wait_ready(patience) {
        Ok(()) => report(&Tiding::Ready),
        // It was told to end before that.
        Err(Error::Refused(Refusal::Stopped)) => Ok(()),
        Err(error) => report(&Tiding::Trouble(error.to_string())),
    });

    let marker = Client::new(MARKER, node.clone());
    let mut crew = None;
    for line in lines {
        match Order::parse(&line).ok_or_else(|| format!("this is no order: {line}"))? {
            Order::Go => {
                let started = Crew::start(&node, &setup.work, &removed);
                crew = Some(started.map_err(|error| error.to_string())?);
            }
            Order::Stop => {
                crew.take().map_or(Ok(()), Crew::stop)?;
                report(&Tiding::Stopped)?;
            }
            Order::Mark(value) => {
                let is_written = marker.set(MARK, value).map_err(|error| error.to_string())?;
                report(&Tiding::Marked(is_written))?;
            }
            Order::Applied => report(&applied(&node))?,
            Order::Change(change) => change_members(&node, change),
            Order::Elections => report(&Tiding::Elections(node.metrics().elections_started))?,
            Order::End => break,
        }
    }
    let fault = node.fault();
    node.end();
    match telling.join() {
        Ok(ended) => ended.map_err(|error| error.to_string())?,
        Err(_) => return Err("the reader of events panicked".into()),
    }
    fault.map_or(Ok(()), |fault| Err(format!("the node had halted: {fault}")))
}

/// Other orders do not wait for it.
fn change_members(node: &Node, change: MemberChange) {
    let node = node.clone();
    thread::spawn(move || {
        let changed = node.change(change, CHANGE_WITHIN);
        report(&Tiding::Changed(changed.map_err(|error| error.to_string())))
    });
}

/// Even while its threads are frozen, it ends when its parent does: by the thread that started it, which is the
/// main one. A parent that was gone before is met as the end of the orders.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
fn end_with_parent() -> io::Result<()> {
    Ok(rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?)
}

/// Where the kernel has no such signal, one that is frozen ends once it is let go on.
#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
fn end_with_parent() -> io::Result<()> {
    Ok(())
}

/// The orders, as they come. When the parent is gone, so is this process, whatever it is doing.
fn read_orders() -> Result<Receiver<String>, String> {
    let (sender, orders) = mpsc::channel();
    let read = move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            let is_last = Order::parse(&line) == Some(Order::End);
            if sender.send(line).is_err() || is_last {
                return;
            }
        }
        process::exit(1);
    };
    thread::Builder::new().name("orders".into()).spawn(read).map_err(|error| error.to_string())?;
    Ok(orders)
}

fn applied(node: &Node) -> Tiding {
    match node.status() {
        Ok(status) => {
            Tiding::Applied { index: status.last_applied.0, hash: format!("{:032x}", status.state_hash) }
        }
        Err(error) => Tiding::Trouble(error.to_string()),
    }
}

/// Every change becomes a line of the history. Where some were left out, a stream of another name begins.
fn tell_events(events: Events, node: &Node, life: u64, removed: &AtomicBool) -> io::Result<()> {
    let name = node.id();
    let mut stream = if life == 1 { name.to_string() } else { format!("{name}#{life}") };
    let mut streams = 1;
    let mut another = || {
        streams += 1;
        format!("{name}#{life}.{streams}")
    };
    for notice in events {
        match notice {
            Notice::Event(Event::Change(change)) => tell(&Record::Event(history::Event {
                node: stream.clone(),
                key: text(&change.key),
                value: change.value.as_ref().map(text),
                revision: change.revision,
                at: clock::now(),
            }))?,
            Notice::Event(Event::Leader { leader, term }) => {
                let leader = leader.map(|id| id.to_string());
                say(Tiding::Leader { term: term.0, leader }.to_line())?;
            }
            Notice::Lagged { missed } => {
                stream = another();
                say(Tiding::Lagged(missed).to_line())?;
            }
            Notice::Resync { .. } => {
                stream = another();
                if let Ok(Some(mark)) = node.get_with(MARK.into(), Read::Local) {
                    say(Tiding::HasMark(text(&mark.value)).to_line())?;
                }
            }
            Notice::Event(Event::Admitted) => removed.store(false, Ordering::Relaxed),
            Notice::Event(Event::Removed) => {
                removed.store(true, Ordering::Relaxed);
                say(Tiding::Removed.to_line())?;
            }
            Notice::Event(Event::LinkDown { why: CloseReason::Goodbye(_), .. }) if !node.ready() => {
                say(Tiding::TurnedAway.to_line())?;
            }
            Notice::Damaged(damage) => say(Tiding::Trouble(damage.to_string()).to_line())?,
            _ => {}
        }
    }
    Ok(())
}

fn report(tiding: &Tiding) -> Result<(), String> {
    say(tiding.to_line()).map_err(|error| error.to_string())
}
