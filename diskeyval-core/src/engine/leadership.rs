//! A wish that another node lead: kept by whoever was asked, passed on to whoever leads, and granted when that node is
//! seen to lead. One at a time; it is no write, so asking twice does no harm.

use alloc::string::String;

use super::{Engine, Phase};
use crate::error::{Doubt, Error, Hindrance, Refusal};
use crate::id::{NodeId, Term, Ticket};
use crate::io::Answer;
use crate::mesh::Service;
use crate::raft::{Asker, Kept};
use crate::time::{Instant, Timer};

#[derive(Clone, Debug)]
pub(super) struct Wish {
    ticket: Ticket,
    to: Option<NodeId>,
    deadline: Instant,
    /// Who led when it was first passed on: anybody else is another, if no name was given.
    not_by: Option<NodeId>,
    /// Which leader has it now, in which reign.
    with: Option<(NodeId, Term)>,
    /// It was with another leader before, who has not said what came of it.
    in_doubt: bool,
    /// It is not passed on before this: the leader has said that it cannot yet.
    pause_until: Option<Instant>,
}

impl Engine {
    pub(super) fn wish(&mut self, ticket: Ticket, to: Option<NodeId>, deadline: Instant) {
        let hindrance = match (&self.wish, &self.phase) {
            (Some(wish), _) => Hindrance::UnderWay { to: wish.to.clone() },
            (None, Phase::Running) => {
                let (not_by, with, in_doubt, pause_until) = (None, None, false, None);
                self.wish = Some(Wish { ticket, to, deadline, not_by, with, in_doubt, pause_until });
                return;
            }
            (None, _) => return self.answer_wish(ticket, Err(Refusal::Stopped.into())),
        };
        self.answer_wish(ticket, Err(not_transferred(hindrance).into()));
    }

    fn answer_wish(&mut self, ticket: Ticket, answer: Result<(), Error>) {
        self.desk.answer(ticket, Answer::Transferred(answer));
    }

    fn end_wish(&mut self, answer: Result<(), Error>) {
        if let Some(wish) = self.wish.take() {
            self.answer_wish(wish.ticket, answer);
        }
    }

    /// Passes the wish on to whoever leads, once in a reign.
    pub(super) fn pass_wish_on(&mut self) {
        self.grant_wish();
        let term = self.raft.term();
        let (Some(wish), Some(leader)) = (&mut self.wish, self.raft.leader().cloned()) else { return };
        if wish.pause_until.is_some()
            || wish.with.as_ref().is_some_and(|with| *with == (leader.clone(), term))
        {
            return;
        }
        wish.in_doubt |= wish.with.take().is_some();
        self.wishes += 1;
        let (to, question) = (wish.to.clone(), self.wishes);
        let asked = if leader == self.id {
            self.raft.hand_over_to(Asker::Own(question), to.as_ref())
        } else if self.mesh.send_service(&leader, Service::Transfer { question, to }, &[]) {
            Ok(())
        } else {
            return;
        };
        wish.not_by.get_or_insert_with(|| leader.clone());
        wish.with = Some((leader, term));
        if let Err(why) = asked {
            self.wish_is_not_granted(question, why);
        }
    }

    /// The wanted node leads, as far as this one sees.
    pub(super) fn grant_wish(&mut self) {
        let (Some(wish), Some(leader)) = (&self.wish, self.raft.leader()) else { return };
        let is_granted = match (&wish.to, &wish.not_by) {
            (Some(to), _) => leader == to,
            (None, Some(not_by)) => leader != not_by,
            (None, None) => false,
        };
        if is_granted {
            self.end_wish(Ok(()));
        }
    }

    /// A leader that has the wish says why nothing has come of it.
    pub(super) fn wish_is_not_granted(&mut self, question: u64, why: Kept) {
        let latest = self.wishes;
        let pause = self.now + self.heartbeat;
        let Some(wish) = &mut self.wish else { return };
        // An answer to an earlier question is of no interest: the wish was passed on since.
        let Some((leader, _)) = wish.with.clone().filter(|_| question == latest) else { return };
        let hindrance = match why {
            Kept::NotLeader => {
                wish.with = None;
                wish.pause_until = Some(pause);
                return;
            }
            Kept::Told(node) => return self.end_wish(Err(Error::Unknown(Doubt::MayStillLead { node }))),
            Kept::Stranger(node) => Hindrance::NotAMember { node },
            Kept::Seatless(node) => Hindrance::NotInItsSeat { node },
            Kept::Unlinked(node) => Hindrance::NotLinked { leader, node },
            Kept::Lagging(node) => Hindrance::NotCaughtUp { leader, node },
            Kept::UnderWay(to) => Hindrance::UnderWay { to: Some(to) },
            Kept::Alone => Hindrance::NobodyElse { leader },
        };
        let error = match wish.in_doubt {
            false => not_transferred(hindrance).into(),
            true => in_doubt(alloc::format!("{hindrance}; an earlier leader was asked, too")),
        };
        self.end_wish(Err(error));
    }

    pub(super) fn wish_is_with(&self, peer: &NodeId) -> bool {
        self.wish.as_ref().and_then(|wish| wish.with.as_ref()).is_some_and(|(leader, _)| leader == peer)
    }

    /// The link to a peer is gone, and with it what was on its way to it.
    pub(super) fn wish_link_down(&mut self, peer: &NodeId) {
        if let Some(wish) = &mut self.wish
            && wish.with.take_if(|(leader, _)| leader == peer).is_some()
        {
            wish.in_doubt = true;
        }
    }

    pub(super) fn wake_wish(&mut self) {
        let now = self.now;
        if let Some(wish) = &mut self.wish {
            wish.pause_until.take_if(|until| now >= *until);
        }
    }

    pub(super) fn wish_deadline(&self) -> Option<crate::time::Deadline> {
        let wish = self.wish.as_ref()?;
        let at = wish.pause_until.map_or(wish.deadline, |until| until.min(wish.deadline));
        Some(crate::time::Deadline { at, why: Timer::Request })
    }

    /// Its time has run out. Whoever has the wish may still grant it.
    pub(super) fn expire_wish(&mut self) {
        let Some(wish) = self.wish.as_ref().filter(|wish| self.now >= wish.deadline) else { return };
        let error = match &wish.with {
            None if !wish.in_doubt => self.refusal().into(),
            Some((leader, _)) => in_doubt(alloc::format!("{leader} was asked to hand over")),
            None => in_doubt("a former leader was asked to hand over".into()),
        };
        self.end_wish(Err(error));
    }

    /// The node goes no further.
    pub(super) fn give_wish_up(&mut self, refusal: &Refusal) {
        let Some(wish) = &self.wish else { return };
        let error = match refusal {
            refusal if wish.with.is_none() && !wish.in_doubt => Error::Refused(refusal.clone()),
            Refusal::Halted(fault) => Error::Unknown(Doubt::Halted(fault.clone())),
            _ => Error::Unknown(Doubt::Stopped),
        };
        self.end_wish(Err(error));
    }
}

fn not_transferred(why: Hindrance) -> Refusal {
    Refusal::NotTransferred { why }
}

fn in_doubt(why: String) -> Error {
    Error::Unknown(Doubt::Deadline { why: alloc::format!("{why}, and leadership may still move") })
}
