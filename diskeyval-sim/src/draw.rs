//! Draws a plan: first a setting, with its own mixture of faults, then what is done and when.
//!
//! Each run gets few kinds of faults, at rates and strengths of its own: mixtures that are all alike find all
//! the same.

mod stories;

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
    /// The cluster stays one: nobody is told to go on alone, which by its nature breaks what a program relies on.
    pub whole: bool,
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
    // Who forgets, and has a namesake elsewhere, may not be found by those who have to elect a leader with it.
    let twin = nodes > 3 && !memory && choices.chance(1, 3);
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
        return stories::draw_doom(choices, setting, deeds);
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
    if stories::draw(choices, wishes, setting, deeds) {
        return;
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
            whole: false,
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
