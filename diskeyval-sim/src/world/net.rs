//! The wires: dials, connections, and the bytes on their way.
//!
//! A connection never reorders, as TCP: what is torn, delayed or stalled arrives in its order, or is lost with the
//! connection. Disorder comes from several connections, and from one that follows another.

use core::time::Duration;
use std::collections::VecDeque;

use bytes::Bytes;
use diskeyval_core::inspect::Ear;
use diskeyval_core::{ConnId, NodeId};

use crate::observe::Time;

/// Who is at an end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Party {
    Node(usize),
    /// A stranger, by its number.
    Liar(usize),
}

/// A connection between two parties. Side 0 has dialled.
#[derive(Clone, Debug)]
pub(super) struct Conn {
    pub(super) sides: [Side; 2],
    /// Whether anything that is sent on it arrives.
    pub(super) carries: bool,
}

/// One end, and what it has sent.
#[derive(Clone, Debug)]
pub(super) struct Side {
    pub(super) party: Party,
    /// Whether its program has it open.
    pub(super) open: bool,
    pub(super) pipe: Pipe,
}

/// What is on its way in one direction.
#[derive(Clone, Debug, Default)]
pub(super) struct Pipe {
    pub(super) pieces: VecDeque<Piece>,
    /// When the last piece arrives at the earliest.
    pub(super) last: Time,
    /// Bytes that are on their way.
    pub(super) bytes: usize,
    /// Bytes that the sender was not told to be gone yet.
    pub(super) owed: usize,
    /// Behind the last piece nothing follows: the sender has closed.
    pub(super) ended: bool,
    /// A delivery waits until the direction is no longer blocked.
    pub(super) stalled: bool,
    pub(super) ear: Ear,
}

/// A piece of a stream, and the numbers of the words that end in it.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    /// When it arrives at the earliest.
    pub(super) at: Time,
    pub(super) bytes: Bytes,
    /// Their numbers, and their kinds.
    pub(super) words: Vec<(u64, usize)>,
}

impl Conn {
    pub(super) fn new(dialler: Party, acceptor: Party) -> Conn {
        let side = |party| Side { party, open: true, pipe: Pipe::default() };
        Conn { sides: [side(dialler), side(acceptor)], carries: true }
    }

    /// Whether it is between these two nodes.
    pub(super) fn is_between(&self, one: usize, other: usize) -> bool {
        let [left, right] = [self.sides[0].party, self.sides[1].party];
        let (one, other) = (Party::Node(one), Party::Node(other));
        (left, right) == (one, other) || (left, right) == (other, one)
    }

    /// All that was on its way is lost. Gives the words that were.
    pub(super) fn drop_pieces(&mut self) -> Vec<(u64, usize)> {
        let pipes = self.sides.iter_mut().map(|side| &mut side.pipe);
        pipes.flat_map(|pipe| pipe.pieces.drain(..)).flat_map(|piece| piece.words).collect()
    }

    /// The side of a party, if it is open there.
    pub(super) fn side_of(&self, party: Party) -> Option<usize> {
        (0..2).find(|side| self.sides[*side].party == party && self.sides[*side].open)
    }
}

/// The number that one side of a connection has for its program.
pub(super) fn conn_id(conn: usize, side: usize) -> ConnId {
    ConnId(conn as u64 * 2 + side as u64)
}

/// The connection and the side of a number.
pub(super) fn conn_of(id: ConnId) -> (usize, usize) {
    (usize::try_from(id.0 / 2).expect("a number that was given"), usize::from(id.0 % 2 == 1))
}

/// Which directions are blocked or slow.
#[derive(Clone, Debug)]
pub(super) struct Routes {
    nodes: usize,
    /// By from and to: how many disturbances block the direction.
    blocks: Vec<u32>,
    slower: Vec<Duration>,
}

impl Routes {
    pub(super) fn new(nodes: usize) -> Routes {
        Routes { nodes, blocks: vec![0; nodes * nodes], slower: vec![Duration::ZERO; nodes * nodes] }
    }

    pub(super) fn is_blocked(&self, from: usize, to: usize) -> bool {
        self.blocks[from * self.nodes + to] > 0
    }

    /// Blocks a direction. Tells whether it was free.
    pub(super) fn block(&mut self, from: usize, to: usize) -> bool {
        let blocks = &mut self.blocks[from * self.nodes + to];
        *blocks += 1;
        *blocks == 1
    }

    /// Takes one block away. Tells whether the direction is free now.
    pub(super) fn unblock(&mut self, from: usize, to: usize) -> bool {
        let blocks = &mut self.blocks[from * self.nodes + to];
        let was = *blocks;
        *blocks = was.saturating_sub(1);
        was == 1
    }

    pub(super) fn slower(&self, from: usize, to: usize) -> Duration {
        self.slower[from * self.nodes + to]
    }

    pub(super) fn set_slower(&mut self, from: usize, to: usize, by: Duration) {
        self.slower[from * self.nodes + to] = by;
    }

    /// All directions that are blocked.
    pub(super) fn blocked(&self) -> Vec<(usize, usize)> {
        let pairs = (0..self.nodes).flat_map(|from| (0..self.nodes).map(move |to| (from, to)));
        pairs.filter(|(from, to)| self.is_blocked(*from, *to)).collect()
    }

    /// Nothing is blocked or slow any more.
    pub(super) fn heal(&mut self) {
        self.blocks.fill(0);
        self.slower.fill(Duration::ZERO);
    }
}

/// The name of a node.
pub(super) fn node_id(node: usize) -> NodeId {
    NodeId::new(&crate::notes::name(node)).expect("a good name")
}
