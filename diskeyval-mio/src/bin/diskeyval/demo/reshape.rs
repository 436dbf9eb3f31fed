//! Members that come and go while clients write and nodes are killed: from three to five and back to three, and so on.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use diskeyval_mio::MemberChange;

use super::clock;
use super::cluster::{Cluster, Halt, PATIENCE, name};
use super::dice::Dice;

/// How many come, and how many go.
pub(super) const NEWCOMERS: usize = 2;

/// How long there is nothing new after the members have changed.
const STEP: Duration = Duration::from_millis(1500);

/// What happens, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    /// A node is announced, and brought up to date. It may have been a member before.
    Add(usize),
    Promote(usize),
    RemoveLeader,
    RemoveAny,
    /// Those who were removed are killed, and started again from their disks.
    RestartRemoved,
    /// They have learned that they are no members, and have stood for no election.
    JudgeRemoved,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reshaped {
    /// How often the cluster has grown, and shrunk again.
    pub(super) cycles: usize,
    pub(super) changes: usize,
    /// How many of those who were removed led.
    pub(super) leaders_removed: usize,
    /// How many leaders were elected while those who were removed had come back from their disks, and nobody was killed.
    pub(super) elections_in_peace: usize,
}

/// When what happens.
pub(super) struct Reshaper {
    deeds: VecDeque<Deed>,
    next: Instant,
    asked: Option<Asked>,
    dice: Dice,
    /// How many reigns there had been when those who were removed came back.
    reigns: usize,
    /// What has happened so far.
    pub(super) done: Reshaped,
}

/// A change that a node was asked for.
struct Asked {
    deed: Deed,
    target: usize,
    change: MemberChange,
    /// Who is to be asked first, if it can be.
    first: Option<usize>,
    /// Who was asked, in which of its lives.
    whom: Option<(usize, u64)>,
    is_done: bool,
    since: Instant,
}

impl Reshaper {
    pub(super) fn new(cluster: &Cluster) -> Reshaper {
        Reshaper {
            deeds: cycle(&cluster.outside()),
            next: Instant::now() + STEP,
            asked: None,
            dice: Dice::new(clock::now()),
            reigns: 0,
            done: Reshaped::default(),
        }
    }

    /// Whether nobody else is to be disturbed now, so that an election would be the fault of those who were removed.
    pub(super) fn wants_peace(&self) -> bool {
        matches!(self.deeds.front(), Some(Deed::RestartRemoved | Deed::JudgeRemoved))
    }

    /// Does what is due; says what that was. `is_peaceful`: nobody is out of action.
    pub(super) fn act(&mut self, cluster: &mut Cluster, is_peaceful: bool) -> Result<Option<String>, Halt> {
        if self.asked.is_some() {
            return self.go_on(cluster);
        }
        if Instant::now() < self.next {
            return Ok(None);
        }
        if self.deeds.is_empty() {
            self.deeds = cycle(&cluster.outside());
        }
        let Some(deed) = self.deeds.front().copied() else { return Ok(None) };
        match deed {
            Deed::Add(number) => {
                let Some(known) = cluster.serving().first().copied() else { return Ok(None) };
                // Those who were removed come back with what they have kept, and the next time without.
                if self.done.cycles > 0 && self.done.cycles.is_multiple_of(2) {
                    cluster.renew(number, known)?;
                }
                self.ask(deed, number, MemberChange::AddLearner { member: cluster.member(number)? });
            }
            Deed::Promote(number) => {
                self.ask(deed, number, MemberChange::Promote { node: cluster.id(number)? });
            }
            Deed::RemoveLeader | Deed::RemoveAny => {
                let members = cluster.members();
                let leader = cluster.leader().filter(|leader| members.contains(leader));
                let any = members[self.dice.place(members.len())];
                // Without a leader, it waits for one.
                let target = if deed == Deed::RemoveLeader { leader } else { Some(any) };
                let Some(target) = target else { return Ok(None) };
                self.ask(deed, target, MemberChange::Remove { node: cluster.id(target)? });
            }
            Deed::RestartRemoved if !is_peaceful || cluster.leader().is_none() => return Ok(None),
            Deed::RestartRemoved => {
                let outside = cluster.outside();
                for &number in &outside {
                    cluster.restart(number)?;
                }
                self.reigns = cluster.reigns().len();
                self.is_done(2 * STEP);
                return Ok(Some(format!("{}, removed, are back from their disks", names(&outside))));
            }
            Deed::JudgeRemoved => return self.judge(cluster),
        }
        Ok(None)
    }

    /// Brings to its end what has begun: as many are members then as at first.
    pub(super) fn complete(&mut self, cluster: &mut Cluster, tell: &dyn Fn(&str)) -> Result<(), Halt> {
        while !self.deeds.is_empty() {
            self.next = Instant::now();
            if let Some(happened) = self.act(cluster, true)? {
                tell(&happened);
            }
            cluster.listen(Duration::from_millis(20))?;
        }
        Ok(())
    }

    fn ask(&mut self, deed: Deed, target: usize, change: MemberChange) {
        // Who is removed is to have its answer even so.
        let first = matches!(deed, Deed::RemoveLeader | Deed::RemoveAny).then_some(target);
        let since = Instant::now();
        self.asked = Some(Asked { deed, target, change, first, whom: None, is_done: false, since });
    }

    fn go_on(&mut self, cluster: &mut Cluster) -> Result<Option<String>, Halt> {
        let Some(asked) = &mut self.asked else { return Ok(None) };
        let (deed, target) = (asked.deed, asked.target);
        if asked.since.elapsed() > PATIENCE {
            return Err(Halt::Trouble(format!("the members do not change: {}", asked.change)));
        }
        if !asked.is_done {
            let answer = match asked.whom {
                Some((whom, life)) if cluster.life(whom) == life => cluster.changed(whom),
                Some(_) | None => Some(Err("there is nobody to answer".into())),
            };
            match answer {
                None => return Ok(None),
                Some(Ok(_)) => asked.is_done = true,
                // The same can be asked of any node, again and again.
                Some(Err(_)) => {
                    let serving = cluster.serving();
                    if serving.is_empty() {
                        return Ok(None);
                    }
                    let any = serving[self.dice.place(serving.len())];
                    let whom = asked.first.take().filter(|first| serving.contains(first)).unwrap_or(any);
                    asked.whom = Some((whom, cluster.life(whom)));
                    cluster.ask_for_change(whom, asked.change.clone())?;
                    return Ok(None);
                }
            }
        }
        // It counts once it serves, so that its clients are not turned away.
        if matches!(deed, Deed::Add(_)) && !cluster.is_ready(target) {
            return Ok(None);
        }
        self.asked = None;
        self.done.changes += 1;
        let happened = match deed {
            Deed::Add(_) => {
                cluster.take_in(target)?;
                format!("{} is a learner", name(target))
            }
            Deed::Promote(_) => format!("{} votes", name(target)),
            _ => {
                let led = deed == Deed::RemoveLeader;
                self.done.leaders_removed += usize::from(led);
                cluster.leave(target);
                format!("{}{} is removed", name(target), if led { ", the leader," } else { "" })
            }
        };
        self.is_done(STEP);
        Ok(Some(happened))
    }

    /// Goes over to the next deed, some time later.
    fn is_done(&mut self, pause: Duration) {
        self.deeds.pop_front();
        self.next = Instant::now() + pause;
    }

    fn judge(&mut self, cluster: &mut Cluster) -> Result<Option<String>, Halt> {
        let outside = cluster.outside();
        cluster.wait("the removed nodes to learn that they are no members", |cluster| {
            outside.iter().all(|number| cluster.knows_it_is_outside(*number))
        })?;
        let stood = cluster.elections_of(&outside)?;
        if stood > 0 {
            let why = format!("{}, which were removed, stood for {stood} elections", names(&outside));
            return Err(Halt::Trouble(why));
        }
        self.done.cycles += 1;
        self.done.elections_in_peace += cluster.reigns().len() - self.reigns;
        self.is_done(STEP);
        Ok(Some(format!("{} know that they are removed, and have disturbed nobody", names(&outside))))
    }
}

/// All that happens while those who are no members come, and as many go.
fn cycle(newcomers: &[usize]) -> VecDeque<Deed> {
    let come = newcomers.iter().map(|number| Deed::Add(*number));
    let rise = newcomers.iter().map(|number| Deed::Promote(*number));
    let go = [Deed::RemoveLeader, Deed::RemoveAny, Deed::RestartRemoved, Deed::JudgeRemoved];
    come.chain(rise).chain(go).collect()
}

fn names(numbers: &[usize]) -> String {
    numbers.iter().map(|number| name(*number)).collect::<Vec<_>>().join(" and ")
}
