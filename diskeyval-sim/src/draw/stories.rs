//! Stories: what befalls nodes at certain moments, in an order in which chance alone would hardly ever bring it about.

use core::time::Duration;

use super::{CLOCKS, Wishes, draw_target};
use crate::choice::Choices;
use crate::faults::Fault;
use crate::plan::{Ask, Deed, Disturbance, Request, Setting, Target, Targets, What};

/// Some of them, as the setting allows. Tells whether nothing else is to befall anybody.
pub(super) fn draw(
    choices: &mut Choices<'_>,
    wishes: &Wishes,
    setting: &Setting,
    deeds: &mut Vec<Deed>,
) -> bool {
    if setting.nodes > 3 && setting.reshape.is_some() && choices.chance(1, 3) {
        draw_half_changes(choices, wishes, setting, deeds);
        return choices.chance(2, 3);
    }
    // Every other cluster is left alone while it is founded.
    draw_founding(choices, wishes, setting, deeds);
    if setting.reshape.is_some() {
        draw_reshapes(choices, wishes, setting, deeds);
    }
    if setting.nodes > 2 && setting.lease && choices.chance(1, 3) {
        draw_late_answers(choices, wishes, setting, deeds);
    }
    if setting.nodes > 2 && setting.lease && choices.chance(1, 2) {
        draw_early_votes(choices, wishes, setting, deeds);
    }
    if setting.nodes > 2 && !wishes.whole && choices.chance(1, 6) {
        draw_recovery(choices, wishes, setting, deeds);
    }
    if setting.nodes > 2 && choices.chance(1, 6) {
        draw_reigns(choices, wishes, setting, deeds);
    }
    if setting.nodes > 2 && setting.compact_every <= 128 << 10 && choices.chance(1, 6) {
        draw_absences(choices, wishes, setting, deeds);
    }
    false
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

/// What is said to a leader arrives late, as what it says itself does not. Then nobody hears it any more, or it is told to
/// hand over, and it learns late that another leads; while everybody goes on asking, and reads by leases.
fn draw_late_answers(choices: &mut Choices<'_>, wishes: &Wishes, setting: &Setting, deeds: &mut Vec<Deed>) {
    let allowed = |fault| wishes.faults.as_ref().is_none_or(|faults| faults.contains(&fault));
    let timeout = u64::try_from(setting.election_timeout.as_millis()).unwrap_or(u64::MAX);
    let mut at = Duration::from_millis(choices.between(1_500, 4_000));
    for _ in 0..choices.between(2, 5) {
        // Later than that, and it would not lead.
        let late = choices.between(timeout / 3, timeout * 9 / 10).min(399);
        let lasting = setting.election_timeout * 8;
        let (other, leader) = (Target::Node(choices.place(setting.nodes)), Target::Leader);
        let mut act = |at: Duration, fault: Fault, nodes: (Target, Target), strength: u64| {
            if allowed(fault) {
                let nodes = Targets { one: nodes.0, other: nodes.1, group: 0 };
                deeds.push(Deed { at, what: What::Disturb(Disturbance { fault, nodes, lasting, strength }) });
            }
        };
        for node in 0..setting.nodes {
            act(at, Fault::SlowLink, (Target::Node(node), leader), late);
        }
        at += setting.election_timeout * 2 + Duration::from_micros(choices.below(1_000 * timeout));
        match choices.chance(1, 2) {
            true => act(at, Fault::Mute, (leader, leader), 0),
            false => act(at, Fault::Transfer, (leader, other), 1),
        }
        let over = at + setting.election_timeout * 4;
        while at < over {
            for node in 0..setting.nodes {
                let request = *choices.pick(&[Request::GetLease, Request::GetLease, Request::Set]);
                let budget = Duration::from_millis(500);
                let ask = Ask { client: node as u64 + 1, node, key: choices.below(2), request, budget };
                deeds.push(Deed { at, what: What::Ask(ask) });
            }
            at += Duration::from_millis(choices.between(5, 40));
        }
        at = over + lasting;
    }
}

/// A node would stand for election within an election timeout of when others have heard their leader, which may rely on that
/// it is not elected. Either it hears nobody, and when it has waited long enough, all others start again. Or the leader has
/// told it to stand, and what it says to that arrives late, with what it says after it.
fn draw_early_votes(choices: &mut Choices<'_>, wishes: &Wishes, setting: &Setting, deeds: &mut Vec<Deed>) {
    let allowed = |fault| wishes.faults.as_ref().is_none_or(|faults| faults.contains(&fault));
    let timeout = u64::try_from(setting.election_timeout.as_micros()).unwrap_or(u64::MAX);
    let trip = u64::try_from(setting.delay.1.as_micros()).unwrap_or(u64::MAX);
    let mut at = Duration::from_millis(choices.between(1_500, 4_000));
    for _ in 0..choices.between(3, 8) {
        let one = choices.place(setting.nodes);
        let mut act = |at: Duration, fault: Fault, node: Target, lasting: Duration, strength: u64| {
            if allowed(fault) {
                let nodes = Targets { one: node, other: Target::Node(one), group: !(1 << one) };
                deeds.push(Deed { at, what: What::Disturb(Disturbance { fault, nodes, lasting, strength }) });
            }
        };
        if choices.chance(1, 2) {
            let lonely = Duration::from_micros(choices.between(timeout / 3, timeout * 3 / 2));
            act(at, Fault::Isolate, Target::Node(one), lonely, 0);
            at += lonely;
            let short = Duration::from_micros(choices.between(1_000, 1_000 + timeout / 8));
            act(at, Fault::PowerCut, Target::Leader, short, 0);
        } else {
            let late = Duration::from_micros(choices.between(timeout, timeout * 5 / 2));
            act(at, Fault::Mute, Target::Node(one), late, 0);
            let soon = at + Duration::from_micros(choices.below(trip + 1));
            act(soon, Fault::Transfer, Target::Leader, Duration::from_secs(1), 1);
            at += late;
        }
        at += setting.election_timeout * 4 + Duration::from_millis(choices.below(1_000));
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
                Fault::Mute,
                Fault::Stop,
                Fault::Snapshot,
                Fault::Snapshot,
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

/// Everybody becomes a voter; then few are to be the only ones, and that goes slowly. One who was away learns of half of it by
/// a snapshot. Or the leader is cut off; and when another leads, or is about to, the few are cut off from the others,
/// together with the former leader.
fn draw_half_changes(choices: &mut Choices<'_>, wishes: &Wishes, setting: &Setting, deeds: &mut Vec<Deed>) {
    let allowed = |fault| wishes.faults.as_ref().is_none_or(|faults| faults.contains(&fault));
    let timeout = u64::try_from(setting.election_timeout.as_micros()).unwrap_or(u64::MAX);
    let (all, leader) = ((1 << setting.nodes) - 1, (Target::Leader, Target::Leader));
    let mut act = |at: Duration, fault: Fault, (one, other), group: u64, lasting: Duration, strength: u64| {
        if allowed(fault) {
            let nodes = Targets { one, other, group };
            deeds.push(Deed { at, what: What::Disturb(Disturbance { fault, nodes, lasting, strength }) });
        }
    };
    let mut at = Duration::from_millis(choices.between(1_000, 4_000));
    while at < setting.hostile {
        act(at, Fault::Reshape, leader, all, Duration::from_secs(3), 0);
        at += setting.election_timeout * 8;
        let late = choices.between(timeout / 32, timeout / 8);
        for nodes in all_links(setting) {
            act(at, Fault::SlowLink, nodes, 0, setting.election_timeout * 14, (late / 1_000).min(399));
        }
        for node in (0..setting.nodes).map(Target::Node) {
            let slow = choices.below(timeout / 2_000 + 1).min(499);
            act(at, Fault::SlowDisk, (node, node), 0, setting.election_timeout * 14, slow);
        }
        let few = 1 << choices.place(setting.nodes) | 1 << choices.place(setting.nodes);
        let away = Target::Node(choices.place(setting.nodes));
        let misses_half = choices.chance(1, 3);
        if misses_half {
            act(at, Fault::Isolate, (away, away), 0, setting.election_timeout * 4, 0);
        }
        at += Duration::from_micros(choices.below(timeout));
        act(at, Fault::Reshape, leader, few, Duration::from_secs(3), 0);
        at += Duration::from_micros(choices.between(late, 2 * late + timeout / 2));
        if misses_half {
            act(at, Fault::Snapshot, leader, all, Duration::ZERO, 0);
        } else {
            let cut_off = Duration::from_micros(choices.between(timeout, timeout * 5 / 2));
            act(at, Fault::Isolate, leader, 0, cut_off, 0);
            at += cut_off;
            act(at, Fault::Partition, leader, few, setting.election_timeout * 5, 0);
        }
        at += setting.election_timeout * 9 + Duration::from_millis(choices.below(1_000));
    }
}

/// Each direction between two nodes.
fn all_links(setting: &Setting) -> impl Iterator<Item = (Target, Target)> + use<> {
    let nodes = setting.nodes;
    let all = (0..nodes).flat_map(move |from| (0..nodes).map(move |to| (from, to)));
    all.filter(|(from, to)| from != to).map(|(from, to)| (Target::Node(from), Target::Node(to)))
}

fn ask(choices: &mut Choices<'_>, deeds: &mut Vec<Deed>, at: Duration, node: usize, request: Request) {
    let budget = Duration::from_secs(5);
    let ask = Ask { client: node as u64 + 1, node, key: choices.below(8), request, budget };
    deeds.push(Deed { at, what: What::Ask(ask) });
}

/// A majority loses its disks; later those who have not lost theirs are away for a while, too. Whoever has been
/// heard of must not be forgotten, and nobody is beyond reach for as long as founding anew would need.
pub(super) fn draw_doom(choices: &mut Choices<'_>, setting: &Setting, deeds: &mut Vec<Deed>) {
    if !setting.lease && choices.chance(1, 2) {
        return draw_early_doom(choices, setting, deeds);
    }
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

/// One who stands for election loses its disk before it can found a cluster, while others are too slow to do so. Who has
/// voted for it may not vote for its next life in the same term.
fn draw_early_doom(choices: &mut Choices<'_>, setting: &Setting, deeds: &mut Vec<Deed>) {
    let timeout = u64::try_from(setting.election_timeout.as_micros()).unwrap_or(u64::MAX);
    let first = choices.place(setting.nodes);
    let mut act =
        |at: u64, fault: Fault, (one, other): (Target, Target), lasting: Duration, strength: u64| {
            let nodes = Targets { one, other, group: 0 };
            let at = Duration::from_micros(at);
            deeds.push(Deed { at, what: What::Disturb(Disturbance { fault, nodes, lasting, strength }) });
        };
    let long = setting.election_timeout * 8;
    let late = choices.between(timeout / 8, timeout / 3);
    for nodes in all_links(setting) {
        act(0, Fault::SlowLink, nodes, long, (late / 1_000).min(399));
    }
    for node in (0..setting.nodes).filter(|node| *node != first).map(Target::Node) {
        act(timeout / 8, Fault::ClockStop, (node, node), long, 0);
    }
    let short = Duration::from_micros(choices.between(100, 20_000));
    let first = Target::Node(first);
    act(choices.between(timeout, 4 * timeout), Fault::Wipe, (first, first), short, 0);
}
