//! What is asked of whoever leads, and is no write: that another node lead, or that the members change. A wish is kept by
//! the node that was asked, and passed on to the leader, once in a reign. One of each kind at a time; asking twice does no
//! harm.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use super::{Engine, Phase};
use crate::config::MAX_MEMBERS;
use crate::error::{Doubt, Error, Hindrance, Obstacle, Refusal};
use crate::id::{Index, NodeId, Term, Ticket};
use crate::io::Answer;
use crate::members::{Member, MemberChange};
use crate::mesh::Service;
use crate::raft::{Asker, Kept, Unchanged};
use crate::time::{Deadline, Instant, Timer};

/// What is wished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// That this node lead, or any other than the one that leads.
    Lead(Option<NodeId>),
    Members(MemberChange),
}

#[derive(Clone, Debug)]
pub(super) struct Wish {
    ticket: Ticket,
    want: Want,
    deadline: Instant,
    /// The number under which it was passed on last.
    question: u64,
    /// Who led when it was first passed on: anybody else is another, if no name was given.
    not_by: Option<NodeId>,
    /// Which leader has it now, in which reign.
    with: Option<(NodeId, Term)>,
    /// It was with another leader before, who has not said what came of it.
    in_doubt: bool,
    /// It is not passed on before this: the leader has said that it cannot yet.
    pause_until: Option<Instant>,
    /// The leader has brought it about, by this entry.
    done_at: Option<Index>,
}

/// The wishes of a node, and how often any was passed on: each time it has a number of its own.
#[derive(Clone, Debug, Default)]
pub(super) struct Wishes {
    open: Vec<Wish>,
    passed_on: u64,
}

impl Wish {
    fn is_about_members(&self) -> bool {
        matches!(self.want, Want::Members(_))
    }

    fn answer(&self, result: Result<(), Error>) -> Answer {
        match &self.want {
            Want::Lead(_) => Answer::Transferred(result),
            Want::Members(_) => {
                Answer::MembersChanged(result.map(|()| self.done_at.map_or(0, |index| index.0)))
            }
        }
    }

    /// Whoever has it may still bring it about.
    fn may_come_true(&self) -> bool {
        self.in_doubt || self.with.is_some()
    }
}

impl Engine {
    pub(super) fn wish(&mut self, ticket: Ticket, want: Want, deadline: Instant) {
        let wish = Wish {
            ticket,
            want,
            deadline,
            question: 0,
            not_by: None,
            with: None,
            in_doubt: false,
            pause_until: None,
            done_at: None,
        };
        match self.check_wish(&wish) {
            Ok(()) => self.wishes.open.push(wish),
            Err(refusal) => self.desk.answer(ticket, wish.answer(Err(refusal.into()))),
        }
    }

    fn check_wish(&self, wish: &Wish) -> Result<(), Refusal> {
        if !matches!(self.phase, Phase::Running) {
            return Err(Refusal::Stopped);
        }
        let other = self.wishes.open.iter().find(|open| open.is_about_members() == wish.is_about_members());
        match (other.map(|other| &other.want), &wish.want) {
            (Some(Want::Lead(to)), _) => Err(not_transferred(Hindrance::UnderWay { to: to.clone() })),
            (Some(Want::Members(change)), _) => {
                Err(Refusal::MembershipBusy { under_way: change.to_string() })
            }
            (None, Want::Members(MemberChange::Reconfigure { members })) => check_voters(members),
            (None, _) => Ok(()),
        }
    }

    /// Ends the wish at this place.
    fn end_wish(&mut self, at: usize, result: Result<(), Error>) {
        let wish = self.wishes.open.remove(at);
        self.desk.answer(wish.ticket, wish.answer(result));
    }

    /// Passes wishes on to whoever leads.
    pub(super) fn pass_wishes_on(&mut self) {
        self.grant_wishes();
        let term = self.raft.term();
        let Some(leader) = self.raft.leader().cloned() else { return };
        for at in 0..self.wishes.open.len() {
            let Some(wish) = self.wishes.open.get_mut(at) else { return };
            let is_there = wish.with.as_ref().is_some_and(|with| *with == (leader.clone(), term));
            if wish.pause_until.is_some() || wish.done_at.is_some() || is_there {
                continue;
            }
            let question = self.wishes.passed_on + 1;
            // The leader is to give up in time to say so.
            let (want, within) = (wish.want.clone(), wish.deadline.since(self.now) * 3 / 4);
            let asked = if leader == self.id {
                self.ask_own_raft(question, want, within)
            } else if self.mesh.send_service(&leader, question_of(question, want, within), &[]) {
                Ok(())
            } else {
                continue;
            };
            self.wishes.passed_on = question;
            let Some(wish) = self.wishes.open.get_mut(at) else { return };
            wish.in_doubt |= wish.with.take().is_some();
            wish.question = question;
            wish.not_by.get_or_insert_with(|| leader.clone());
            wish.with = Some((leader.clone(), term));
            if let Err(why) = asked {
                self.wish_is_not_granted(question, why);
                // What stands behind it has moved: it is its turn next time.
                return;
            }
        }
    }

    fn ask_own_raft(&mut self, question: u64, want: Want, within: Duration) -> Result<(), NotGranted> {
        match want {
            Want::Lead(to) => {
                self.raft.hand_over_to(Asker::Own(question), to.as_ref()).map_err(NotGranted::Kept)
            }
            Want::Members(change) => {
                let give_up_at = self.now + within;
                let asked = self.raft.change_members(Asker::Own(question), change, give_up_at);
                asked.map_err(|why| self.not_changed(why))
            }
        }
    }

    /// Adds what this node, which leads, knows of the one that is in the way.
    pub(super) fn not_changed(&self, why: Unchanged) -> NotGranted {
        let detail = match &why {
            Unchanged::Unlinked(node) => self
                .mesh
                .peers()
                .find(|peer| peer.id == node)
                .and_then(|peer| peer.trouble)
                .unwrap_or("not reached yet"),
            _ => "",
        };
        NotGranted::Unchanged(why, detail.to_string())
    }

    /// What was wished has come about, as far as this node sees.
    pub(super) fn grant_wishes(&mut self) {
        let (leader, applied, is_removed) =
            (self.raft.leader(), self.kv.applied(), self.removed_by.is_some());
        let is_granted = |wish: &Wish| match (&wish.want, leader, &wish.not_by, wish.done_at) {
            (Want::Lead(Some(to)), Some(leader), _, _) => leader == to,
            (Want::Lead(None), Some(leader), Some(not_by), _) => leader != not_by,
            // Who was removed by it does not apply it, perhaps.
            (Want::Members(_), _, _, Some(done_at)) => applied >= done_at || is_removed,
            _ => false,
        };
        while let Some(at) = self.wishes.open.iter().position(is_granted) {
            let wish = self.wishes.open.remove(at);
            self.desk.answer(wish.ticket, wish.answer(Ok(())));
        }
    }

    /// The leader that has a wish says that the members have changed.
    pub(super) fn members_are_changed(&mut self, question: u64, at: Index) {
        if let Some(wish) = self.wishes.open.iter_mut().find(|wish| wish.question == question) {
            wish.done_at = Some(at);
        }
    }

    /// A leader that has a wish says why nothing has come of it.
    pub(super) fn wish_is_not_granted(&mut self, question: u64, why: NotGranted) {
        let pause = self.now + self.heartbeat;
        // An answer to an earlier question is of no interest: the wish was passed on since.
        let Some(at) = self.wishes.open.iter().position(|wish| wish.question == question) else { return };
        let Some(wish) = self.wishes.open.get_mut(at) else { return };
        let Some((leader, _)) = wish.with.clone() else { return };
        let refusal = match why {
            NotGranted::Kept(Kept::NotLeader) | NotGranted::Unchanged(Unchanged::NotLeader, _) => {
                // It may have appended something of it before its reign was over.
                wish.in_doubt |= wish.with.take().is_some() && wish.is_about_members();
                wish.pause_until = Some(pause);
                return;
            }
            NotGranted::Kept(Kept::Told(node)) => {
                return self.end_wish(at, Err(Error::Unknown(Doubt::MayStillLead { node })));
            }
            NotGranted::Kept(why) => not_transferred(hindrance(leader, why)),
            NotGranted::Unchanged(Unchanged::Busy(change), _) => {
                Refusal::MembershipBusy { under_way: change.to_string() }
            }
            NotGranted::Unchanged(why, detail) => Refusal::NotChanged { why: obstacle(leader, why, detail) },
        };
        let error = match wish.in_doubt {
            false => refusal.into(),
            true => in_doubt(alloc::format!("{refusal}; an earlier leader was asked, too")),
        };
        self.end_wish(at, Err(error));
    }

    pub(super) fn has_wish(&self, question: u64, leader: &NodeId) -> bool {
        let is_it = |wish: &&Wish| wish.question == question;
        let with = self.wishes.open.iter().find(is_it).and_then(|wish| wish.with.as_ref());
        with.is_some_and(|(with, _)| with == leader)
    }

    /// The link to a peer is gone, and with it what was on its way to it.
    pub(super) fn wishes_link_down(&mut self, peer: &NodeId) {
        for wish in &mut self.wishes.open {
            wish.in_doubt |= wish.with.take_if(|(leader, _)| leader == peer).is_some();
        }
    }

    pub(super) fn wake_wishes(&mut self) {
        let now = self.now;
        for wish in &mut self.wishes.open {
            wish.pause_until.take_if(|until| now >= *until);
        }
    }

    pub(super) fn wishes_deadline(&self) -> Option<Deadline> {
        let wanted = |wish: &Wish| wish.pause_until.map_or(wish.deadline, |until| until.min(wish.deadline));
        let at = self.wishes.open.iter().map(wanted).min()?;
        Some(Deadline { at, why: Timer::Request })
    }

    /// The time of some has run out. Whoever has such a wish may still grant it.
    pub(super) fn expire_wishes(&mut self) {
        while let Some(at) = self.wishes.open.iter().position(|wish| self.now >= wish.deadline) {
            let Some(wish) = self.wishes.open.get(at) else { return };
            let what = match &wish.want {
                Want::Lead(_) => "to hand over, and leadership may still move",
                Want::Members(_) => "to change the members, and they may still change",
            };
            if wish.done_at.is_some() {
                self.end_wish(at, Ok(()));
                continue;
            }
            let error = match &wish.with {
                None if !wish.in_doubt => self.refusal().into(),
                Some((leader, _)) => in_doubt(alloc::format!("{leader} was asked {what}")),
                None => in_doubt(alloc::format!("a former leader was asked {what}")),
            };
            self.end_wish(at, Err(error));
        }
    }

    /// The node goes no further.
    pub(super) fn give_wishes_up(&mut self, refusal: &Refusal) {
        while let Some(wish) = self.wishes.open.first() {
            let result = match refusal {
                _ if wish.done_at.is_some() => Ok(()),
                refusal if !wish.may_come_true() => Err(Error::Refused(refusal.clone())),
                Refusal::Halted(fault) => Err(Error::Unknown(Doubt::Halted(fault.clone()))),
                Refusal::NoQuorum { .. } => Err(Error::Unknown(Doubt::GoesOnAlone)),
                _ => Err(Error::Unknown(Doubt::Stopped)),
            };
            self.end_wish(0, result);
        }
    }
}

/// Why nothing has come of a wish, in the words of whoever leads.
pub(super) enum NotGranted {
    Kept(Kept),
    /// With what is wrong with the node that is in the way.
    Unchanged(Unchanged, String),
}

fn question_of(question: u64, want: Want, within: Duration) -> Service {
    match want {
        Want::Lead(to) => Service::Transfer { question, to },
        Want::Members(change) => {
            let within = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
            Service::ChangeMembers { question, change, within }
        }
    }
}

/// What can be said of the voters to be without knowing who votes now.
pub(super) fn check_voters(members: &[Member]) -> Result<(), Refusal> {
    let why = |why| Err(Refusal::NotChanged { why });
    if members.is_empty() {
        return why(Obstacle::NobodyLeft);
    }
    for (at, member) in members.iter().enumerate() {
        if members.iter().take(at).any(|other| other.node == member.node) {
            return why(Obstacle::NamedTwice { node: member.node.clone() });
        }
    }
    if members.len() > MAX_MEMBERS {
        return why(Obstacle::TooMany { limit: MAX_MEMBERS });
    }
    Ok(())
}

fn hindrance(leader: NodeId, why: Kept) -> Hindrance {
    match why {
        Kept::Stranger(node) => Hindrance::NotAMember { node },
        Kept::Seatless(node) => Hindrance::NotInItsSeat { node },
        Kept::Unlinked(node) => Hindrance::NotLinked { leader, node },
        Kept::Lagging(node) => Hindrance::NotCaughtUp { leader, node },
        Kept::UnderWay(to) => Hindrance::UnderWay { to: Some(to) },
        Kept::Alone | Kept::NotLeader | Kept::Told(_) => Hindrance::NobodyElse { leader },
    }
}

fn obstacle(leader: NodeId, why: Unchanged, detail: String) -> Obstacle {
    match why {
        Unchanged::Stranger(node) => Obstacle::NotAMember { node },
        Unchanged::NobodyLeft => Obstacle::NobodyLeft,
        Unchanged::TooMany(limit) => Obstacle::TooMany { limit },
        Unchanged::Unlinked(node) => Obstacle::NotReached { leader, node, why: detail },
        Unchanged::Lagging(node) => Obstacle::NotCaughtUp { leader, node },
        Unchanged::Undone => Obstacle::Undone { leader },
        Unchanged::NoMajority | Unchanged::NotLeader | Unchanged::Busy(_) => Obstacle::NoMajority { leader },
    }
}

fn not_transferred(why: Hindrance) -> Refusal {
    Refusal::NotTransferred { why }
}

fn in_doubt(why: String) -> Error {
    Error::Unknown(Doubt::Deadline { why })
}
