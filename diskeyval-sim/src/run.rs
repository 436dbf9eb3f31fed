//! One run: a hostile phase, and a friendly one in which a majority must go on.

pub(crate) mod caught;

use core::fmt;
use core::time::Duration;

use diskeyval_core::{
    Answer, Command, Engine, Error, Explanation, NodeId, Outcome, Read, Refusal, Request, RoleName, explain,
};

use crate::choice::Choices;
use crate::clients::Clients;
use crate::coverage::Coverage;
use crate::history::History;
use crate::invariants::Invariants;
use crate::notes::{Note, What, name};
use crate::observe::{Checker, Time, Violation};
use crate::plan::{Plan, Rest, Setting};
use crate::program::Program;
use crate::world::{DRIFT, Watchers, World, limits};

/// How a run went.
#[derive(Debug)]
pub struct Ran {
    /// What must never happen and did.
    pub violation: Option<Violation>,
    /// What came about.
    pub coverage: Coverage,
    /// The whole run in one number: two runs with the same number were the same, event by event.
    pub digest: u128,
    /// How long it was, in simulated time.
    pub simulated: Duration,
    /// How many requests the standard clients made.
    pub asked: u64,
    /// How many of them were of unknown fate.
    pub unknown: u64,
    /// How many were in flight at the same time, at most.
    pub most_in_flight: usize,
    /// What the standard clients asked and were told, if that was wanted.
    pub history: Option<History>,
}

/// Is told everything that happens.
pub type Tell<'w> = Box<dyn FnMut(Note) + 'w>;

/// What is wanted of a run beside its verdict.
#[derive(Default)]
pub struct Wanted<'w> {
    /// Tell everything that happens.
    pub notes: Option<Tell<'w>>,
    /// Record the history, and judge it by itself.
    pub history: bool,
}

/// The key that the run itself writes and reads in the end.
pub(crate) const OWN_KEY: &str = "last";

/// How long a dial, or a connection that is dead, of the hostile phase may still keep a node waiting: the time
/// within which an engine gives up a link that is silent, and the longest pause before it dials anew.
const RECONNECT: Duration = Duration::from_secs(4);

/// How long founding may take where members are silent.
const FOUNDING: Duration = Duration::from_secs(11);

/// The longest time that a client gives a request.
const LONGEST_BUDGET: Duration = Duration::from_secs(6);

/// How long a program may take, once the core is left alone, before it is [`done`](Program::done).
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Carries out a plan with the standard clients, and looks away from no invariant.
pub fn run(plan: &Plan, wanted: Wanted<'_>) -> Ran {
    run_without(plan, wanted, &[])
}

/// Carries out a plan with the standard clients, and looks away where these rules are broken.
pub fn run_without(plan: &Plan, wanted: Wanted<'_>, off: &[&str]) -> Ran {
    let mut invariants = invariants(plan).without(off);
    // Who may forget what it has promised keeps to no rule. What is left is that nothing panics. Of two clusters the
    // checkers of both see all that clients are told.
    let (checkers, history) = match plan.forgets() {
        true => (Vec::new(), false),
        false => (vec![&mut invariants as &mut dyn Checker], wanted.history && !plan.parts()),
    };
    let mut ran = run_watched(plan, checkers, Wanted { history, ..wanted });
    ran.violation = ran.violation.filter(|violation| !off.contains(&violation.rule));
    ran
}

/// The checkers of the cluster of a plan.
pub(crate) fn invariants(plan: &Plan) -> Invariants {
    let setting = &plan.setting;
    let names: Vec<NodeId> = (0..setting.nodes)
        .map(|node| NodeId::new(&name(setting.namesake(node))).expect("a good name"))
        .collect();
    let invariants = Invariants::new(&names, setting.founders(), limits(setting.log_bytes));
    match setting.lease && plan.has_even_clocks() {
        true => invariants.with_leases(setting.election_timeout * (1000 - DRIFT) / 1000),
        false => invariants,
    }
}

/// Carries out a plan with the standard clients, watched by `checkers`.
pub fn run_watched<'w>(plan: &Plan, checkers: Vec<&'w mut dyn Checker>, wanted: Wanted<'w>) -> Ran {
    let mut clients = Clients::default();
    clients.history = wanted.history.then(Vec::new);
    let noise = Choices::from_seed(plan.setting.noise);
    let mut ran = run_program(plan, noise, &mut clients, Watchers::new(checkers, wanted.notes));
    clients.close();
    ran.asked = clients.asked;
    ran.unknown = clients.unknown;
    ran.most_in_flight = clients.most_in_flight;
    ran.history = clients.history.map(History::from_iter);
    if let (None, Some(history)) = (&ran.violation, &ran.history) {
        let report = crate::check(history);
        let found =
            report.violations().next().map(|found| format!("the history has no explanation: {found}"));
        let undecided = report.undecided.first();
        let undecided = undecided.map(|key| format!("the search for an order was given up on key {key:?}"));
        ran.violation = found.or(undecided).map(|what| Violation { rule: "E1", what });
    }
    ran
}

/// Carries out a plan with a program of one's own on top of the store.
pub(crate) fn run_program(
    plan: &Plan,
    noise: Choices<'_>,
    program: &mut dyn Program,
    mut watchers: Watchers<'_>,
) -> Ran {
    let mut ran = Ran {
        violation: None,
        coverage: Coverage::default(),
        digest: 0,
        simulated: Duration::ZERO,
        asked: 0,
        unknown: 0,
        most_in_flight: 0,
        history: None,
    };
    let caught = caught::catch(|| {
        let mut world = World::new(plan.setting.clone(), plan.deeds.clone(), noise, program, &mut watchers);
        let result = go(&mut world);
        if let Err(violation) = &result {
            let (rule, text) = (violation.rule.to_owned(), violation.what.clone());
            world.note(What::Violation { node: None, rule, text });
        }
        ran.coverage = core::mem::take(&mut world.coverage);
        ran.digest = world.digest();
        ran.simulated = world.now.since(Time(0));
        result.err()
    });
    ran.violation = caught.unwrap_or_else(|panic| {
        let what = panic.clone();
        let violation = What::Violation { node: None, rule: "assert".into(), text: panic };
        watchers.tell(violation);
        ran.simulated = watchers.now.since(Time(0));
        Some(Violation { rule: "assert", what })
    });
    ran
}

fn go(world: &mut World<'_, '_, '_>) -> Result<(), Violation> {
    world.begin();
    let hostile = Time(0) + world.setting.hostile;
    world.run(hostile, |_| false)?;
    if world.setting.doomed || world.setting.ruin {
        return Ok(());
    }
    let unfounded = (0..world.setting.founders()).any(|node| !world.was_member(node));
    let core = world.turn_friendly();
    world.with_program(|program, hands| program.calm(hands));
    let bounds = Bounds::new(&world.setting, unfounded);
    // Connections that broke without a word are found dead first.
    let reconnected = world.now + RECONNECT;
    world.run(reconnected, |_| false)?;
    let (core, before) = match world.setting.reshape {
        None => (core.clone(), highest_term(world, &core)),
        Some(_) => (the_members(world, &bounds)?, highest_term(world, &core)),
    };
    must(world, "V1", bounds.leader, "the core has no leader whom all of it follows", |world| {
        settled(world, &core)
    })?;
    if world.setting.rest == Rest::Fine && world.setting.reshape.is_none() {
        // Whoever has lost its disk is taken in again: a majority has not, and is there.
        must(world, "V4", bounds.leader, "a node is not given its seat", World::all_are_seated)?;
    }
    if world.setting.rest == Rest::Flapping {
        world.let_flap(&core);
    }
    go_on(world, &core, &bounds)?;
    let alone = world.the_alone();
    must(world, "V1", bounds.leader, "a node does not lead itself that goes on alone", |world| {
        alone.iter().all(|node| world.vitals(*node).is_some_and(|vitals| vitals.role == RoleName::Leader))
    })?;
    go_on(world, &alone, &bounds)?;
    must(world, "P1", PATIENCE, "the program is not done", World::program_is_done)?;
    world.let_program_rest();
    must(world, "V3", bounds.converged, "the core does not converge", |world| converged(world, &core))?;
    must(world, "V2", LONGEST_BUDGET, "some request is always unanswered", |world| {
        world.has_answered(&core)
    })?;
    // Who is no member in the end may have been in a later term.
    let grown = highest_term(world, &core).saturating_sub(before);
    if grown > MOST_TERMS {
        let what = format!("the core needed {grown} terms to settle, and {MOST_TERMS} are allowed");
        return Err(Violation { rule: "V5", what });
    }
    no_leader_alone(world, &core)?;
    if world.setting.reshape.is_some() && core.len() < world.setting.nodes {
        undisturbed(world, &core, bounds.election * 10)?;
    }
    one_connection(world, &core)?;
    if world.setting.steady {
        stay_steady(world, &core, &bounds)?;
    }
    world.finish(&core)
}

/// Who is a member when the members have come to rest. All others live, too, and must not disturb them.
fn the_members(world: &mut World<'_, '_, '_>, bounds: &Bounds) -> Result<Vec<usize>, Violation> {
    let are_settled = |world: &World<'_, '_, '_>| {
        world.members_in_the_end().is_some_and(|members| settled(world, &members))
    };
    must(world, "V1", bounds.leader + bounds.members, "the members do not come to rest", are_settled)?;
    Ok(world.members_in_the_end().unwrap_or_default())
}

/// Terms that the core may use up until it has settled.
const MOST_TERMS: u64 = 3;

/// How long things may take once the core is left alone.
struct Bounds {
    /// Two configured election timeouts: the longest that is drawn.
    election: Duration,
    leader: Duration,
    /// The voters change in two steps, and who was left behind in the first may have to be left out again.
    members: Duration,
    request: Duration,
    converged: Duration,
}

impl Bounds {
    fn new(setting: &Setting, unfounded: bool) -> Bounds {
        let election = setting.election_timeout * 2;
        let trip = (setting.delay.1 + setting.disk.1) * 2;
        let founding = if unfounded { FOUNDING } else { Duration::ZERO };
        Bounds {
            election,
            leader: election * 10 + founding,
            members: election * 20,
            request: election * 2 + trip * 4,
            converged: election * 20,
        }
    }
}

/// Goes on until something holds, which must be soon.
fn must<'w, 'k, 'c>(
    world: &mut World<'w, 'k, 'c>,
    rule: &'static str,
    within: Duration,
    otherwise: &str,
    goal: impl FnMut(&World<'w, 'k, 'c>) -> bool,
) -> Result<(), Violation> {
    let until = world.now + within;
    if world.run(until, goal)? {
        return Ok(());
    }
    let stands = (0..world.setting.nodes).map(|node| stand(world, node)).collect::<Vec<_>>().join("; ");
    let comes_to = explained(world);
    Err(Violation {
        rule,
        what: format!("{otherwise} within {within:?}: {stands}. In the nodes' own words: {comes_to}"),
    })
}

/// What the statuses of all who live come to.
fn explained(world: &World<'_, '_, '_>) -> Explanation {
    let living = (0..world.setting.nodes).filter_map(|node| world.engine(node));
    explain(&living.map(Engine::status).collect::<Vec<_>>())
}

/// Where a node stands, in words.
fn stand(world: &World<'_, '_, '_>, node: usize) -> String {
    let Some(engine) = world.engine(node) else { return format!("{} is down", name(node)) };
    let vitals = engine.vitals();
    let leader = engine.leader().map_or("nobody", |id| id.as_str());
    let seat = if engine.is_member() { "" } else { ", not in its seat" };
    let (role, term, last, commit) = (vitals.role, vitals.term, vitals.last, vitals.commit);
    format!("{} is {role} t{term}, follows {leader}, last {last}, commit {commit}{seat}", name(node))
}

fn highest_term(world: &World<'_, '_, '_>, core: &[usize]) -> u64 {
    let together = core.iter().filter(|node| !world.is_alone(**node));
    together.filter_map(|node| world.vitals(*node)).map(|vitals| vitals.term.0).max().unwrap_or(0)
}

/// Whether all of the core follow the same leader, and are in their seats.
fn settled(world: &World<'_, '_, '_>, core: &[usize]) -> bool {
    let Some((leader, term)) = world.leader() else { return false };
    let follows = |node: &usize| {
        let Some(engine) = world.engine(*node) else { return false };
        let same = engine.leader().is_some_and(|id| *id == world.id(leader));
        same && engine.vitals().term == term && engine.is_member()
    };
    core.iter().all(follows)
}

fn converged(world: &World<'_, '_, '_>, core: &[usize]) -> bool {
    let state = |node: &usize| {
        let engine = world.engine(*node)?;
        let vitals = engine.vitals();
        (vitals.applied == vitals.last.index).then(|| (vitals.last, engine.state_hash()))
    };
    let first = state(&core[0]);
    first.is_some() && core.iter().all(|node| state(node) == first)
}

/// Every node of the core takes new writes, several at once, and reads the last one back.
fn go_on(world: &mut World<'_, '_, '_>, core: &[usize], bounds: &Bounds) -> Result<(), Violation> {
    for node in core {
        let write = |nth: usize| {
            let (key, value) = (OWN_KEY.into(), format!("{nth} last words to {}", name(*node)).into());
            Request::Write(Command::Set { key, value })
        };
        let read = Request::Get { key: OWN_KEY.into(), read: Read::Linearizable };
        let writes = [1, 2, 3].map(|nth| world.ask(*node, write(nth), bounds.request * 2));
        let taken = |world: &World<'_, '_, '_>| writes.iter().all(|write| world.own_answer(*write).is_some());
        let otherwise = format!("{} has not taken new writes", name(*node));
        must(world, "V2", bounds.request, &otherwise, taken)?;
        let read = world.ask(*node, read, bounds.request * 2);
        let otherwise = format!("{} has not answered a new read", name(*node));
        must(world, "V2", bounds.request, &otherwise, |world| world.own_answer(read).is_some())?;
        for ticket in writes.into_iter().chain([read]) {
            let served = match world.own_answer(ticket) {
                Some(Answer::Written(Ok(Outcome::Set { .. })) | Answer::Read(Ok(_))) => true,
                Some(Answer::Written(Err(Error::Refused(Refusal::LogFull { .. })))) => {
                    world.coverage.count("answer: the log is full");
                    true
                }
                _ => false,
            };
            if !served {
                let said = world.own_answer(ticket).map(crate::clients::tell);
                let comes_to = explained(world);
                let what = format!(
                    "{} should serve, and said {said:?}. In the nodes' own words: {comes_to}",
                    name(*node)
                );
                return Err(Violation { rule: "V2", what });
            }
        }
    }
    Ok(())
}

/// Of several connections between two nodes one is kept.
fn one_connection(world: &World<'_, '_, '_>, core: &[usize]) -> Result<(), Violation> {
    for one in core {
        for other in core.iter().filter(|other| *other < one) {
            let connections = world.connections(*one, *other);
            if connections > 1 {
                let what =
                    format!("{connections} connections stand between {} and {}", name(*other), name(*one));
                return Err(Violation { rule: "L1", what });
            }
        }
    }
    Ok(())
}

/// Whoever is not heard by a majority does not lead for long.
fn no_leader_alone(world: &mut World<'_, '_, '_>, core: &[usize]) -> Result<(), Violation> {
    if !matches!(world.setting.rest, Rest::CutOff | Rest::Deaf | Rest::Mute) {
        return Ok(());
    }
    let others = (0..world.setting.nodes).filter(|node| !core.contains(node) && !world.is_alone(*node));
    for node in others {
        if world.engine(node).is_some_and(Engine::is_leader) {
            let what = format!("{} still leads, although it has no majority", name(node));
            return Err(Violation { rule: "V6", what });
        }
    }
    Ok(())
}

/// Who was removed, or was never a member, lives all the same, and disturbs no reign.
fn undisturbed(world: &mut World<'_, '_, '_>, core: &[usize], lasting: Duration) -> Result<(), Violation> {
    let (leader, until) = (world.leader(), world.now + lasting);
    let is_over = |world: &World<'_, '_, '_>| world.leader() != leader || !settled(world, core);
    match leader.is_some() && world.run(until, is_over)? {
        false => Ok(()),
        true => {
            let what = "the members had a leader, and others have disturbed its reign".into();
            Err(Violation { rule: "V8", what })
        }
    }
}

/// A majority that is connected keeps its leader, whatever the others do.
fn stay_steady(world: &mut World<'_, '_, '_>, core: &[usize], bounds: &Bounds) -> Result<(), Violation> {
    world.coverage.count("run: steady");
    let leader = world.leader().filter(|(node, _)| core.contains(node));
    if leader.is_none() {
        // A leader that comes and goes may be replaced.
        return Ok(());
    }
    let until = world.now + bounds.election * 50;
    let core = core.to_vec();
    let changed = world.run(until, |world| world.leader() != leader || !settled(world, &core))?;
    if !changed {
        return Ok(());
    }
    let led = leader.map_or(String::new(), |(node, term)| format!("{} led in term {term}", name(node)));
    Err(Violation { rule: "V6", what: format!("{led} undisturbed, and was replaced") })
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.simulated.as_millis();
        write!(
            f,
            "{}.{:03} simulated seconds, {} requests (at most {} in flight, {} of unknown fate), digest {:032x}",
            seconds / 1000,
            seconds % 1000,
            self.asked,
            self.most_in_flight,
            self.unknown,
            self.digest
        )
    }
}
