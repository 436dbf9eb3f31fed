//! One run of three nodes that brings about everything a log can go through, and what the disk of the first was told
//! and had promised at each moment of it.

use diskeyval_core::{Answer, DiskOp, Engine, Event, FileName, Incarnation, Record, Request};

use super::ledger::{Agreed, Found, Image};
use super::trio::{NODES, Trio, Witness, entry_of};
use crate::run::caught::catch;

/// Which bits of a byte rot.
pub(super) const ROT: u8 = 4;

/// Something that happens to the directory of the recorded node.
#[derive(Clone, Debug)]
pub(super) enum Move {
    Op(Box<Step>),
    /// A byte of a file rots.
    Rot(FileName, usize),
    /// The machine goes down, and takes what was not synced with it.
    PowerCut,
}

/// An operation, and what may be found if the node dies while it is carried out.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) op: DiskOp,
    /// The image that is durable.
    pub(super) durable: usize,
    /// The last that it has recorded by then.
    pub(super) recorded: usize,
    /// Whether its incarnation was told to anybody.
    pub(super) is_told: bool,
    /// A file that has rotted, and is not healed yet.
    pub(super) rotten: Option<FileName>,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    pub(super) moves: Vec<Move>,
    /// What the node has remembered, in the order in which it wanted it to be kept.
    pub(super) images: Vec<Image>,
    pub(super) agreed: Agreed,
    pub(super) incarnation: Option<Incarnation>,
    /// What came about, each with how often.
    pub came_about: Vec<(&'static str, u64)>,
}

#[derive(Default)]
pub(super) struct Recorder {
    recording: Recording,
    /// What each node remembers now.
    now: [Image; NODES],
    is_open: [bool; NODES],
    /// The image that is durable, and the number of the record that the image `first` stands for.
    durable: usize,
    first: (usize, u64),
    rotten: Option<FileName>,
}

impl Recorder {
    pub(super) fn new() -> Recorder {
        let mut recorder = Recorder::default();
        recorder.recording.images.push(Image::default());
        recorder
    }

    fn count(&mut self, what: &'static str) {
        let came = &mut self.recording.came_about;
        match came.iter_mut().find(|(name, _)| *name == what) {
            Some((_, times)) => *times += 1,
            None => came.push((what, 1)),
        }
    }

    /// What was recorded, and which image is durable.
    pub(super) fn end(self) -> (Recording, usize) {
        (self.recording, self.durable)
    }

    fn died(&mut self, node: usize) {
        self.is_open[node] = false;
    }

    /// The first node has opened: only what it has found counts from now on.
    fn opened(&mut self, found: &Found, number: u64) {
        let Recording { images, agreed, .. } = &mut self.recording;
        let legal = &images[self.durable..];
        found.judge(legal, agreed).expect("nothing is lost in the run that is recorded");
        images.push(found.image(agreed));
        self.durable = images.len() - 1;
        self.first = (self.durable, number);
        self.recording.incarnation.get_or_insert(found.incarnation);
    }
}

impl Witness for Recorder {
    fn op(&mut self, node: usize, op: &DiskOp) {
        if node != 0 {
            return;
        }
        if let (Some(rotten), DiskOp::SetAside { file, .. }) = (self.rotten, op)
            && rotten == *file
        {
            self.count("a rotten file set aside");
        }
        let step = Step {
            op: op.clone(),
            durable: self.durable,
            recorded: self.recording.images.len() - 1,
            is_told: self.recording.incarnation.is_some(),
            rotten: self.rotten,
        };
        self.recording.moves.push(Move::Op(Box::new(step)));
    }

    fn turn(&mut self, node: usize, engine: &Engine) {
        let (records, last) = engine.journal();
        if !self.is_open[node] {
            let Some(found) = Found::of(engine) else { return };
            self.is_open[node] = true;
            self.now[node] = found.image(&self.recording.agreed);
            if node == 0 {
                self.opened(&found, last - records.len() as u64);
            }
        }
        for record in records {
            let now = &mut self.now[node];
            now.take(record, &self.recording.agreed);
            if node != 0 {
                continue;
            }
            if !matches!(record, Record::Incarnation(_)) {
                let now = now.clone();
                self.recording.images.push(now);
            } else {
                self.first.1 += 1;
            }
            match record {
                Record::Truncate { .. } => self.count("the end of the log given up"),
                Record::Base { .. } => self.count("a snapshot of the leader's taken"),
                Record::Ballot { vote: Some(vote), .. } => self.count(match vote.as_str() {
                    "n1" => "a vote for itself",
                    _ => "a vote for another",
                }),
                Record::Ballot { vote: None, .. } => self.count("a term entered"),
                Record::Entry { .. } if entry_of(record).is_some() => self.count("an entry"),
                Record::Entry { .. } | Record::Incarnation(_) => {}
            }
        }
        self.recording.agreed.note(engine, &self.now[node]);
        if node == 0 {
            let more = engine.journal_durable().saturating_sub(self.first.1);
            self.durable = self.durable.max(self.first.0 + usize::try_from(more).expect("few"));
        }
    }
}

impl Trio<Recorder> {
    pub(super) fn die(&mut self, node: usize) {
        self.kill(node);
        self.witness.died(node);
    }

    /// The first node dies while something is on its way to its disk.
    fn die_while_writing(&mut self, steps: u64, power: bool) {
        for key in 0..3 {
            self.set(0, 900 + key, 1500);
        }
        self.run(steps);
        self.die(0);
        self.witness.count("a death");
        if power {
            self.nodes[0].directory.lose_power();
            self.witness.recording.moves.push(Move::PowerCut);
            self.witness.count("a power cut");
        }
        self.run(30);
        self.start(0);
        self.settle();
    }

    fn rot(&mut self, file: FileName, at: usize) {
        assert!(self.nodes[0].directory.flip(file, at, ROT), "{file} has a byte {at}");
        let rotten = self.nodes[0].directory.content(file).unwrap_or_default().to_vec();
        self.witness.recording.moves.push(Move::Rot(file, at));
        self.witness.rotten = Some(file);
        self.witness.count("rot");
        self.until("what has rotted is healed", 60_000, |trio| {
            // Files are moved out of the way, but for the superblock, of which both slots are written anew.
            trio.nodes[0].directory.content(file).is_none_or(|content| {
                let mut slots = content.chunks(4096).zip(rotten.chunks(4096));
                file == FileName::Superblock && slots.all(|(now, then)| now != then)
            })
        });
        self.witness.rotten = None;
        self.run(300);
    }

    fn snapshot(&mut self, node: usize) {
        let ticket = self.ask(node, Request::Snapshot);
        self.until("a snapshot is written", 3_000, |trio| trio.nodes[node].answers.contains_key(&ticket));
    }

    pub(super) fn stop(&mut self, node: usize) {
        let ticket = self.ask(node, Request::Stop);
        self.until("a node stops", 3_000, |trio| {
            matches!(trio.nodes[node].answers.get(&ticket), Some(Answer::Stopped))
        });
        self.die(node);
    }
}

/// Records the run. An error says why it did not come to its end: that is for mutants.
pub fn record() -> Result<Recording, String> {
    catch(run)
}

fn run() -> Recording {
    let mut trio = Trio::new(Recorder::new(), 0);
    // A cluster is founded.
    (0..NODES).for_each(|node| trio.start(node));
    trio.settle();
    // Entries of all sizes, one after the other and in batches, through all nodes; segments fill up.
    trio.have_lead(0);
    for n in 0..50 {
        trio.write(usize::try_from(n % 3).expect("small"), n, 10 + 79 * usize::try_from(n).expect("small"));
    }
    for batch in 0..6 {
        (0..4).for_each(|n| _ = trio.set(0, 100 + 4 * batch + n, 700));
        trio.run(25);
    }
    trio.settle();
    // Deaths while something is written.
    trio.die_while_writing(3, false);
    trio.die_while_writing(4, true);
    // An end of the log that nobody else has is given up.
    trio.have_lead(0);
    trio.cut(0, true);
    for n in 0..5 {
        trio.set(0, 200 + n, 900);
        trio.run(15);
    }
    trio.until("another leads", 5_000, |trio| trio.leads(1) || trio.leads(2));
    let other = if trio.leads(1) { 1 } else { 2 };
    trio.run(50);
    (0..3).for_each(|n| trio.write(other, 210 + n, 300));
    trio.cut(0, false);
    trio.settle();
    trio.die_while_writing(5, false);
    // It votes for others, and for itself.
    for leader in [1, 2, 0] {
        trio.have_lead(leader);
        trio.write(leader, 220, 40);
    }
    // Enough for snapshots of its own.
    for n in 0..90 {
        trio.write(0, 300 + n, 3_000 + 7 * usize::try_from(n).expect("small"));
    }
    trio.snapshot(0);
    trio.witness.count("a snapshot of its own");
    for n in 0..60 {
        trio.write(1, 500 + n, 3_600 - 11 * usize::try_from(n).expect("small"));
    }
    trio.settle();
    // The others go on without it, until it needs their state.
    trio.die(0);
    trio.until("another leads", 5_000, |trio| trio.leads(1) || trio.leads(2));
    let other = if trio.leads(1) { 1 } else { 2 };
    trio.run(100);
    for n in 0..110 {
        trio.write(other, 400 + n, 1100);
    }
    (1..NODES).for_each(|node| trio.snapshot(node));
    trio.start(0);
    trio.settle();
    for n in 0..90 {
        trio.write(other, 600 + n, 3_100 + 6 * usize::try_from(n).expect("small"));
    }
    trio.die_while_writing(2, true);
    // Nothing happens for long.
    trio.run(1_000);
    trio.witness.count("idle for a while");
    // An orderly end.
    trio.stop(0);
    trio.witness.count("an orderly end");
    trio.start(0);
    trio.settle();
    for n in 0..10 {
        trio.write(0, 700 + n, 3_500);
    }
    trio.run(1_000);
    // What rots is healed.
    let files: Vec<FileName> = trio.nodes[0].directory.files().map(|(file, _)| file).collect();
    let segment = files.iter().copied().find(|file| trio.holds_flush(*file)).expect("a segment is there");
    trio.rot(segment, 30);
    let files: Vec<FileName> = trio.nodes[0].directory.files().map(|(file, _)| file).collect();
    let snapshot = files.into_iter().find(|file| matches!(file, FileName::Snapshot(_)));
    trio.rot(snapshot.expect("a snapshot is there"), 100);
    trio.rot(FileName::Superblock, 100);
    let rotten = trio.nodes[0].events.iter().filter(|event| matches!(event, Event::Rotten(_))).count();
    assert_eq!(rotten, 2, "each is told");
    for n in 0..40 {
        trio.write(0, 800 + n, 3_400);
    }
    trio.die_while_writing(3, true);
    trio.settle();
    trio.witness.end().0
}

impl Trio<Recorder> {
    fn holds_flush(&self, file: FileName) -> bool {
        let content = self.nodes[0].directory.content(file);
        matches!(file, FileName::Segment(_)) && content.is_some_and(|bytes| bytes.starts_with(b"dkvflush"))
    }
}
