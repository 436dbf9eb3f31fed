//! `node`: one node in a process of its own.

use std::io::{self, BufReader, IsTerminal, Write};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use diskeyval_mio::{Address, Event, Member, Node, NodeId, Term};
use tracing::warn;

use crate::answer;
use crate::args::NodeArgs;
use crate::config;
use crate::exit::Failure;
use crate::lines;
use crate::prompt;
use crate::session::{self, Ending, Session};
use crate::terminal;

/// How long an answer that is being written may take at the end.
const LAST_ANSWER: Duration = Duration::from_secs(1);

pub(crate) fn run(args: &NodeArgs) -> Result<(), Failure> {
    let config = config::assemble(args)?;
    let (id, longest) = (config.node_id.clone(), lines::longest(&config.limits));
    let (sender, endings) = mpsc::channel();
    let session = Session::new(sender);
    session::heed_signals(&session).map_err(|error| cannot("heed signals", &error))?;
    let (host, advertised) = (config.host.clone(), config.advertise.clone());
    let node = Node::start(config).map_err(|error| config::explain(error, args, &id))?;
    let _ = writeln!(io::stderr(), "ready {}", node.local_addr());
    say_how_to_join(&node, &host, advertised);
    session::reload_on_hangup(&node).map_err(|error| cannot("heed signals", &error))?;

    let at_terminal = io::stdin().is_terminal();
    // Subscribed before anybody can ask for the end.
    let watcher = watch(&node, &session, at_terminal);
    let started = watcher
        .and_then(|()| if at_terminal { talk(&node, &session) } else { listen(&node, longest, &session) });
    let ended = match started {
        // The threads hold the sender: there is an ending before it is gone.
        Ok(()) => endings.recv().unwrap_or(Ending::Quit),
        Err(error) => {
            node.end();
            return Err(cannot("start a thread", &error));
        }
    };
    terminal::restore();
    let fault = node.fault();
    node.end();
    session.wait_idle(LAST_ANSWER);
    // The prompt may have been about to take the terminal when the end was asked for.
    terminal::restore();
    match ended {
        Ending::Quit if !at_terminal => {
            // Whoever asked may have left without waiting.
            let _ = writeln!(io::stdout(), "{}", answer::BYE);
            Ok(())
        }
        Ending::Quit | Ending::Signal => Ok(()),
        Ending::Removed => Err(Failure::removed(format!(
            "{id} was removed from its cluster: give its directory up if it has one, or start it again, and announce it \
             there anew (`add {id}`, at a member)"
        ))),
        Ending::Node => Err(match fault {
            Some(fault) => Failure::failed(format!("the node has halted: {fault}")),
            None => Failure::failed("the node has stopped by itself: its log says why (`--log error`)"),
        }),
    }
}

/// Tells what has to be done elsewhere for a node that is no member, as far as it knows: it joins, or was removed.
fn say_how_to_join(node: &Node, host: &str, advertised: Option<Address>) {
    if is_no_member(node) {
        let address = advertised.or_else(|| reached_at(node, host));
        let own = Member { node: node.id().clone(), address };
        let _ =
            writeln!(io::stderr(), "waiting to be announced: type `add {own}` at a member of the cluster");
    }
}

/// Whether it is no member, as far as it knows.
fn is_no_member(node: &Node) -> bool {
    node.members().is_ok_and(|members| members.iter().all(|one| one.node_id != *node.id()))
}

/// Where others reach it, if that is where it listens.
fn reached_at(node: &Node, host: &str) -> Option<Address> {
    let local = node.local_addr();
    Address::new(host, local.port()).ok().filter(|_| !local.ip().is_unspecified())
}

/// Notices that the node ends by itself, or is removed; says when it is taken in by a cluster that it joins; at a terminal, tells who leads.
fn watch(node: &Node, session: &Arc<Session>, at_terminal: bool) -> io::Result<()> {
    let (events, session) = (node.events().map_err(io::Error::other)?, session.clone());
    // What was so before the subscription is no event.
    let mut known = node.status().map_or((None, Term(0)), |status| (status.leader, status.term));
    let own = node.id().clone();
    let mut serves = node.ready();
    let joins = is_no_member(node);
    thread::Builder::new().name("notices-of-node".to_owned()).spawn(move || {
        if at_terminal && known.0.is_some() {
            terminal::notice(&leadership(&known, &own));
        }
        for notice in events {
            match notice.event() {
                Some(Event::Admitted) => serves = true,
                // It is over. One that comes back from its disk after that waits to be taken in anew.
                Some(Event::Removed) if serves => drop(session.end(Ending::Removed)),
                Some(Event::Removed) => {
                    let anew =
                        format!("it waits until it is announced there anew: type `add {own}` at a member");
                    terminal::notice(&format!("this node was removed from its cluster; {anew}\n"));
                }
                _ => {}
            }
            if joins && notice.event() == Some(&Event::Admitted) {
                let promote = format!("`promote {own}`, at a member, has it vote");
                terminal::notice(&format!("taken in: this node is brought up to date; {promote}\n"));
            }
            let Some(Event::Leader { leader, term }) = notice.event() else { continue };
            let news = (leader.clone(), *term);
            if at_terminal && news != known {
                terminal::notice(&leadership(&news, &own));
            }
            known = news;
        }
        session.end(Ending::Node);
    })?;
    Ok(())
}

fn leadership((leader, term): &(Option<NodeId>, Term), own: &NodeId) -> String {
    match leader {
        Some(leader) if leader == own => format!("this node leads (term {term})\n"),
        Some(leader) => format!("{leader} leads (term {term})\n"),
        None => format!("no leader is known (term {term})\n"),
    }
}

/// With a person.
fn talk(node: &Node, session: &Arc<Session>) -> io::Result<()> {
    let (node, session) = (node.clone(), session.clone());
    thread::Builder::new().name("prompt".to_owned()).spawn(move || {
        let served = prompt::open().and_then(|editor| prompt::serve(&node, editor, &session));
        if let Err(error) = served {
            terminal::notice(&format!("the terminal fails: {error}\n"));
        }
        session.end(Ending::Quit);
    })?;
    Ok(())
}

/// With a program. That it has no more to say, or does not listen any more, does not end the node: a service
/// has its stdin closed.
fn listen(node: &Node, longest: usize, session: &Arc<Session>) -> io::Result<()> {
    let (node, session) = (node.clone(), session.clone());
    thread::Builder::new().name("lines".to_owned()).spawn(move || {
        let mut input = BufReader::new(io::stdin());
        match lines::serve(&node, longest, &mut input, &mut io::stdout(), &session) {
            Ok(true) => drop(session.end(Ending::Quit)),
            Ok(false) => {}
            Err(error) => warn!(%error, "no more commands are taken: stdin or stdout fails"),
        }
    })?;
    Ok(())
}

fn cannot(what: &str, error: &io::Error) -> Failure {
    Failure::failed(format!("cannot {what}: {error}"))
}
