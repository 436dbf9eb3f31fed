//! Members of a cluster of processes that come and go.

use std::fs;
use std::io;

use diskeyval_mio::{Member, MemberChange, NodeId, Peer};

use super::{Cluster, Halt, name};
use crate::demo::words::Order;

impl Cluster {
    /// Asks a node that the members change. What came of it is told by [`Cluster::changed`].
    pub(in crate::demo) fn ask_for_change(&mut self, asked: usize, change: MemberChange) -> Result<(), Halt> {
        self.told[asked].changed = None;
        // It may be killed at any time, and then it is not told.
        if self.told[asked].may_go { Ok(()) } else { self.order(asked, &Order::Change(change)) }
    }

    /// By which entry the members have changed, or why not; once the node that was asked has said so, or is gone.
    pub(in crate::demo) fn changed(&self, asked: usize) -> Option<Result<u64, String>> {
        let told = &self.told[asked];
        told.changed.clone().or_else(|| told.may_go.then(|| Err("it was killed".into())))
    }

    /// Whoever is a member, and runs, as far as is known.
    pub(in crate::demo) fn serving(&self) -> Vec<usize> {
        self.living().into_iter().filter(|number| self.told[*number].ready).collect()
    }

    /// In which of its lives a node is.
    pub(in crate::demo) fn life(&self, number: usize) -> u64 {
        self.setups[number].life
    }

    /// Who is no member.
    pub(in crate::demo) fn outside(&self) -> Vec<usize> {
        self.outside.iter().copied().collect()
    }

    /// The node, and where it is found.
    pub(in crate::demo) fn member(&self, number: usize) -> Result<Member, Halt> {
        let address = self.told[number].listening.and_then(|address| address.to_string().parse().ok());
        Ok(Member { node: self.id(number)?, address })
    }

    /// The name of a node, for a change of the members.
    pub(in crate::demo) fn id(&self, number: usize) -> Result<NodeId, Halt> {
        NodeId::new(&name(number)).map_err(|error| Halt::Trouble(error.to_string()))
    }

    /// Whether a node is in its seat, as far as it has told.
    pub(in crate::demo) fn is_ready(&self, number: usize) -> bool {
        self.told[number].ready
    }

    /// Whether a node has learned that it is no member, or was turned away by one.
    pub(in crate::demo) fn knows_it_is_outside(&self, number: usize) -> bool {
        self.told[number].removed || self.told[number].turned_away
    }

    /// A node is a member from now on, and its clients begin.
    pub(in crate::demo) fn take_in(&mut self, number: usize) -> Result<(), Halt> {
        self.outside.remove(&number);
        if self.told[number].may_go { Ok(()) } else { self.go(number) }
    }

    /// A node is no member any more. Its clients end when it learns that.
    pub(in crate::demo) fn leave(&mut self, number: usize) {
        self.outside.insert(number);
    }

    /// Kills a node that is no member, and starts it again from its disk, without clients.
    pub(in crate::demo) fn restart(&mut self, number: usize) -> Result<(), Halt> {
        self.kill(number)?;
        self.revive(number, |_| {})
    }

    /// Starts a node that was removed as another that is to join: with an empty directory, and told of one member alone.
    pub(in crate::demo) fn renew(&mut self, number: usize, known: usize) -> Result<(), Halt> {
        self.kill(number)?;
        self.gone(number)?;
        self.replace(number)?;
        let peer = self.told[known].listening.map(|address| (address.ip().to_string(), address.port()));
        let config = &mut self.setups[number].config;
        if let Some(kept) = &config.persistence {
            match fs::remove_dir_all(&kept.dir) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Halt::Trouble(format!("{} cannot be emptied: {error}", kept.dir)));
                }
                Ok(()) | Err(_) => {}
            }
        }
        config.join = true;
        config.peers.clear();
        let known = self.id(known)?;
        let peers = &mut self.setups[number].config.peers;
        peers.extend(peer.map(|(host, port)| Peer { node_id: known, host, port }));
        self.set_up_again(number)
    }

    /// For how many elections these nodes have stood since they were started, all together.
    pub(in crate::demo) fn elections_of(&mut self, numbers: &[usize]) -> Result<u64, Halt> {
        for &number in numbers {
            self.told[number].elections = None;
            self.order(number, &Order::Elections)?;
        }
        self.sit_out("the removed nodes to say whether they stood for election", |cluster| {
            numbers.iter().all(|number| cluster.told[*number].elections.is_some())
        })?;
        Ok(numbers.iter().filter_map(|number| self.told[*number].elections).sum())
    }
}
