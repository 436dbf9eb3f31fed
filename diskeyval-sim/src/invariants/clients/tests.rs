//! Every rule about answers and events can fail: hand-made answers of two nodes.

use diskeyval_core::inspect::What;
use diskeyval_core::{ClusterId, Incarnation, Refusal};

use super::*;

struct Script {
    clients: Clients,
    comparisons: Comparisons,
    findings: Findings,
    tickets: u64,
}

fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn set(value: &'static str) -> Command {
    Command::Set { key: bytes("k"), value: bytes(value) }
}

fn found(value: &'static str, revision: u64) -> Answer {
    Answer::Read(Ok(Some(Versioned { value: bytes(value), revision })))
}

fn refused() -> Answer {
    Answer::Written(Err(Error::Refused(Refusal::Stopped)))
}

fn written(revision: u64) -> Answer {
    Answer::Written(Ok(Outcome::Set { revision }))
}

fn change(value: &'static str, revision: u64) -> Event {
    Event::Change(Change { key: bytes("k"), value: Some(bytes(value)), revision })
}

impl Script {
    /// Two nodes; the first has opened the session 2, the second the session 3.
    fn new() -> Script {
        let names: Vec<NodeId> = (0..2).map(|node| NodeId::new(&name(node)).expect("a good name")).collect();
        let mut clients = Clients::new(&names);
        let mut findings = Findings::default();
        let seats = names.iter().map(|name| (name.clone(), Some(Incarnation(1)))).collect();
        clients.committed(&What::Genesis { cluster: ClusterId(1), seats }, &mut findings);
        for node in names {
            clients
                .committed(&What::OpenSession { node, incarnation: Incarnation(1), boot: 1 }, &mut findings);
        }
        Script { clients, comparisons: Comparisons::default(), findings, tickets: 0 }
    }

    fn ask(&mut self, node: usize, request: &Request) -> Ticket {
        self.tickets += 1;
        self.clients.asked(node, Ticket(self.tickets), request);
        Ticket(self.tickets)
    }

    fn write(&mut self, node: usize, command: Command) -> Ticket {
        self.ask(node, &Request::Write(command))
    }

    fn get(&mut self, node: usize, read: Read) -> Ticket {
        self.ask(node, &Request::Get { key: bytes("k"), read })
    }

    /// The next entry of the log is a write of the first node.
    fn commit(&mut self, seq: u64, command: Command) {
        self.clients.committed(&What::Write { session: 2, seq, floor: 1, command }, &mut self.findings);
    }

    fn apply(&mut self, node: usize, applied: u64) {
        self.clients.applied(node, applied);
    }

    fn answer(&mut self, node: usize, ticket: Ticket, answer: &Answer) {
        self.clients.answered(node, ticket, answer, &mut self.comparisons, &mut self.findings);
    }

    fn report(&mut self, node: usize, events: &[Event]) {
        self.clients.reported(node, true, events, &mut self.comparisons, &mut self.findings);
    }

    fn legal(&mut self) {
        assert_eq!(self.findings.take(), Ok(()), "nothing was wrong up to here");
    }

    fn breaks(&mut self, rule: &str) {
        let found = self.findings.take().expect_err("something is wrong");
        assert_eq!(found.rule, rule, "{found}");
    }
}

/// `a` and then `b` are written by the first node as entries 4 and 5, and answered.
fn written_twice() -> Script {
    let mut script = Script::new();
    for (seq, value) in [(1, "a"), (2, "b")] {
        let ticket = script.write(0, set(value));
        script.commit(seq, set(value));
        script.apply(0, 3 + seq);
        script.answer(0, ticket, &written(3 + seq));
    }
    script.legal();
    script
}

#[test]
fn e1_a_read_does_not_miss_what_was_answered_before_it() {
    let mut script = written_twice();
    let (stale, local) = (script.get(1, Read::Linearizable), script.get(1, Read::Local));
    script.apply(1, 4);
    script.answer(1, local, &found("a", 4));
    script.legal();
    script.answer(1, stale, &found("a", 4));
    script.breaks("E1");
}

#[test]
fn e1_a_read_may_find_what_was_there_when_it_was_asked() {
    let mut script = Script::new();
    let write = script.write(0, set("a"));
    let (early, other) = (script.get(1, Read::Linearizable), script.get(1, Read::Linearizable));
    script.commit(1, set("a"));
    script.apply(0, 4);
    script.answer(0, write, &written(4));
    script.apply(1, 3);
    script.answer(1, early, &Answer::Read(Ok(None)));
    script.legal();
    script.apply(1, 4);
    script.answer(1, other, &found("a", 4));
    script.legal();
}

#[test]
fn e1_reads_do_not_go_back_across_nodes() {
    let mut script = Script::new();
    script.write(0, set("a"));
    script.commit(1, set("a"));
    script.apply(0, 4);
    let first = script.get(0, Read::Linearizable);
    script.answer(0, first, &found("a", 4));
    let second = script.get(1, Read::Linearizable);
    script.apply(1, 3);
    script.answer(1, second, &Answer::Read(Ok(None)));
    script.breaks("E1");
}

#[test]
fn e1_a_write_comes_behind_what_was_seen_before_it() {
    let mut script = Script::new();
    script.write(0, set("a"));
    script.commit(1, set("a"));
    script.apply(0, 4);
    let read = script.get(0, Read::Linearizable);
    script.answer(0, read, &found("a", 4));
    let late = script.write(0, set("a"));
    script.answer(0, late, &written(4));
    script.breaks("E1");
}

#[test]
fn e2_a_value_takes_effect_once() {
    let mut script = Script::new();
    script.write(0, set("a"));
    script.commit(1, set("a"));
    script.commit(1, set("a"));
    script.legal();
    script.commit(2, set("a"));
    script.breaks("E2");
    script.commit(3, set("nobody asked for this"));
    script.breaks("E2");
}

#[test]
fn e3_an_answer_is_what_its_entry_came_to() {
    let mut script = written_twice();
    // Somebody else's entry, an entry that decided nothing, and one that is not committed.
    for (node, revision, value) in [(1, 4, "a"), (0, 4, "x"), (0, 2, "y"), (0, 9, "z")] {
        script.clients.seen = 0;
        let ticket = script.write(node, set(value));
        script.answer(node, ticket, &written(revision));
        script.breaks("E3");
    }
}

#[test]
fn e3_nothing_is_answered_before_it_is_applied() {
    let mut script = Script::new();
    let ticket = script.write(0, set("a"));
    script.commit(1, set("a"));
    script.apply(0, 3);
    script.answer(0, ticket, &written(4));
    script.breaks("E3");
}

#[test]
fn e3_one_entry_answers_one_write() {
    let mut script = Script::new();
    let (one, other) = (script.write(0, set("a")), script.write(0, set("a")));
    script.commit(1, set("a"));
    script.apply(0, 4);
    script.answer(0, one, &written(4));
    script.legal();
    script.clients.seen = 0;
    script.answer(0, other, &written(4));
    script.breaks("E3");
}

#[test]
fn e5_what_is_refused_has_no_effect_before_or_later() {
    let mut script = Script::new();
    let ticket = script.write(0, set("a"));
    script.answer(0, ticket, &refused());
    script.legal();
    script.commit(1, set("a"));
    script.breaks("E5");
    let mut script = Script::new();
    let ticket = script.write(0, set("a"));
    script.commit(1, set("a"));
    script.legal();
    script.answer(0, ticket, &refused());
    script.breaks("E5");
}

#[test]
fn e5_a_mismatch_has_no_effect() {
    let mut script = Script::new();
    let swap =
        Command::CompareAndSet { key: bytes("k"), expect: diskeyval_core::Expect::Absent, value: bytes("a") };
    let ticket = script.write(0, swap.clone());
    script.commit(1, swap);
    script.apply(0, 4);
    script.answer(0, ticket, &Answer::Written(Ok(Outcome::Mismatch { revision: 4, actual: 1 })));
    // The answer is not that of its entry, and the effect is there.
    script.breaks("E3");
    let fate = script.clients.values[&bytes("a")];
    script.clients.check_fate(fate, &mut script.findings);
    script.breaks("E5");
}

#[test]
fn e6_every_change_is_reported_in_order_and_once() {
    let start = |applied| {
        let mut script = written_twice();
        script.apply(1, applied);
        script
    };
    let mut script = start(5);
    script.report(1, &[change("a", 4), change("b", 5)]);
    script.legal();
    script.report(1, &[change("b", 5)]);
    script.breaks("E6");
    for (applied, events) in [
        (5, vec![change("a", 4)]),
        (5, vec![change("b", 5), change("a", 4)]),
        (5, vec![change("x", 4), change("b", 5)]),
        (4, vec![change("a", 4), change("b", 5)]),
        (5, vec![change("a", 4), change("b", 5), change("c", 6)]),
    ] {
        let mut script = start(applied);
        script.report(1, &events);
        script.breaks("E6");
    }
    // Who began to listen late is told the later ones.
    let mut script = start(5);
    script.report(1, &[change("b", 5)]);
    script.legal();
}

#[test]
fn e7_a_node_does_not_go_back() {
    let mut script = written_twice();
    script.apply(1, 5);
    let (first, second) = (script.get(1, Read::Local), script.get(1, Read::Local));
    script.answer(1, first, &found("b", 5));
    script.apply(1, 5);
    script.legal();
    script.answer(1, second, &found("a", 4));
    script.breaks("E7");
}

#[test]
fn e7_a_node_sees_what_it_has_answered() {
    let mut script = written_twice();
    script.apply(0, 5);
    let read = script.get(0, Read::Local);
    script.answer(0, read, &found("a", 4));
    script.breaks("E7");
}

#[test]
fn e7_nobody_reads_what_was_never_written() {
    let mut script = written_twice();
    script.apply(1, 5);
    let read = script.get(1, Read::Local);
    script.answer(1, read, &found("x", 5));
    script.breaks("E7");
}

#[test]
fn v2_every_question_gets_one_answer() {
    let mut script = Script::new();
    let (once, never) = (script.get(0, Read::Local), script.get(1, Read::Local));
    script.answer(0, once, &Answer::Read(Ok(None)));
    script.legal();
    script.answer(0, once, &Answer::Read(Ok(None)));
    script.breaks("V2");
    script.clients.finished(&[0, 1, 2], &mut script.findings);
    script.breaks("V2");
    // Whoever dies answers no more.
    script.clients.crashed(1);
    script.clients.finished(&[0, 1, 2], &mut script.findings);
    script.legal();
    script.answer(1, never, &Answer::Read(Ok(None)));
    script.breaks("V2");
}

#[test]
fn v2_what_a_node_has_applied_it_answers() {
    let mut script = Script::new();
    let ticket = script.write(0, set("a"));
    script.commit(1, set("a"));
    // Others may have applied it long before.
    for (node, applied) in [(1, 4), (0, 3)] {
        script.apply(node, applied);
        script.clients.check_waiting(node, &mut script.findings);
    }
    script.legal();
    script.apply(0, 4);
    script.clients.check_waiting(0, &mut script.findings);
    script.breaks("V2");
    script.answer(0, ticket, &written(4));
    script.clients.check_waiting(0, &mut script.findings);
    script.legal();
}

/// A leader that was confirmed knows of everything, and so does its reader, even if nobody else has seen it.
#[test]
fn e8_nothing_that_is_committed_is_hidden() {
    let mut script = Script::new();
    script.write(0, set("a"));
    script.commit(1, set("a"));
    let (read, write) = (script.get(1, Read::Linearizable), script.write(0, set("a")));
    script.apply(1, 3);
    script.answer(1, read, &Answer::Read(Ok(None)));
    script.breaks("E8");
    script.apply(0, 4);
    script.answer(0, write, &written(4));
    script.breaks("E8");
}
