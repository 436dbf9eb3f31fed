//! What came of a run: figures, and the judgement on its history.

use std::collections::BTreeMap;
use std::io::{self, Write};

use diskeyval_sim::history::{Operation, Outcome};
use diskeyval_sim::report::Report as Judgement;
use diskeyval_sim::{History, check};
use serde::Serialize;

use super::clock::millis;
use super::disturb::Disturbance;
use super::kind::{Kind, answered, ended};
use super::node::Adapter;
use super::reshape::Reshaped;

/// What a run was.
pub(super) struct Run {
    pub(super) nodes: usize,
    pub(super) clients: usize,
    /// When the clients began, and when they were told to end.
    pub(super) begin: u64,
    pub(super) end: u64,
    /// Who led, one after the other.
    pub(super) reigns: Vec<usize>,
    /// Who drove each node, if not all the same.
    pub(super) adapters: Option<Vec<Adapter>>,
    pub(super) disturbances: Vec<Disturbance>,
    /// How the members changed, if they were to.
    pub(super) reshaped: Option<Reshaped>,
    /// What went wrong, as far as that is not a matter of the history.
    pub(super) trouble: Option<String>,
}

/// What came of it.
pub(super) struct Report {
    run: Run,
    kinds: Vec<Tally>,
    reads: Latencies,
    writes: Latencies,
    longest_pause: u64,
    judgement: Judgement,
}

/// The operations of one kind.
struct Tally {
    name: &'static str,
    kind: Kind,
    ok: usize,
    failed: usize,
    unknown: usize,
}

/// How long answers took, shortest first.
#[derive(Default)]
struct Latencies(Vec<u64>);

/// The last line, where it is asked for.
#[derive(Serialize)]
struct Figures {
    nodes: usize,
    clients: usize,
    seconds: f64,
    operations: usize,
    failed: usize,
    unknown: usize,
    writes: usize,
    write_p50_ms: f64,
    write_p99_ms: f64,
    reads: usize,
    read_p50_ms: f64,
    read_p99_ms: f64,
    disturbances: usize,
    member_changes: usize,
    grown_and_shrunk: usize,
    leaders_removed: usize,
    elections_in_peace: usize,
    elections: usize,
    leader_changes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    terms_led: Option<BTreeMap<&'static str, usize>>,
    longest_pause_ms: f64,
    events: usize,
    lost: usize,
    duplicated: usize,
    stale: usize,
    other_violations: usize,
    undecided: usize,
    trouble: Option<String>,
}

impl Report {
    /// Judges the history, and counts.
    pub(super) fn new(run: Run, history: &History) -> Report {
        let kinds = [
            ("set", Kind::Set),
            ("get", Kind::Get),
            ("delete", Kind::Delete),
            ("compare and set", Kind::CompareAndSet),
        ];
        let tally = |(name, kind)| Tally { name, kind, ok: 0, failed: 0, unknown: 0 };
        let mut kinds = kinds.map(tally);
        let (mut reads, mut writes) = (Latencies::default(), Latencies::default());
        let mut moments = Vec::new();
        for operation in history.operations().iter().map(|numbered| &numbered.record) {
            let kind = Kind::of(operation);
            if let Some(tally) = kinds.iter_mut().find(|tally| tally.kind == kind) {
                tally.count(operation);
            }
            if let (Some(kind), Some(returned)) = (answered(operation), operation.returned) {
                let took = returned - operation.call;
                if kind == Kind::Get {
                    reads.0.push(took);
                } else {
                    writes.0.push(took);
                    moments.push(returned);
                }
            }
        }
        reads.0.sort_unstable();
        writes.0.sort_unstable();
        let longest_pause = longest_pause(moments, run.begin, run.end);
        Report { run, kinds: kinds.into(), reads, writes, longest_pause, judgement: check(history) }
    }

    fn elections(&self) -> usize {
        self.run.reigns.len()
    }

    fn leader_changes(&self) -> usize {
        self.run.reigns.windows(2).filter(|pair| pair[0] != pair[1]).count()
    }

    /// In how many terms a node of each adapter has led.
    fn led(&self, adapters: &[Adapter]) -> BTreeMap<&'static str, usize> {
        let mut led: BTreeMap<_, _> = adapters.iter().map(|adapter| (adapter.name(), 0)).collect();
        for adapter in self.run.reigns.iter().filter_map(|leader| adapters.get(*leader)) {
            *led.entry(adapter.name()).or_default() += 1;
        }
        led
    }

    fn seconds(&self) -> f64 {
        millis(self.run.end.saturating_sub(self.run.begin)) / 1e3
    }

    /// Prints it for people, and if asked for, in the last line for programs.
    pub(super) fn print(&self, json: bool, out: &mut impl Write) -> io::Result<()> {
        self.print_table(out)?;
        if !self.judgement.is_clean() || !self.judgement.undecided.is_empty() {
            writeln!(out, "\n{}", self.judgement)?;
        }
        if let Some(trouble) = &self.run.trouble {
            writeln!(out, "\nthe run came to a bad end, and its history is cut off there: {trouble}")?;
        }
        if json {
            writeln!(out, "{}", serde_json::to_string(&self.figures())?)?;
        }
        out.flush()
    }

    fn print_table(&self, out: &mut impl Write) -> io::Result<()> {
        let Run { nodes, clients, disturbances, .. } = &self.run;
        let (seconds, total) = (self.seconds(), self.judgement.operations);
        writeln!(out, "{seconds:.1} s, {nodes} nodes, {clients} clients, {total} operations\n")?;
        writeln!(out, "{:18}{:>9}{:>9}{:>9}", "", "ok", "failed", "unknown")?;
        for Tally { name, ok, failed, unknown, .. } in &self.kinds {
            writeln!(out, "{name:18}{ok:>9}{failed:>9}{unknown:>9}")?;
        }
        writeln!(out, "\n{:18}{:>9}{:>9}", "latency", "p50", "p99")?;
        for (name, latencies) in [("writes", &self.writes), ("reads", &self.reads)] {
            let (p50, p99) = (latencies.percentile(50), latencies.percentile(99));
            writeln!(out, "{name:18}{:>6.2} ms{:>6.0} ms", millis(p50), millis(p99))?;
        }
        let of = |what| disturbances.iter().filter(|done| **done == what).count();
        writeln!(
            out,
            "\n{:18}{:>9}   of the leader: killed {}, frozen {}, cut off {}, silenced {}; \
             killed: a follower {}, any {}, all {}",
            "disturbances",
            disturbances.len(),
            of(Disturbance::Killed),
            of(Disturbance::Frozen),
            of(Disturbance::CutOff),
            of(Disturbance::Silenced),
            of(Disturbance::FollowerKilled),
            of(Disturbance::AnyKilled),
            of(Disturbance::AllKilled),
        )?;
        if let Some(reshaped) = self.run.reshaped {
            let Reshaped { cycles, changes, leaders_removed, elections_in_peace } = reshaped;
            writeln!(
                out,
                "{:18}{changes:>9}   {cycles} times grown by two and shrunk, {leaders_removed} leaders removed; \
                 with the removed back from their disks: {elections_in_peace} elections",
                "member changes"
            )?;
        }
        let changes = self.leader_changes();
        writeln!(
            out,
            "{:18}{:>9}   {changes} changes of leader after the first",
            "elections",
            self.elections()
        )?;
        if let Some(adapters) = &self.run.adapters {
            let led = self.led(adapters);
            let each = led.iter().map(|(name, terms)| format!("{terms} on {name}"));
            writeln!(
                out,
                "{:18}{:>9}   {}",
                "terms led",
                self.elections(),
                each.collect::<Vec<_>>().join(", ")
            )?;
        }
        let pause = millis(self.longest_pause);
        writeln!(out, "{:18}{pause:>6.0} ms   without a successful write of any client", "longest pause")?;
        let judged = [
            ("lost", self.judgement.lost.len()),
            ("duplicated", self.judgement.duplicated.len()),
            ("stale", self.judgement.stale.len()),
            ("other violations", self.judgement.others.len()),
        ];
        for (name, count) in judged {
            writeln!(out, "{name:18}{count:>9}")?;
        }
        let (events, streams) = (self.judgement.events, self.judgement.nodes);
        writeln!(out, "\njudged by what the clients were told and {events} events of {streams} nodes")
    }

    fn figures(&self) -> Figures {
        let judgement = &self.judgement;
        let reshaped = self.run.reshaped.unwrap_or_default();
        Figures {
            nodes: self.run.nodes,
            clients: self.run.clients,
            seconds: rounded(self.seconds()),
            operations: judgement.operations,
            failed: judgement.failed,
            unknown: judgement.unknown,
            writes: self.writes.0.len(),
            write_p50_ms: rounded(millis(self.writes.percentile(50))),
            write_p99_ms: rounded(millis(self.writes.percentile(99))),
            reads: self.reads.0.len(),
            read_p50_ms: rounded(millis(self.reads.percentile(50))),
            read_p99_ms: rounded(millis(self.reads.percentile(99))),
            disturbances: self.run.disturbances.len(),
            member_changes: reshaped.changes,
            grown_and_shrunk: reshaped.cycles,
            leaders_removed: reshaped.leaders_removed,
            elections_in_peace: reshaped.elections_in_peace,
            elections: self.elections(),
            leader_changes: self.leader_changes(),
            terms_led: self.run.adapters.as_deref().map(|adapters| self.led(adapters)),
            longest_pause_ms: rounded(millis(self.longest_pause)),
            events: judgement.events,
            lost: judgement.lost.len(),
            duplicated: judgement.duplicated.len(),
            stale: judgement.stale.len(),
            other_violations: judgement.others.len(),
            undecided: judgement.undecided.len(),
            trouble: self.run.trouble.clone(),
        }
    }

    /// Whether all is well; if not, what is not, in a line.
    pub(super) fn verdict(&self) -> Result<(), String> {
        let judgement = &self.judgement;
        if let Some(trouble) = &self.run.trouble {
            return Err(trouble.clone());
        }
        if !judgement.is_clean() {
            return Err(format!("the history is violated in {} ways", judgement.violations().count()));
        }
        if !judgement.undecided.is_empty() {
            let keys = judgement.undecided.len();
            return Err(format!("the history of {keys} keys was too hard to decide"));
        }
        Ok(())
    }
}

impl Tally {
    fn count(&mut self, operation: &Operation) {
        match ended(operation) {
            Outcome::Ok(()) => self.ok += 1,
            Outcome::Refused => self.failed += 1,
            Outcome::Unknown => self.unknown += 1,
        }
    }
}

impl Latencies {
    /// The least that so many of a hundred did not exceed.
    fn percentile(&self, percent: usize) -> u64 {
        let rank = (self.0.len() * percent).div_ceil(100);
        rank.checked_sub(1).and_then(|at| self.0.get(at)).copied().unwrap_or(0)
    }
}

/// Thousandths are enough.
pub(super) fn rounded(figure: f64) -> f64 {
    (figure * 1e3).round() / 1e3
}

/// The longest time from `begin` to `end` in which there was no such moment.
pub(super) fn longest_pause(mut moments: Vec<u64>, begin: u64, end: u64) -> u64 {
    moments.retain(|moment| (begin..=end).contains(moment));
    moments.extend([begin, end]);
    moments.sort_unstable();
    moments.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_least_that_so_many_do_not_exceed() {
        let latencies = Latencies((1..=200).collect());
        assert_eq!((latencies.percentile(50), latencies.percentile(99)), (100, 198));
        assert_eq!(Latencies(vec![7]).percentile(50), 7);
        assert_eq!(Latencies::default().percentile(99), 0);
    }

    #[test]
    fn a_pause_is_counted_to_both_ends() {
        assert_eq!(longest_pause(vec![15, 12, 30], 10, 40), 15);
        assert_eq!(longest_pause(vec![30, 5], 10, 40), 20);
        assert_eq!(longest_pause(vec![12, 99], 10, 40), 28);
        assert_eq!(longest_pause(Vec::new(), 10, 40), 30);
    }
}
