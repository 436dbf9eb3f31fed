//! Draws a plan: first a setting, with its own mixture of faults, then what is done and when.
//!
//! Each run gets few kinds of faults, at rates and strengths of its own: mixtures that are all alike find all
//! the same.

use core::time::Duration;

use crate::choice::Choices;
use crate::faults::Fault;
use crate::plan::{Ask, Deed, Disturbance, Plan, Request, Reshape, Rest, Setting, Target, Targets, What};

/// What is not left to chance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// How many nodes; 1 to 7.
    pub nodes: Option<usize>,
    /// How long the run is hostile.
    pub hostile: Option<Duration>,
    /// The faults that there may be; `None` for some of all of them. A list that is given is taken whole.
    pub faults: Option<Vec<Fault>>,
}

/// Draws a plan. `wishes` must be possible: 1 to 7 nodes.
pub fn draw(choices: &mut Choices<'_>, wishes: &Wishes) -> Plan {
    let setting = draw_setting(choices, wishes);
    let mut deeds = Vec::new();
    draw_asks(choices, &setting, &mut deeds);
    draw_disturbances(choices, wishes, &setting, &mut deeds);
    deeds.retain(|deed| deed.at < setting.hostile);
    deeds.sort_by_key(|deed| deed.at);
    Plan { setting, deeds }
}

fn draw_setting(choices: &mut Choices<'_>, wishes: &Wishes) -> Setting {
    let noise = choices.below(1 << 32);
    let nodes = wishes.nodes.unwrap_or_else(|| *choices.pick(&[3, 3, 3, 5, 5, 5, 5, 4, 4, 2, 1, 6, 7]));
    let plain = Setting::plain(nodes);
    let hostile = wishes.hostile.unwrap_or_else(|| Duration::from_secs(choices.between(5, 40)));
    let quorum = nodes / 2 + 1;
    let size = if choices.chance(1, 2) { quorum } else { quorum + choices.place(nodes - quorum + 1) };
    let mut core: Vec<usize> = (0..nodes).collect();
    while core.len() > size {
        let gone = choices.place(core.len());
        core.remove(gone);
    }
    let rest = *choices.pick(Rest::ALL);
    let steady = choices.chance(1, 5);
    let election_timeout = Duration::from_millis(*choices.pick(&[300, 300, 300, 300, 150, 1000]));
    let heartbeat = election_timeout / *choices.pick(&[6, 6, 6, 10, 3]);
    // Without faults, the longest way there and back is well below an election timeout.
    let longest = *choices.pick(&[500, 2_000, 5_000, 20_000]);
    let delay = (Duration::from_micros(choices.between(20, longest / 2)), Duration::from_micros(longest));
    let torn = *choices.pick(&[0, 0, 5, 100]);
    let slowest = *choices.pick(&[1, 100, 1_000, 10_000]);
    let disk = (Duration::from_micros(slowest / 10), Duration::from_micros(slowest));
    let buffer = *choices.pick(&[1 << 20, 1 << 20, 64 << 10]);
    let log_bytes = *choices.pick(&[1 << 30, 1 << 30, 1 << 30, 1 << 30, 1 << 30, 1 << 30, 1 << 30, 200_000]);
    let wipes = wishes.faults.as_ref().is_none_or(|faults| faults.contains(&Fault::Wipe));
    let doomed = wipes && nodes > 2 && choices.chance(1, 20);
    let ruins = wishes.faults.as_ref().is_none_or(|faults| faults.iter().any(|fault| DAMAGE.contains(fault)));
    let ruin = ruins && !doomed && choices.chance(1, 20);
    let clocks =
        wishes.faults.as_ref().is_some_and(|faults| faults.iter().any(|fault| CLOCKS.contains(fault)));
    let lease = !clocks && choices.chance(1, 6);
    let memory = nodes > 2 && !doomed && !ruin && choices.chance(1, 8);
    let reshapes = wishes.faults.as_ref().is_none_or(|faults| faults.contains(&Fault::Reshape));
    let may_reshape = reshapes && nodes > 1 && !doomed && !ruin;
    let reshape = (may_reshape && choices.chance(1, 4)).then(|| draw_reshape(choices, nodes, memory));
    // Flushes have 4 KiB at least, so that the smallest is soon reached.
    let compact_every = *choices.pick(&[64 << 10, 64 << 10, 64 << 10, 128 << 10, 256 << 10, 1 << 20]);
    // A cluster is founded by a majority, and the others are given their seats later.
    let mut late = Vec::new();
    if nodes > 2 && !doomed && choices.chance(1, 4) {
        for node in 0..choices.between(1, (nodes as u64 - 1) / 2) {
            let node = (usize::try_from(node).expect("small") + choices.place(nodes)) % nodes;
            late.push((node, Duration::from_millis(choices.between(500, 8_000))));
        }
        late.sort_unstable();
        late.dedup_by_key(|(node, _)| *node);
    }
    Setting {
        noise,
        hostile,
        core,
        rest,
        steady,
        election_timeout,
        heartbeat,
        delay,
        torn,
        disk,
        buffer,
        log_bytes,
        compact_every,
        late,
        doomed,
        ruin,
        memory,
        lease,
        reshape,
        ..plain
    }
}

/// Where nodes may forget, three voters are the fewest that can do without one.
fn draw_reshape(choices: &mut Choices<'_>, nodes: usize, memory: bool) -> Reshape {
    let twin = nodes > 3 && choices.chance(1, 3);
    let all = nodes - usize::from(twin);
    let most = if memory { all - 3 } else { all - 1 - usize::from(twin) };
    let spare = choices.place(most + 1);
    let can_spare = all - spare >= 3;
    let least = if memory || can_spare && choices.chance(2, 3) { 3 } else { 1 };
    Reshape { spare, least, twin }
}

/// Requests come in bursts, some twenty a second.
fn draw_asks(choices: &mut Choices<'_>, setting: &Setting, deeds: &mut Vec<Deed>) {
    let keys = *choices.pick(&[1, 2, 4, 8]);
    let clients = choices.between(2, 8);
    let largest = *choices.pick(&[0, 0, 3_000, 30_000]);
    // Now and then everybody asks the same node.
    let crowd = *choices.pick(&[0, 0, 30, 80]);
    let reads_of_ten = choices.between(1, 7);
    let mut at = Duration::ZERO;
    while at < setting.hostile {
        let crowded = crowd > 0 && choices.chance(1, 10);
        let burst = if crowded { choices.between(10, crowd) } else { choices.between(1, 8) };
        let same = choices.place(setting.nodes);
        for _ in 0..burst {
            let request = if choices.below(10) < reads_of_ten {
                let fresh = if setting.lease { Request::GetLease } else { Request::Get };
                *choices.pick(&[Request::Get, fresh, fresh, Request::GetLocal])
            } else {
                draw_write(choices, largest)
            };
            let ask = Ask {
                client: choices.below(clients) + 1,
                node: if crowded { same } else { choices.place(setting.nodes) },
                key: choices.below(keys),
                request,
                budget: Duration::from_millis(*choices.pick(&[2_000, 2_000, 500, 5_000])),
            };
            let later = Duration::from_micros(choices.below(3_000));
            deeds.push(Deed { at: at + later, what: What::Ask(ask) });
        }
        at += Duration::from_millis(choices.between(5, 100 * burst));
    }
}

fn draw_write(choices: &mut Choices<'_>, largest: usize) -> Request {
    match choices.below(10) {
        0..=3 => Request::Set,
        4 => Request::Delete,
        5 => Request::Create,
        6 => Request::Swap,
        7..=9 if largest > 0 && choices.chance(1, 2) => Request::SetLarge(choices.place(largest)),
        7 | 8 => Request::SwapRevision,
        _ => Request::Set,
    }
}

fn draw_disturbances(choices: &mut Choices<'_>, wishes: &Wishes, setting: &Setting, deeds: &mut Vec<Deed>) {
    if setting.doomed {
        return draw_doom(choices, setting, deeds);
    }
    let armed: Vec<Fault> = match &wishes.faults {
        Some(faults) => {
            let may_be = |fault: &Fault| match fault {
                Fault::PutBack => setting.ruin,
                Fault::Reshape => setting.reshape.is_some(),
                _ => true,
            };
            faults.iter().copied().filter(may_be).collect()
        }
        None => draw_armed(choices, setting),
    };
    if armed.is_empty() {
        return;
    }
    let pause = *choices.pick(&[200, 600, 2_000]);
    let longest = *choices.pick(&[100, 500, 2_000, 6_000]);
    // Every other cluster is left alone while it is founded.
    draw_founding(choices, wishes, setting, deeds);
    if setting.reshape.is_some() {
        draw_reshapes(choices, wishes, setting, deeds);
    }
    if setting.nodes > 2 && choices.chance(1, 6) {
        draw_recovery(choices, wishes, setting, deeds);
    }
    if setting.nodes > 2 && choices.chance(1, 6) {
        draw_reigns(choices, wishes, setting, deeds);
    }
    if setting.nodes > 2 && setting.compact_every <= 128 << 10 && choices.chance(1, 6) {
        draw_absences(choices, wishes, setting, deeds);
    }
    let begin = if choices.chance(1, 2) { Duration::from_secs(2) } else { Duration::ZERO };
    let mut at = begin;
    loop {
        at += Duration::from_micros(choices.between(10_000, 2_000 * pause));
        if at >= setting.hostile {
            return;
        }
        let mut disturbance = draw_disturbance(choices, &armed, setting, longest);
        deeds.push(Deed { at, what: What::Disturb(disturbance.clone()) });
        // What goes wrong alone is survived most easily: something else befalls the same node.
        while choices.chance(1, 3) {
            let more = draw_disturbance(choices, &armed, setting, longest);
            disturbance = Disturbance { nodes: disturbance.nodes, ..more };
            deeds.push(Deed { at, what: What::Disturb(disturbance.clone()) });
        }
    }
}

/// What a disk does not tell. A cluster that finds damage everywhere finds nothing else: so there is some in few runs.
const DAMAGE: &[Fault] = &[
    Fault::BitFlip,
    Fault::ZeroedSector,
    Fault::MisdirectedWrite,
    Fault::LostFile,
    Fault::SwappedFile,
    Fault::PutBack,
];

/// What leases cannot bear.
const CLOCKS: &[Fault] = &[Fault::ClockRate, Fault::ClockStep, Fault::ClockStop];

/// What a disk tells.
const FAILURES: &[Fault] = &[Fault::FullDisk, Fault::FailedSync, Fault::FailedWrite, Fault::FailedRead];

fn draw_armed(choices: &mut Choices<'_>, setting: &Setting) -> Vec<Fault> {
    let (fails, is_damaged) = (choices.chance(1, 3), setting.ruin || choices.chance(1, 3));
    let may_be = |fault: &Fault| match fault {
        Fault::PutBack => setting.ruin,
        fault if CLOCKS.contains(fault) => !setting.lease,
        // Whose superblock is that of another ends, and waits for somebody who knows better.
        Fault::FailedRead | Fault::SwappedFile if setting.reshape.is_some() => false,
        Fault::Reshape | Fault::Recover => false,
        Fault::Wipe => setting.reshape.is_none_or(|reshape| reshape.least > 2),
        fault if DAMAGE.contains(fault) => {
            is_damaged && setting.reshape.is_none_or(|reshape| reshape.least > 2)
        }
        fault => fails || !FAILURES.contains(fault),
    };
    Fault::ALL.iter().copied().filter(may_be).filter(|_| choices.chance(1, 3)).collect()
}

fn draw_disturbance(
    choices: &mut Choices<'_>,
    armed: &[Fault],
    setting: &Setting,
    longest: u64,
) -> Disturbance {
    Disturbance {
        fault: *choices.pick(armed),
        nodes: Targets {
            one: draw_target(choices, setting),
            other: draw_target(choices, setting),
            group: choices.below(1 << setting.nodes),
        },
        lasting: Duration::from_micros(choices.between(1_000, 1_000 * longest)),
        strength: choices.below(1 << 16),
    }
}

/// Founding, and giving a seat to who comes late, are over in a moment: what befalls them is not left to chance.
fn draw_founding(choices: &mut Choices<'_>, wishes: &Wishes, setting: &Setting, deeds: &mut Vec<Deed>) {
    let hostile = setting.hostile;
    let mut act = |at: Duration, fault: Fault, one: Target, other: Target, lasting: Duration| {
        let nodes = Targets { one, other, group: 1 };
        if at < hostile && wishes.faults.as_ref().is_none_or(|faults| faults.contains(&fault)) {
            let disturbance = Disturbance { fault, nodes, lasting, strength: 0 };
            deeds.push(Deed { at, what: What::Disturb(disturbance) });
        }
    };
    for (node, at) in &setting.late {
        for _ in 0..4 {
            // By then a leader has met it, perhaps, and has given it a seat in its own log alone.
            let longest = u64::try_from(setting.delay.1.as_micros()).unwrap_or(u64::MAX);
            let soon = *at + Duration::from_micros(choices.below(12 * longest));
            let lasting = Duration::from_millis(choices.between(100, 1_500));
            let fault =
                *choices.pick(&[Fault::Isolate, Fault::Crash, Fault::Partition, Fault::Freeze, Fault::Wipe]);
            let target = if fault == Fault::Wipe { Target::Node(*node) } else { Target::Leader };
            act(soon, fault, target, target, lasting);
        }
    }
    if choices.chance(1, 8) {
        for _ in 0..30 {
            let at = Duration::from_millis(choices.below(1_500));
            let [one, other] = [(); 2].map(|()| Target::Node(choices.place(setting.nodes)));
            act(at, Fault::CutLink, one, other, Duration::ZERO);
        }
    }
}

/// One leader after the other is cut off with entries that nobody else has, and with a clock that tells it nothing of
/// how long that takes, while everybody goes on asking. Logs diverge, and who led may answer what is no longer so.
fn draw_reigns(choices: &mut Choices<'_>, wishes: &Wishes, setting: &Setting, deeds: &mut Vec<Deed>) {
    let allowed = |fault| wishes.faults.as_ref().is_none_or(|faults| faults.contains(&fault));
    let large = choices.chance(1, 2);
    let mut at = Duration::from_millis(choices.between(1_500, 4_000));
    for _ in 0..choices.between(2, 5) {
        let lasting = Duration::from_millis(choices.between(600, 2_500));
        let clock = *choices.pick(&[Fault::ClockStop, Fault::ClockRate, Fault::SlowDisk]);
        let strength = if clock == Fault::ClockRate { 0 } else { choices.below(400) };
        for (fault, strength) in [(clock, strength), (Fault::Isolate, 0)] {
            if allowed(fault) && !(setting.lease && CLOCKS.contains(&fault)) {
                let nodes = Targets { one: Target::Leader, other: Target::Leader, group: 0 };
                let what = What::Disturb(Disturbance { fault, nodes, lasting, strength });
                deeds.push(Deed { at: at + Duration::from_micros(choices.below(5_000)), what });
            }
        }
        let mut then = at;
        while then < at + lasting {
            for node in 0..setting.nodes {
                let request = match choices.below(4) {
                    0 | 1 if setting.lease => Request::GetLease,
                    0 | 1 => Request::Get,
                    2 if large => Request::SetLarge(choices.place(8_000)),
                    _ => Request::Set,
                };
                let budget = Duration::from_millis(*choices.pick(&[2_000, 500]));
                let ask = Ask { client: node as u64 + 1, node, key: choices.below(2), request, budget };
                deeds.push(Deed { at: then, what: What::Ask(ask) });
            }
            then += Duration::from_millis(choices.between(20, 200));
        }
        at += lasting / 2 + Duration::from_millis(choices.between(100, 1_500));
    }
}

/// A node hears nobody for so long that it has no leader, and is told to go on alone. Before that is durable, or just
/// after, it dies, perhaps; and later everybody meets again.
fn draw_recovery(choices: &mut Choices<'_>, wishes: &Wishes, setting: &Setting, deeds: &mut Vec<Deed>) {
    let allowed = |fault| wishes.faults.as_ref().is_none_or(|faults| faults.contains(&fault));
    let trip = u64::try_from((setting.delay.1 + setting.disk.1).as_micros()).unwrap_or(u64::MAX);
    let hostile = u64::try_from(setting.hostile.as_millis()).unwrap_or(u64::MAX);
    let mut at = Duration::from_millis(choices.between(1_500, hostile.max(2_000)));
    let one = draw_target(choices, setting);
    let one = if choices.chance(1, 3) { one } else { Target::Node(choices.place(setting.nodes)) };
    let mut act = |at: Duration, fault: Fault, lasting: Duration, strength: u64| {
        if allowed(fault) {
            let nodes = Targets { one, other: one, group: 1 };
            deeds.push(Deed { at, what: What::Disturb(Disturbance { fault, nodes, lasting, strength }) });
        }
    };
    act(at, Fault::Isolate, setting.election_timeout * 6, 0);
    let strength = choices.below(2);
    // Too early it is refused, and done again.
    for _ in 0..3 {
        at += setting.election_timeout + Duration::from_millis(choices.between(0, 400));
        act(at, Fault::Recover, Duration::from_millis(choices.between(50, 1_000)), strength);
        if choices.chance(1, 3) {
            let soon = at + Duration::from_micros(choices.below(12 * trip + 1));
            let fault = *choices.pick(&[Fault::Crash, Fault::Stop, Fault::FailedWrite, Fault::StalledDisk]);
            act(soon, fault, Duration::from_millis(choices.between(50, 1_000)), 0);
        }
    }
}

/// One node after the other is away for so long that the others release what it lacks. It comes back with entries and
/// requests that are overtaken, and needs the state; and while that is on its way, the leader fails, or a link does.
fn draw_absences(choices: &mut Choices<'_>, wishes: &Wishes, setting: &Setting, deeds: &mut Vec<Deed>) {
    let allowed = |fault| wishes.faults.as_ref().is_none_or(|faults| faults.contains(&fault));
    let trip = u64::try_from(setting.delay.1.as_micros()).unwrap_or(u64::MAX);
    let act =
        |deeds: &mut Vec<Deed>, at: Duration, fault: Fault, nodes: Targets, lasting: Duration, strength| {
            if allowed(fault) {
                let what = What::Disturb(Disturbance { fault, nodes, lasting, strength });
                deeds.push(Deed { at, what });
            }
        };
    let mut at = Duration::from_millis(choices.between(1_500, 4_000));
    for _ in 0..choices.between(2, 5) {
        let lasting = Duration::from_millis(choices.between(600, 2_500));
        let away =
            if choices.chance(1, 2) { Target::Leader } else { Target::Node(choices.place(setting.nodes)) };
        let nodes = Targets { one: away, other: Target::Leader, group: 0 };
        act(deeds, at, Fault::Isolate, nodes, lasting, 0);
        // What it is sent may take long to be durable, so that it is overtaken there.
        if choices.chance(1, 2) {
            let slow = lasting + Duration::from_millis(choices.between(50, 1_500));
            act(deeds, at, Fault::SlowDisk, nodes, slow, choices.below(1 << 16));
        }
        // Just before it leaves, and after.
        for _ in 0..choices.below(80) {
            let early = Duration::from_micros(choices.below(4 * trip + 1));
            let late = Duration::from_micros(choices.below(8 * trip + 1));
            let node = choices.place(setting.nodes);
            ask(choices, deeds, at + late - early.min(at), node, Request::Set);
        }
        // Meanwhile the others go on.
        for _ in 0..choices.between(6, 30) {
            let then = at
                + Duration::from_micros(
                    choices.below(u64::try_from(lasting.as_micros()).unwrap_or(u64::MAX)),
                );
            let node = choices.place(setting.nodes);
            let request = Request::SetLarge(choices.place(30_000));
            ask(choices, deeds, then, node, request);
        }
        at += lasting;
        for _ in 0..choices.below(4) {
            let within = *choices.pick(&[30 * trip, 30 * trip, 1_500_000]);
            let soon = at + Duration::from_micros(choices.below(within + 1));
            let lasting = Duration::from_millis(choices.between(50, 1_500));
            let fault =
                *choices.pick(&[Fault::Crash, Fault::Isolate, Fault::Freeze, Fault::Stop, Fault::CutLink]);
            let one = if fault == Fault::CutLink { away } else { Target::Leader };
            act(deeds, soon, fault, Targets { one, other: Target::Leader, group: 0 }, lasting, 0);
        }
        at += Duration::from_millis(choices.between(100, 2_500));
    }
}

/// The members are changed again and again, and whoever leads, or comes, or goes, fails in the midst of it.
fn draw_reshapes(choices: &mut Choices<'_>, wishes: &Wishes, setting: &Setting, deeds: &mut Vec<Deed>) {
    let allowed = |fault| wishes.faults.as_ref().is_none_or(|faults| faults.contains(&fault));
    let trip = u64::try_from((setting.delay.1 + setting.disk.1).as_micros()).unwrap_or(u64::MAX);
    let pause = *choices.pick(&[300, 1_000, 3_000]);
    let trouble = choices.below(4);
    let mut at = Duration::from_millis(choices.between(1_000, 4_000));
    while at < setting.hostile {
        let nodes = Targets {
            one: draw_target(choices, setting),
            other: Target::Node(choices.place(setting.nodes)),
            group: choices.below(1 << setting.nodes),
        };
        let lasting = Duration::from_millis(choices.between(750, 3_000));
        let reshape = Disturbance { fault: Fault::Reshape, nodes, lasting, strength: choices.below(1 << 8) };
        deeds.push(Deed { at, what: What::Disturb(reshape.clone()) });
        // Another wants something else meanwhile.
        if choices.chance(1, 6) {
            let nodes = Targets { one: Target::Node(choices.place(setting.nodes)), ..nodes };
            let soon = at + Duration::from_micros(choices.below(20 * trip + 1));
            let strength = choices.below(1 << 8);
            deeds.push(Deed { at: soon, what: What::Disturb(Disturbance { nodes, strength, ..reshape }) });
        }
        for _ in 0..choices.below(trouble + 1) {
            let fault = *choices.pick(&[
                Fault::Crash,
                Fault::Isolate,
                Fault::Partition,
                Fault::Freeze,
                Fault::CutLink,
                Fault::OneWay,
                Fault::Stop,
            ]);
            let soon = at + Duration::from_micros(choices.below(24 * trip + 1));
            let one = if choices.chance(2, 3) { Target::Leader } else { nodes.other };
            let group = choices.below(1 << setting.nodes);
            let lasting = Duration::from_millis(choices.between(50, 2_500));
            if allowed(fault) {
                let nodes = Targets { one, other: Target::Leader, group };
                deeds.push(Deed {
                    at: soon,
                    what: What::Disturb(Disturbance { fault, nodes, lasting, strength: 0 }),
                });
            }
        }
        at += Duration::from_millis(choices.between(50, pause));
    }
}

fn ask(choices: &mut Choices<'_>, deeds: &mut Vec<Deed>, at: Duration, node: usize, request: Request) {
    let budget = Duration::from_secs(5);
    let ask = Ask { client: node as u64 + 1, node, key: choices.below(8), request, budget };
    deeds.push(Deed { at, what: What::Ask(ask) });
}

/// A majority loses its disks; later those who have not lost theirs are away for a while, too. Whoever has been
/// heard of must not be forgotten, and nobody is beyond reach for as long as founding anew would need.
fn draw_doom(choices: &mut Choices<'_>, setting: &Setting, deeds: &mut Vec<Deed>) {
    let mut act = |at: u64, fault: Fault, node: usize, lasting: u64| {
        let one = Target::Node(node);
        let nodes = Targets { one, other: one, group: 0 };
        let lasting = Duration::from_millis(lasting);
        let disturbance = Disturbance { fault, nodes, lasting, strength: 0 };
        deeds.push(Deed { at: Duration::from_millis(at), what: What::Disturb(disturbance) });
    };
    let first = choices.place(setting.nodes);
    // Or they are away at the same moment, for less than founding anew would wait for them.
    let at_once = choices.chance(1, 2);
    let wiped = setting.nodes / 2 + 1;
    let at = choices.between(2_000, 4_000);
    for place in 0..setting.nodes {
        let node = (first + place) % setting.nodes;
        if place < wiped {
            act(at, Fault::Wipe, node, choices.between(10, if at_once { 50 } else { 500 }));
        } else if at_once {
            act(at, Fault::Crash, node, choices.between(400, 700));
        } else {
            act(at + 3_000, Fault::Crash, node, choices.between(1_500, 6_000));
        }
    }
}

/// Leaders, and those who stand for election, are where things break.
fn draw_target(choices: &mut Choices<'_>, setting: &Setting) -> Target {
    match choices.below(5) {
        0..=2 => Target::Node(choices.place(setting.nodes)),
        3 => Target::Leader,
        _ => Target::Candidate,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_plan_is_possible_and_in_order() {
        for seed in 0..300 {
            let plan = draw(&mut Choices::from_seed(seed), &Wishes::default());
            assert_eq!(plan.setting.check(), Ok(()), "seed {seed}");
            assert!(plan.deeds.is_sorted_by_key(|deed| deed.at));
            assert!(plan.deeds.iter().all(|deed| deed.at < plan.setting.hostile));
        }
    }

    #[test]
    fn wishes_are_granted() {
        let wishes = Wishes {
            nodes: Some(3),
            hostile: Some(Duration::from_secs(7)),
            faults: Some(vec![Fault::Crash]),
        };
        for seed in 0..50 {
            let plan = draw(&mut Choices::from_seed(seed), &wishes);
            assert_eq!((plan.setting.nodes, plan.setting.hostile), (3, Duration::from_secs(7)));
            let other = |deed: &&Deed| matches!(&deed.what, What::Disturb(d) if d.fault != Fault::Crash);
            assert_eq!(plan.deeds.iter().find(other), None);
        }
    }

    #[test]
    fn any_bytes_draw_a_plan() {
        for length in 0..200usize {
            let bytes: Vec<u8> = (0..length).map(|at| u8::try_from(at * 37 % 251).expect("small")).collect();
            let plan = draw(
                &mut Choices::from_bytes(&bytes),
                &Wishes { hostile: Some(Duration::from_secs(1)), ..Wishes::default() },
            );
            assert_eq!(plan.setting.check(), Ok(()));
        }
    }
}
