//! A cluster of child processes, and what its nodes say.

mod members;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use diskeyval_mio::certs::Authority;
use diskeyval_mio::{Address, Config, NodeId};
use diskeyval_sim::history::Record;

use super::child::{Child, News, Notes};
use super::interrupt::Interrupt;
use super::keep::Keep;
use super::node::Adapter;
use super::words::{Order, Setup, Tiding, Work};

/// How long anything may take that normally takes a moment, on the slowest machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// The clients of a node's next process have other numbers, this far apart: an end that was not heard stays unheard.
const NEXT_LIFE: u64 = 1000;

/// How often somebody who waits looks around.
const TICK: Duration = Duration::from_millis(50);

/// Why a run does not go on.
#[derive(Debug)]
pub(super) enum Halt {
    /// Somebody wants it to end.
    Interrupted,
    /// Something is wrong.
    Trouble(String),
}

impl Halt {
    /// In words.
    pub(super) fn why(self) -> String {
        match self {
            Halt::Interrupted => "interrupted".into(),
            Halt::Trouble(why) => why,
        }
    }
}

impl From<String> for Halt {
    fn from(why: String) -> Halt {
        Halt::Trouble(why)
    }
}

/// How the nodes of a cluster begin.
pub(super) struct Beginning<'a> {
    /// How many found it. Those behind them join when they are announced.
    pub(super) founders: usize,
    /// Where one node is told to dial another, if it is told at all.
    pub(super) dial: &'a dyn Fn(usize, usize) -> Option<SocketAddr>,
    /// Whether they are to meet nowhere else.
    pub(super) is_proxied: bool,
    /// What the clients of a node do.
    pub(super) work: &'a dyn Fn(usize) -> Work,
    /// Where they keep what they have promised.
    pub(super) keep: Option<&'a Keep>,
    /// Who drives a node.
    pub(super) adapter: &'a dyn Fn(usize) -> Adapter,
}

/// Where nobody listens.
const NOWHERE: (&str, u16) = ("127.0.0.1", 1);

/// Nodes that run in child processes: `node-1` and so on, numbered from 0.
pub(super) struct Cluster {
    children: Vec<Child>,
    told: Vec<Told>,
    /// What each was last started with.
    setups: Vec<Setup>,
    /// Who is no member, not yet or not any more.
    outside: BTreeSet<usize>,
    inbox: Receiver<(usize, News)>,
    /// For those that are started later.
    to_inbox: Sender<(usize, News)>,
    /// Who was heard to lead in each term.
    reigns: BTreeMap<u64, usize>,
    marks: u64,
    interrupt: Interrupt,
}

/// What one of them has told of itself.
#[derive(Default)]
struct Told {
    listening: Option<SocketAddr>,
    ready: bool,
    stopped: bool,
    marked: Option<bool>,
    /// One of unknown fate may come late.
    marks: BTreeSet<String>,
    applied: Option<(u64, String)>,
    changed: Option<Result<u64, String>>,
    elections: Option<u64>,
    removed: bool,
    turned_away: bool,
    gone: bool,
    /// It was killed, or told to end.
    may_go: bool,
}

/// The name of a node.
pub(super) fn name(number: usize) -> String {
    format!("node-{}", number + 1)
}

impl Cluster {
    /// Starts the processes; they listen, and wait for what comes next.
    pub(super) fn spawn(size: usize, interrupt: Interrupt) -> Result<Cluster, Halt> {
        let (sender, inbox) = mpsc::channel();
        let children: Vec<Child> = (0..size)
            .map(|number| Child::spawn(number, sender.clone()))
            .collect::<io::Result<_>>()
            .map_err(|error| format!("cannot start a process: {error}"))?;
        let told = (0..size).map(|_| Told::default()).collect();
        let mut cluster = Cluster {
            children,
            told,
            setups: Vec::new(),
            outside: BTreeSet::new(),
            inbox,
            to_inbox: sender,
            reigns: BTreeMap::new(),
            marks: 0,
            interrupt,
        };
        cluster.wait("the processes to listen", |cluster| cluster.all(|told| told.listening.is_some()))?;
        Ok(cluster)
    }

    /// Where the nodes listen.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.told.iter().filter_map(|told| told.listening).collect()
    }

    /// Starts the nodes, under certificates that are forgotten with them, and waits until all who found the cluster are in
    /// their seats.
    pub(super) fn found(&mut self, beginning: &Beginning<'_>) -> Result<(), Halt> {
        let authority = Authority::new("diskeyval demo").map_err(|error| error.to_string())?;
        self.outside = (beginning.founders..self.children.len()).collect();
        for number in 0..self.children.len() {
            let mut config = self.config(number, &authority, beginning)?;
            if let Some(keep) = beginning.keep {
                config = config.persist(&keep.of(number)?);
            }
            let is_expected = beginning.founders == self.children.len();
            let (work, adapter) = ((beginning.work)(number), (beginning.adapter)(number));
            let setup = Setup { config, life: 1, is_expected, adapter, work };
            self.tell(number, |child| child.set_up(&setup))?;
            self.setups.push(setup);
        }
        self.wait("the nodes to take their seats", |cluster| {
            cluster.all(|told| told.ready) && cluster.leader().is_some()
        })
    }

    fn config(&self, own: usize, authority: &Authority, beginning: &Beginning<'_>) -> Result<Config, String> {
        let issued = NodeId::new(&name(own))
            .map_err(|error| error.to_string())
            .and_then(|id| authority.issue_node(&id).map_err(|error| error.to_string()))?;
        let mut config = Config::new(&name(own)).map_err(|error| error.to_string())?.tls(
            &issued.cert_pem,
            &issued.key_pem,
            authority.cert_pem(),
        );
        config.join = own >= beginning.founders;
        if beginning.is_proxied {
            // What a node announces is dialled, too: whoever is cut off would be met there.
            config.advertise = Address::new(NOWHERE.0, NOWHERE.1).ok();
        }
        for other in (0..self.children.len()).filter(|other| *other != own) {
            let Some(address) = (beginning.dial)(own, other) else { continue };
            config = config
                .peer(&name(other), &address.ip().to_string(), address.port())
                .map_err(|error| error.to_string())?;
        }
        Ok(config)
    }

    /// Who drives each node.
    pub(super) fn adapters(&self) -> Vec<Adapter> {
        self.setups.iter().map(|setup| setup.adapter).collect()
    }

    /// Who is a member, whatever became of its process.
    pub(super) fn members(&self) -> Vec<usize> {
        (0..self.children.len()).filter(|number| !self.outside.contains(number)).collect()
    }

    /// One of the child processes.
    pub(super) fn child(&mut self, number: usize) -> &mut Child {
        &mut self.children[number]
    }

    /// Who was last heard to lead.
    pub(super) fn leader(&self) -> Option<usize> {
        self.reigns.last_key_value().map(|(_, leader)| *leader)
    }

    /// Whether every member is in its seat, as far as it has told.
    pub(super) fn all_are_ready(&self) -> bool {
        self.members().into_iter().all(|number| self.told[number].ready)
    }

    /// Who was heard to lead in each term.
    pub(super) fn reigns(&self) -> &BTreeMap<u64, usize> {
        &self.reigns
    }

    /// What is so far written in the notes of all, one by one.
    pub(super) fn notes<T>(&self, look: impl FnMut(&mut Notes) -> T) -> Vec<T> {
        let mut look = look;
        self.children.iter().map(|child| child.notes(&mut look)).collect()
    }

    /// The history so far, by time. That of one stream stays in its order: it has one clock.
    pub(super) fn take_history(&mut self) -> Vec<Record> {
        let parts = self.notes(|notes| {
            notes.settle();
            std::mem::take(&mut notes.records)
        });
        let mut records: Vec<Record> = parts.into_iter().flatten().collect();
        records.sort_by_key(|record| match record {
            Record::Operation(operation) => operation.call,
            Record::Event(event) => event.at,
        });
        records
    }

    /// Tells one what to do.
    pub(super) fn order(&mut self, number: usize, order: &Order) -> Result<(), Halt> {
        self.tell(number, |child| child.order(order))
    }

    fn tell(&mut self, number: usize, tell: impl FnOnce(&mut Child) -> io::Result<()>) -> Result<(), Halt> {
        tell(&mut self.children[number])
            .map_err(|error| Halt::Trouble(format!("{} cannot be told what to do: {error}", name(number))))
    }

    /// Kills one.
    pub(super) fn kill(&mut self, number: usize) -> Result<(), Halt> {
        self.told[number].may_go = true;
        self.tell(number, Child::kill)
    }

    /// Starts one that was killed once more, with clients of other numbers, which begin at once. Tells where it
    /// listens.
    pub(super) fn revive(&mut self, number: usize, moved: impl FnOnce(SocketAddr)) -> Result<(), Halt> {
        self.gone(number)?;
        self.replace(number)?;
        if let Some(address) = self.told[number].listening {
            moved(address);
        }
        self.set_up_again(number)?;
        if self.outside.contains(&number) { Ok(()) } else { self.go(number) }
    }

    fn gone(&mut self, number: usize) -> Result<(), Halt> {
        self.sit_out("a killed process to be gone", |cluster| cluster.told[number].gone)
    }

    /// Starts a process in the place of one that is gone, and waits until it listens: where that one did, if it can.
    fn replace(&mut self, number: usize) -> Result<(), Halt> {
        let (inbox, at) = (self.to_inbox.clone(), self.told[number].listening);
        self.children[number]
            .replace(number, at, inbox)
            .map_err(|error| format!("{} cannot be started again: {error}", name(number)))?;
        self.told[number] = Told::default();
        self.sit_out("a process to listen", |cluster| cluster.told[number].listening.is_some())
    }

    fn set_up_again(&mut self, number: usize) -> Result<(), Halt> {
        let setup = &mut self.setups[number];
        setup.life += 1;
        setup.work.clients.iter_mut().for_each(|client| *client += NEXT_LIFE);
        let setup = setup.clone();
        self.tell(number, |child| child.set_up(&setup))
    }

    /// Lets clients begin.
    pub(super) fn go(&mut self, number: usize) -> Result<(), Halt> {
        self.told[number].stopped = false;
        self.order(number, &Order::Go)
    }

    /// Has clients end, and waits for them.
    pub(super) fn stop(&mut self) -> Result<(), Halt> {
        for number in self.living() {
            self.order(number, &Order::Stop)?;
        }
        self.wait("the clients to end", |cluster| cluster.all(|told| told.stopped))
    }

    /// Writes a mark, and waits until every living node has reported it: whatever was committed before was
    /// reported before, in the streams of all.
    pub(super) fn mark(&mut self) -> Result<(), Halt> {
        let end = Instant::now() + PATIENCE;
        loop {
            self.marks += 1;
            let value = format!("mark-{}", self.marks);
            // Any would do; with the leader it is fastest, unless that one was killed.
            let living = self.living();
            let leader = self.leader().filter(|leader| living.contains(leader));
            let Some(writer) = leader.or_else(|| living.first().copied()) else {
                return Err(Halt::Trouble("no node is left".into()));
            };
            self.told[writer].marked = None;
            self.order(writer, &Order::Mark(value.clone()))?;
            self.wait("an answer", |cluster| cluster.told[writer].marked.is_some())?;
            if self.told[writer].marked == Some(true) {
                return self.wait("every node to report the last write", |cluster| {
                    cluster.all(|told| told.marks.contains(&value))
                });
            }
            if Instant::now() > end {
                return Err(Halt::Trouble("the cluster takes no writes any more".into()));
            }
        }
    }

    /// Waits until all have applied the same, and compares their states.
    pub(super) fn compare_states(&mut self) -> Result<(), Halt> {
        let end = Instant::now() + PATIENCE;
        loop {
            for number in self.living() {
                self.told[number].applied = None;
                self.order(number, &Order::Applied)?;
            }
            self.wait("the nodes to say what they have applied", |cluster| {
                cluster.all(|told| told.applied.is_some())
            })?;
            let mut states: Vec<&(u64, String)> =
                self.living().into_iter().filter_map(|number| self.told[number].applied.as_ref()).collect();
            states.sort();
            states.dedup();
            match states[..] {
                [_] => return Ok(()),
                [first, .., last] if first.0 != last.0 && Instant::now() < end => {}
                _ => {
                    let why = format!("the nodes do not come to the same state: {states:?}");
                    return Err(Halt::Trouble(why));
                }
            }
        }
    }

    /// Ends the nodes, one after the other.
    pub(super) fn end(&mut self) -> Result<(), Halt> {
        for number in (0..self.told.len()).filter(|number| !self.told[*number].may_go).collect::<Vec<_>>() {
            self.told[number].may_go = true;
            self.order(number, &Order::End)?;
            self.wait("a node to end", |cluster| cluster.told[number].gone)?;
            let status = self.children[number]
                .wait()
                .map_err(|error| Halt::Trouble(format!("{} cannot be waited for: {error}", name(number))))?;
            if !status.success() {
                return Err(Halt::Trouble(format!("{} ended with {status}", name(number))));
            }
        }
        Ok(())
    }

    /// Those members that were not killed and not ended.
    fn living(&self) -> Vec<usize> {
        self.members().into_iter().filter(|number| !self.told[*number].may_go).collect()
    }

    /// Whether it is so with all of them.
    fn all(&self, is_so: impl Fn(&Told) -> bool) -> bool {
        self.living().into_iter().all(|number| is_so(&self.told[number]))
    }

    /// Waits for something that the nodes tell.
    pub(super) fn wait(
        &mut self,
        what: &str,
        mut is_so: impl FnMut(&mut Cluster) -> bool,
    ) -> Result<(), Halt> {
        let mut interrupted = false;
        self.sit_out(what, |cluster| {
            let done = is_so(cluster);
            interrupted = !done && cluster.interrupt.take();
            done || interrupted
        })?;
        if interrupted { Err(Halt::Interrupted) } else { Ok(()) }
    }

    /// The same, for what must not be left half done: if somebody wants this process to end, that can wait.
    fn sit_out(&mut self, what: &str, mut is_so: impl FnMut(&mut Cluster) -> bool) -> Result<(), Halt> {
        let end = Instant::now() + PATIENCE;
        while !is_so(self) {
            self.hear(TICK)?;
            if Instant::now() > end {
                return Err(Halt::Trouble(format!("waited in vain for {what}, {} s", PATIENCE.as_secs())));
            }
        }
        Ok(())
    }

    /// Takes in what the nodes have told, and waits for that, but not for longer than `span`. If somebody
    /// wants this process to end, says so.
    pub(super) fn listen(&mut self, span: Duration) -> Result<(), Halt> {
        if self.interrupt.take() {
            return Err(Halt::Interrupted);
        }
        self.hear(span.min(TICK))
    }

    fn hear(&mut self, span: Duration) -> Result<(), Halt> {
        let mut next = self.inbox.recv_timeout(span);
        loop {
            match next {
                Ok((number, news)) => self.take(number, news)?,
                Err(RecvTimeoutError::Timeout) => return Ok(()),
                Err(RecvTimeoutError::Disconnected) => unreachable!("a sender is kept"),
            }
            next = self.inbox.try_recv().map_err(|_| RecvTimeoutError::Timeout);
        }
    }

    fn take(&mut self, number: usize, news: News) -> Result<(), Halt> {
        let told = &mut self.told[number];
        match news {
            News::Told(Tiding::Listening(address)) => told.listening = Some(address),
            News::Told(Tiding::Ready) => told.ready = true,
            News::Told(Tiding::Stopped) => told.stopped = true,
            News::Told(Tiding::Marked(is_written)) => told.marked = Some(is_written),
            News::Told(Tiding::HasMark(value)) => {
                told.marks.insert(value);
            }
            News::Told(Tiding::Applied { index, hash }) => told.applied = Some((index, hash)),
            News::Told(Tiding::Leader { term, leader: Some(leader) }) => return self.reign(term, &leader),
            News::Told(Tiding::Leader { leader: None, .. }) => {}
            News::Told(Tiding::Lagged(missed)) => {
                let why = format!("{} lost {missed} events: its reader was too slow", name(number));
                return Err(Halt::Trouble(why));
            }
            News::Told(Tiding::Changed(result)) => told.changed = Some(result),
            News::Told(Tiding::Elections(count)) => told.elections = Some(count),
            News::Told(Tiding::Removed) => told.removed = true,
            News::Told(Tiding::TurnedAway) => told.turned_away = true,
            News::Told(Tiding::Trouble(why)) => {
                return Err(Halt::Trouble(format!("{}: {why}", name(number))));
            }
            News::SawMark(value) => {
                told.marks.insert(value);
            }
            News::Gone => {
                told.gone = true;
                if !told.may_go {
                    return Err(Halt::Trouble(format!("{} ended by itself", name(number))));
                }
            }
        }
        Ok(())
    }

    fn reign(&mut self, term: u64, leader: &str) -> Result<(), Halt> {
        let Some(leader) = (0..self.told.len()).find(|&number| name(number) == leader) else {
            return Err(Halt::Trouble(format!("{leader} is said to lead, and there is no such node")));
        };
        match self.reigns.insert(term, leader) {
            Some(other) if other != leader => {
                let (first, second) = (name(other), name(leader));
                Err(Halt::Trouble(format!("two leaders in term {term}: {first} and {second}")))
            }
            _ => Ok(()),
        }
    }
}
