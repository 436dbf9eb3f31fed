//! The few words of the protocol that a stranger needs, as [the guide](https://docs.rs/diskeyval-core) writes them down
//! (`docs/src/wire.md`): the suite knows no more of nodes than others do, so it does not ask the core for them.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

/// What an end of a connection says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Hello {
    pub(super) versions: (u16, u16),
    pub(super) cluster_name: String,
    pub(super) cluster: Option<u128>,
    pub(super) node: String,
    pub(super) incarnation: u128,
    pub(super) boot: u128,
    /// 0: memory.
    pub(super) storage: u32,
    pub(super) initial_members: Option<u64>,
    pub(super) seated: Option<u64>,
    /// Index and term.
    pub(super) configuration: (u64, u64),
    pub(super) named: Option<u64>,
    /// `HOST:PORT`.
    pub(super) address: Option<String>,
    pub(super) leader_priority: u8,
    pub(super) damaged: bool,
}

impl Hello {
    /// That of a node which was started with these initial members, and has not met anybody yet.
    pub(super) fn of(node: &str, members: [&str; 2]) -> Hello {
        let mut members = members;
        members.sort_unstable();
        let listed: Vec<u8> = members.iter().flat_map(|id| [id.as_bytes(), &[0]].concat()).collect();
        Hello {
            versions: (1, 1),
            cluster_name: "diskeyval".into(),
            cluster: None,
            node: node.into(),
            incarnation: 77,
            boot: 78,
            storage: 0,
            initial_members: Some(xxh3_64(&listed)),
            seated: None,
            configuration: (0, 0),
            named: None,
            address: None,
            leader_priority: 0,
            damaged: false,
        }
    }
}

/// A frame, as far as strangers understand it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Word {
    Hello(Hello),
    Welcome(Hello),
    Confirm,
    Goodbye(String),
    Other,
}

impl Word {
    pub(super) fn to_frame(&self) -> Vec<u8> {
        let body = match self {
            Word::Hello(hello) => postcard::to_allocvec(&(0_u32, hello)),
            Word::Welcome(hello) => postcard::to_allocvec(&(1_u32, 1_u16, hello)),
            Word::Confirm => postcard::to_allocvec(&2_u32),
            Word::Goodbye(reason) => postcard::to_allocvec(&(3_u32, reason)),
            Word::Other => postcard::to_allocvec(&4_u32),
        };
        let body = body.expect("it can be written");
        [&u32::try_from(body.len()).expect("short").to_le_bytes(), &body[..]].concat()
    }

    /// Takes the first frame off what was received, if all of it is there.
    pub(super) fn take_from(received: &mut Vec<u8>) -> Option<Word> {
        let length: [u8; 4] = received.get(..4)?.try_into().ok()?;
        let length = u32::from_le_bytes(length) as usize;
        let body = received.get(4..4 + length)?;
        let word = match postcard::take_from_bytes::<u32>(body) {
            Ok((0, rest)) => postcard::from_bytes(rest).map(Word::Hello),
            Ok((1, rest)) => {
                postcard::from_bytes::<(u16, Hello)>(rest).map(|(_, hello)| Word::Welcome(hello))
            }
            Ok((2, _)) => Ok(Word::Confirm),
            Ok((3, rest)) => postcard::from_bytes(rest).map(Word::Goodbye),
            _ => Ok(Word::Other),
        };
        let word = word.unwrap_or_else(|why| panic!("a node says what nobody understands: {why}"));
        received.drain(..4 + length);
        Some(word)
    }
}
