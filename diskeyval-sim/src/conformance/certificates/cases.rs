//! The certificates. What they are, and how they are received, stands in the guide as well.

mod names;
mod paths;

use super::mint::{Credentials, Mint};

/// One certificate, and how a node receives whoever has it.
pub(super) struct Case {
    pub(super) name: &'static str,
    /// What is shown, for the guide.
    #[cfg_attr(not(test), expect(dead_code, reason = "the guide is held to it"))]
    pub(super) what: &'static str,
    /// What has made it, for the guide.
    #[cfg_attr(not(test), expect(dead_code, reason = "the guide is held to it"))]
    pub(super) by: &'static str,
    /// When its holder dials the node.
    pub(super) dials: Verdict,
    /// When the node dials its holder.
    pub(super) dialled: Verdict,
    pub(super) make: fn(&Mint) -> Credentials,
}

/// How somebody is received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A link comes up.
    Linked,
    /// There is none, and the node says so in a sentence with these words.
    Refused(&'static str),
    /// The same, and the other end is not told: rustls has no alert for it.
    CutOff(&'static str),
}

use Verdict::{CutOff, Linked, Refused};

const RCGEN: &str = "rcgen";
const OPENSSL: &str = "openssl";
const HAND: &str = "hand";

/// Let in at both ends.
const fn good(
    name: &'static str,
    by: &'static str,
    what: &'static str,
    make: fn(&Mint) -> Credentials,
) -> Case {
    Case { name, what, by, dials: Linked, dialled: Linked, make }
}

/// Refused at both ends, for one reason.
const fn bad(
    name: &'static str,
    by: &'static str,
    what: &'static str,
    why: &'static str,
    make: fn(&Mint) -> Credentials,
) -> Case {
    Case { name, what, by, dials: Refused(why), dialled: Refused(why), make }
}

/// The certificate of somebody else: whoever dials with it has to say another name, and whoever is dialled is not meant.
const fn other(
    name: &'static str,
    by: &'static str,
    what: &'static str,
    make: fn(&Mint) -> Credentials,
) -> Case {
    Case { name, what, by, dials: Refused(HELLO), dialled: Refused(NOT_MEANT), make }
}

const HELLO: &str = "its hello says node-1, its certificate does not";
const NOT_MEANT: &str = "dialled node-1, but the certificate there is that of";

/// All of them.
pub(super) fn all() -> impl Iterator<Item = &'static Case> {
    [names::CASES, paths::CASES].into_iter().flatten()
}
