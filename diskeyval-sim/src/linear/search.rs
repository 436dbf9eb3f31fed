//! The search for one order of operations that explains all answers.
//!
//! It is the search of Wing and Gong with the memory of Lowe: depth first, one operation after the other is
//! given its place; an operation can come next if no other one without a place returned before its call. A
//! set of placed operations that was reached before with the same register is not looked at again. Sets are
//! compared by 128-bit fingerprints. There is no recursion, and a budget of steps bounds time and memory.
//!
//! What keeps it from exploding, each with the reason why no explanation is missed:
//!
//! - **What only observes is placed as soon as it fits.** It changes nothing, so that in any complete order
//!   it can be moved here.
//! - **Operations of unknown fate are placed only to let another one fit that does not fit without.** In a
//!   complete order, one that is followed by an overwriting can be left out, and one that is followed by
//!   something that would fit without it can be left out or moved behind that. What is left are chains `u1 ..
//!   uk x`: `x` must have a place, fits after `uk`, and not before `u1`. A chain is one move, found backwards
//!   from what `x` asks for.
//! - **Equals are placed in a fixed order.** Of operations with the same effect and answer, all possible now,
//!   the one that returned first goes first; of equals of unknown fate, the one that was called first. In any
//!   complete order two of them can change places to that end.
//! - **Values that nothing asks for are one value**, which makes many more operations equals.
//! - **No value is given up while something still asks for it and nothing can bring it back.**

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

use super::step::{ABSENT, JUNK, Kind, Step, Value};
use super::zones;

/// What the search found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// There is an order that explains all answers.
    Order,
    /// There is none.
    None,
    /// The budget of steps is spent.
    Nothing,
}

/// Whether some order explains the steps. Takes from the budget what it uses.
pub(super) fn search(steps: &[Step], budget: &mut u64) -> Found {
    match Search::new(steps) {
        Some(mut search) => search.run(budget),
        None => Found::None,
    }
}

struct Search {
    /// The steps that must have a place, by time of call.
    musts: Vec<Step>,
    /// Those without a place, as a list: `links[i]` are neighbours of `i`, with `musts.len()` as the head.
    links: Vec<Link>,
    left: usize,
    /// The steps that may have a place.
    groups: Vec<Group>,
    /// By value: the groups that bring it about.
    makers: Vec<Vec<u32>>,
    /// By value: how many steps without a place ask for it, and how many can bring it about.
    wanted: Vec<u32>,
    offered: Vec<u32>,
    state: Value,
    fingerprint: u128,
    seen: HashSet<u128, BuildHasherDefault<Fingerprint>>,
    /// What was placed, in order.
    trail: Vec<Placed>,
    frames: Vec<Frame>,
    moves: Vec<Move>,
    chains: Vec<u32>,
}

#[derive(Clone, Copy)]
struct Link {
    before: u32,
    after: u32,
}

/// Steps of unknown fate with one and the same effect.
struct Group {
    kind: Kind,
    /// In ascending order.
    calls: Vec<u64>,
    used: usize,
}

#[derive(Clone, Copy)]
enum Placed {
    Must(u32),
    May(u32),
}

/// A point of decision, with what is to be restored when one comes back to it.
struct Frame {
    trail: usize,
    state: Value,
    /// Where its moves and their chains begin.
    moves: usize,
    chains: usize,
    /// The next move to try.
    next: usize,
}

/// A step to be placed, after steps of unknown fate that let it fit: `chains[from..to]`.
#[derive(Clone, Copy)]
struct Move {
    must: u32,
    from: usize,
    to: usize,
}

impl Search {
    /// The search before its first step; `None` if it is hopeless.
    fn new(steps: &[Step]) -> Option<Search> {
        let highest = |kind: Kind| kind.target().max(kind.names()).unwrap_or(JUNK).max(JUNK);
        let values = steps.iter().map(|step| highest(step.kind)).max().unwrap_or(JUNK) as usize + 1;

        let mut named = vec![false; values];
        steps.iter().filter_map(|step| step.kind.names()).for_each(|value| named[value as usize] = true);
        named[ABSENT as usize] = true;
        let plain = |value: Value| if named[value as usize] { value } else { JUNK };
        let simplify = |step: &Step| {
            let kind = match step.kind {
                Kind::Set(value) => Kind::Set(plain(value)),
                Kind::Cas { expect, swapped: Some(false), .. } => {
                    Kind::Cas { expect, value: JUNK, swapped: Some(false) }
                }
                Kind::Cas { expect, value, swapped } => Kind::Cas { expect, value: plain(value), swapped },
                kind => kind,
            };
            Step { kind, ..*step }
        };

        let mut musts: Vec<Step> = steps.iter().filter(|step| step.must).map(simplify).collect();
        musts.sort_by_key(|step| (step.call, step.returned));
        let mut mays: Vec<Step> = steps.iter().filter(|step| !step.must).map(simplify).collect();
        mays.retain(|step| step.kind.target().is_some());
        mays.sort_by_key(|step| (step.kind, step.call));

        let (mut wanted, mut offered) = (vec![0; values], vec![0; values]);
        for step in musts.iter().chain(&mays) {
            step.kind.wants().into_iter().for_each(|value| wanted[value as usize] += 1);
            step.kind.target().into_iter().for_each(|value| offered[value as usize] += 1);
        }
        let is_lost = |value: usize| value != ABSENT as usize && wanted[value] > 0 && offered[value] == 0;
        if (0..values).any(is_lost) || zones::contradict(&musts, &mays, &offered) {
            return None;
        }

        let (mut groups, mut makers) = (Vec::<Group>::new(), vec![Vec::new(); values]);
        for Step { call, kind, .. } in mays {
            match groups.last_mut() {
                Some(group) if group.kind == kind => group.calls.push(call),
                _ => {
                    let target = kind.target().expect("others were left out") as usize;
                    makers[target].push(short(groups.len()));
                    groups.push(Group { kind, calls: vec![call], used: 0 });
                }
            }
        }

        let ring = short(musts.len() + 1);
        let link = |i| Link { before: (i + ring - 1) % ring, after: (i + 1) % ring };
        Some(Search {
            links: (0..ring).map(link).collect(),
            left: musts.len(),
            musts,
            groups,
            makers,
            wanted,
            offered,
            state: ABSENT,
            fingerprint: 0,
            seen: HashSet::default(),
            trail: Vec::new(),
            frames: Vec::new(),
            moves: Vec::new(),
            chains: Vec::new(),
        })
    }

    /// Whether a value is asked for that nothing can bring about any more.
    fn is_lost(&self, value: usize) -> bool {
        self.wanted[value] > 0 && self.offered[value] == 0
    }

    fn run(&mut self, budget: &mut u64) -> Found {
        loop {
            let horizon = self.place_what_fits();
            if self.left == 0 {
                return Found::Order;
            }
            self.frames.push(Frame {
                trail: self.trail.len(),
                state: self.state,
                moves: self.moves.len(),
                chains: self.chains.len(),
                next: self.moves.len(),
            });
            if self.seen.insert(self.fingerprint ^ chance(Kin::Register, self.state, 0)) {
                self.find_moves(horizon, budget);
            }
            // On with the next move, from here or from the nearest point before that has one left.
            loop {
                if *budget == 0 {
                    return Found::Nothing;
                }
                *budget -= 1;
                let Some(frame) = self.frames.last_mut() else { return Found::None };
                if let Some(&next) = self.moves.get(frame.next) {
                    frame.next += 1;
                    if self.play(next) {
                        break;
                    }
                } else {
                    self.moves.truncate(frame.moves);
                    self.chains.truncate(frame.chains);
                    self.frames.pop();
                }
                self.take_back();
            }
        }
    }

    /// Place every step that only observes and fits, and give the time at which the first of the rest
    /// returns.
    fn place_what_fits(&mut self) -> u64 {
        loop {
            let (mut horizon, mut placed) = (u64::MAX, false);
            let head = short(self.musts.len());
            let mut at = self.links[head as usize].after;
            while at != head {
                let step = self.musts[at as usize];
                if step.call > horizon {
                    break;
                }
                horizon = horizon.min(step.returned);
                if step.kind.is_pure() && step.kind.apply(self.state).is_some() {
                    self.place(Placed::Must(at));
                    placed = true;
                }
                at = self.links[at as usize].after;
            }
            if !placed {
                return horizon;
            }
        }
    }

    /// List what can be placed next: first what fits as it is, then what fits after steps of unknown fate.
    fn find_moves(&mut self, horizon: u64, budget: &mut u64) {
        let mut candidates = Vec::new();
        let head = short(self.musts.len());
        let mut at = self.links[head as usize].after;
        while at != head && self.musts[at as usize].call <= horizon {
            candidates.push(at);
            at = self.links[at as usize].after;
        }
        let musts = &self.musts;
        candidates.sort_by_key(|&at| (musts[at as usize].kind, musts[at as usize].returned, at));
        candidates.dedup_by_key(|at| musts[*at as usize].kind);
        candidates.sort_by_key(|&at| (musts[at as usize].returned, at));

        let state = self.state;
        let fits = |&at: &u32| musts[at as usize].kind.apply(state).is_some();
        let (fitting, others): (Vec<u32>, Vec<u32>) = candidates.into_iter().partition(fits);
        let end = self.chains.len();
        self.moves.extend(fitting.into_iter().map(|must| Move { must, from: end, to: end }));
        for must in others {
            let kind = self.musts[must as usize].kind;
            match kind.wants() {
                Some(value) => self.find_chains(must, value, horizon, budget),
                None => self.find_disturbances(must, horizon, budget),
            }
        }
    }

    /// For a step that asks for one value: every chain from here to that value.
    fn find_chains(&mut self, must: u32, goal: Value, horizon: u64, budget: &mut u64) {
        // What is needed, and how many makers of it were tried; and the groups chosen, last first.
        let mut needs = vec![(goal, 0)];
        let mut chosen: Vec<u32> = Vec::new();
        while let Some((need, tried)) = needs.last_mut() {
            let Some(&maker) = self.makers[*need as usize].get(*tried) else {
                needs.pop();
                chosen.pop();
                continue;
            };
            *tried += 1;
            *budget = budget.saturating_sub(1);
            if *budget == 0 {
                return;
            }
            if !self.groups[maker as usize].is_open(horizon) {
                continue;
            }
            match self.groups[maker as usize].kind {
                Kind::Cas { expect, .. } if expect != self.state => {
                    if needs.iter().all(|&(need, _)| need != expect) {
                        chosen.push(maker);
                        needs.push((expect, 0));
                    }
                }
                _ => {
                    let from = self.chains.len();
                    self.chains.push(maker);
                    self.chains.extend(chosen.iter().rev());
                    self.moves.push(Move { must, from, to: self.chains.len() });
                }
            }
        }
    }

    /// For a step that asks for anything but what is here: every single step away from it. (A longer chain is
    /// not needed: its first link would do, and the rest can come later.)
    fn find_disturbances(&mut self, must: u32, horizon: u64, budget: &mut u64) {
        let wish = self.musts[must as usize].kind;
        for (at, group) in self.groups.iter().enumerate() {
            *budget = budget.saturating_sub(1);
            let after = group.kind.apply(self.state).filter(|_| group.is_open(horizon));
            if after.is_some_and(|after| wish.apply(after).is_some()) {
                let from = self.chains.len();
                self.chains.push(short(at));
                self.moves.push(Move { must, from, to: from + 1 });
            }
        }
    }

    /// Make a move. Says whether it leaves hope; if not, it is to be taken back.
    fn play(&mut self, Move { must, from, to }: Move) -> bool {
        let mut given_up = [self.state].to_vec();
        for at in from..to {
            self.place(Placed::May(self.chains[at]));
            given_up.push(self.state);
        }
        self.place(Placed::Must(must));
        given_up.into_iter().all(|value| value == self.state || !self.is_lost(value as usize))
    }

    /// Back to the latest point of decision.
    fn take_back(&mut self) {
        let Some(&Frame { trail, state, .. }) = self.frames.last() else { return };
        while self.trail.len() > trail {
            self.displace();
        }
        self.state = state;
    }

    fn place(&mut self, what: Placed) {
        let kind = match what {
            Placed::Must(at) => {
                let Link { before, after } = self.links[at as usize];
                self.links[before as usize].after = after;
                self.links[after as usize].before = before;
                self.left -= 1;
                self.fingerprint ^= chance(Kin::Must, at, 0);
                self.musts[at as usize].kind
            }
            Placed::May(at) => {
                let group = &mut self.groups[at as usize];
                self.fingerprint ^= chance(Kin::May, at, group.used);
                group.used += 1;
                group.kind
            }
        };
        kind.wants().into_iter().for_each(|value| self.wanted[value as usize] -= 1);
        kind.target().into_iter().for_each(|value| self.offered[value as usize] -= 1);
        self.state = kind.apply(self.state).expect("only what fits is placed");
        self.trail.push(what);
    }

    /// Undo the latest placing, but for the register.
    fn displace(&mut self) {
        let Some(what) = self.trail.pop() else { return };
        let kind = match what {
            Placed::Must(at) => {
                let Link { before, after } = self.links[at as usize];
                self.links[before as usize].after = at;
                self.links[after as usize].before = at;
                self.left += 1;
                self.fingerprint ^= chance(Kin::Must, at, 0);
                self.musts[at as usize].kind
            }
            Placed::May(at) => {
                let group = &mut self.groups[at as usize];
                group.used -= 1;
                self.fingerprint ^= chance(Kin::May, at, group.used);
                group.kind
            }
        };
        kind.wants().into_iter().for_each(|value| self.wanted[value as usize] += 1);
        kind.target().into_iter().for_each(|value| self.offered[value as usize] += 1);
    }
}

impl Group {
    /// Whether one more of them can take effect before anything returns at the horizon.
    fn is_open(&self, horizon: u64) -> bool {
        self.calls.get(self.used).is_some_and(|&call| call <= horizon)
    }
}

/// What a part of a fingerprint stands for.
#[derive(Clone, Copy)]
enum Kin {
    Register,
    Must,
    May,
}

/// A number for each argument, the same in every run, without relation to any other.
fn chance(kin: Kin, which: u32, count: usize) -> u128 {
    let seed = (kin as u64) << 62 ^ (count as u64) << 32 ^ u64::from(which);
    let high = mix(seed ^ 0x9e37_79b9_7f4a_7c15);
    let low = mix(high.wrapping_add(seed).wrapping_add(0xd1b5_4a32_d192_ed03));
    u128::from(high) << 64 | u128::from(low)
}

/// The finalizer of SplitMix64.
fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// Fingerprints are spread already: a hash table may take them as they are.
#[derive(Default)]
struct Fingerprint(u64);

impl Hasher for Fingerprint {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.0 = self.0.rotate_left(8) ^ u64::from(byte));
    }

    fn write_u128(&mut self, number: u128) {
        self.0 ^= (number >> 64) as u64;
    }
}

fn short(index: usize) -> u32 {
    u32::try_from(index).expect("fewer than 2^32 operations on a key")
}
