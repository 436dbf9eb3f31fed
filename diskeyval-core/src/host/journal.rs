//! What happens on a node, as lines of the log.

use std::format_args;
use std::vec::Vec;

use tracing::{debug, error, info, warn};

use crate::error::DialError;
use crate::id::NodeId;
use crate::io::Event;

/// Writes events to the log of the program. It repeats nothing.
#[derive(Debug)]
pub struct Journal {
    node: NodeId,
    /// Why each peer was out of reach at the last dial.
    unreachable: Vec<(NodeId, DialError)>,
}

impl Journal {
    /// That of a node.
    pub fn new(node: NodeId) -> Journal {
        Journal { node, unreachable: Vec::new() }
    }

    /// Writes down what happened, if it is worth it.
    pub fn note(&mut self, event: &Event) {
        let node = &self.node;
        match event {
            Event::Change(_) => {}
            Event::Leader { leader: Some(leader), term } => info!(%node, %leader, %term, "there is a leader"),
            Event::Leader { leader: None, term } => info!(%node, %term, "there is no leader"),
            Event::LinkUp { peer } => {
                self.unreachable.retain(|(other, _)| other != peer);
                info!(%node, %peer, "a link is up");
            }
            Event::LinkDown { peer, why } => warn!(%node, %peer, %why, "a link is down"),
            Event::Unreachable { peer, why } => {
                let last = self.unreachable.iter_mut().find(|(other, _)| other == peer);
                match last {
                    Some((_, last)) if last == why => {
                        debug!(%node, %peer, %why, "a peer is still out of reach")
                    }
                    Some((_, last)) => {
                        *last = why.clone();
                        warn!(%node, %peer, %why, "a peer is out of reach");
                    }
                    None => {
                        self.unreachable.push((peer.clone(), why.clone()));
                        warn!(%node, %peer, %why, "a peer is out of reach");
                    }
                }
            }
            Event::Resync { revision } => info!(%node, revision, "the state has moved on at once"),
            Event::Rotten(damage) => {
                warn!(%node, %damage, "a file has rotted: it is written anew from memory, and set aside")
            }
            Event::Damaged(damage) => {
                error!(%node, %damage, "this node keeps out of everything, and keeps its files")
            }
            Event::PeerDamaged { peer } => {
                self.unreachable.retain(|(other, _)| other != peer);
                warn!(%node, %peer, "a file of a peer is damaged, and it keeps out of everything");
            }
            Event::BegunAnew { set_aside, under } => {
                let under = format_args!("aside-{under:016x}-");
                warn!(%node, files = set_aside, %under, "this node begins anew, and has set its damaged files aside");
            }
            Event::CertsRenewed => info!(%node, "certificates were renewed, and links move over"),
            Event::CertsRefused { why } => {
                warn!(%node, why, "new certificates cannot be used, and the former ones stay in force");
            }
            Event::CertExpires { whose, days_left } if *days_left < 1 => {
                error!(%node, whose, days_left, "a certificate ends within a day, or has ended: renew it");
            }
            Event::CertExpires { whose, days_left } => {
                warn!(%node, whose, days_left, "a certificate ends soon: renew it");
            }
            Event::NotAdmitted { why } => warn!(%node, why, "this node does not serve"),
            Event::Admitted => info!(%node, "this node is in its seat, and serves"),
            Event::Removed => warn!(%node, "this node was removed from its cluster, and serves no more"),
        }
    }
}
