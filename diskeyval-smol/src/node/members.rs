//! Who belongs to the cluster, as a program sees and changes it.

use diskeyval_core::{Address, Answer, Error, Member, MemberChange, MemberStatus, NodeId, Part, Request};

use super::Node;
use crate::pending::Pending;

/// # Members
///
/// Any node can be asked, and whoever leads carries it out. One change at a time: another that is asked for meanwhile ends
/// as [`MembershipBusy`](crate::Refusal::MembershipBusy). Asking for what is so already changes nothing, so a call that
/// ended as [`Error::Unknown`] can be made again.
///
/// A node that becomes a voter has to catch up first, for which the call waits, but not for longer than it may take: give
/// it more by [`with_timeout`](Node::with_timeout), or add the node as a learner first.
impl Node {
    /// These are the voters from now on, and no others. Who comes is brought up to date first; who goes may be the leader,
    /// or this node. Learners that are not named stay what they are. Where no address is said, the one that is known
    /// stays. Gives the revision by which it is so at the latest.
    ///
    /// # Errors
    /// [`Refusal::NotChanged`](crate::Refusal::NotChanged) says what is in the way ([`Obstacle`](crate::Obstacle)):
    /// nobody would be left, a node is named twice, there would be too many, or one that comes is not reached or does not
    /// catch up in time. [`Refusal::MembershipBusy`](crate::Refusal::MembershipBusy): another change is under way.
    /// [`Refusal::NoQuorum`](crate::Refusal::NoQuorum): no leader was known in all the time. [`Error::Unknown`]: the
    /// leader was asked, and has not said in time what came of it; the members may still change.
    ///
    /// # Cancellation
    /// As [`set`](Node::set): nothing is asked for before the first poll. Once polled, it is never withdrawn: it takes its course, and dropping the
    /// future only means not to learn what became of it.
    #[doc(alias = "setPeers")]
    pub async fn reconfigure(&self, members: impl IntoIterator<Item = Member>) -> Result<u64, Error> {
        let members = members.into_iter().collect();
        self.submit_change(MemberChange::Reconfigure { members }).await
    }

    /// Announces a node: it is brought up to date from now on, serves, and does not vote. It need not be there yet. Without
    /// an address it is not dialled, and comes by itself.
    ///
    /// # Errors
    /// As [`reconfigure`](Node::reconfigure).
    ///
    /// # Cancellation
    /// As [`set`](Node::set): nothing is asked for before the first poll. Once polled, it is never withdrawn: it takes its course, and dropping the
    /// future only means not to learn what became of it.
    pub async fn add_learner(&self, member: Member) -> Result<u64, Error> {
        self.submit_change(MemberChange::AddLearner { member }).await
    }

    /// Makes a learner a voter, once it has caught up.
    ///
    /// # Errors
    /// As [`reconfigure`](Node::reconfigure).
    ///
    /// # Cancellation
    /// As [`set`](Node::set): nothing is asked for before the first poll. Once polled, it is never withdrawn: it takes its course, and dropping the
    /// future only means not to learn what became of it.
    pub async fn promote(&self, node: &NodeId) -> Result<u64, Error> {
        self.submit_change(MemberChange::Promote { node: node.clone() }).await
    }

    /// A voter or a learner is no member from now on; it may be this node. The removed one is told
    /// ([`Event::Removed`](crate::Event::Removed)), serves no more and disturbs nobody. End it, or have it taken in anew by
    /// [`add_learner`](Node::add_learner).
    ///
    /// # Errors
    /// As [`reconfigure`](Node::reconfigure).
    ///
    /// # Cancellation
    /// As [`set`](Node::set): nothing is asked for before the first poll. Once polled, it is never withdrawn: it takes its course, and dropping the
    /// future only means not to learn what became of it.
    pub async fn remove(&self, node: &NodeId) -> Result<u64, Error> {
        self.submit_change(MemberChange::Remove { node: node.clone() }).await
    }

    /// A member is dialled there from now on. This is for nodes that do not know where they are reached. One that listens
    /// where others can dial it, or was told where they can (`advertise`), announces that by itself, and what it says goes
    /// before this.
    ///
    /// # Errors
    /// As [`reconfigure`](Node::reconfigure).
    ///
    /// # Cancellation
    /// As [`set`](Node::set): nothing is asked for before the first poll. Once polled, it is never withdrawn: it takes its course, and dropping the
    /// future only means not to learn what became of it.
    pub async fn update_address(&self, node: &NodeId, address: Address) -> Result<u64, Error> {
        self.submit_change(MemberChange::UpdateAddress { node: node.clone(), address }).await
    }

    /// Hands a change of the members over without waiting for it.
    pub fn submit_change(&self, change: MemberChange) -> Pending<u64> {
        self.ask(Request::ChangeMembers { change }, |answer| match answer {
            Answer::MembersChanged(result) => Some(result),
            _ => None,
        })
    }

    /// The members as this node knows them: names, parts, addresses, seats. What it knows may be behind, or may not be
    /// committed yet. A node that joins knows none before it is taken in.
    ///
    /// # Errors
    /// [`Error::Refused`] if the node has ended.
    ///
    /// # Cancellation
    /// It only looks.
    pub async fn members(&self) -> Result<Vec<MemberStatus>, Error> {
        let status = self.status().await?;
        if self.inner.joins && status.cluster_id.is_none() {
            return Ok(Vec::new());
        }
        let mut members = status.members;
        members.retain(|member| member.part != Part::Stranger);
        Ok(members)
    }
}
