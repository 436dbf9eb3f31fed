//! The kinds of faults, by name.

use core::fmt;
use core::str::FromStr;

macro_rules! faults {
    ($($name:ident = $text:literal: $what:literal,)*) => {
        /// A kind of fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault {
            $(#[doc = $what] $name,)*
        }

        impl Fault {
            /// All kinds.
            pub const ALL: &'static [Fault] = &[$(Fault::$name,)*];

            /// Its name in commands and schedules.
            pub fn name(self) -> &'static str {
                match self { $(Fault::$name => $text,)* }
            }

            /// What happens, in a sentence.
            pub fn what(self) -> &'static str {
                match self { $(Fault::$name => $what,)* }
            }
        }
    };
}

faults! {
    Crash = "crash": "A process dies and is started again; its disk keeps what it had completed, and perhaps more.",
    PowerCut = "power-cut": "Several nodes die at the same moment, and are started again.",
    Vanish = "vanish": "A machine dies without a word: nobody is told that its connections are gone.",
    Wipe = "wipe": "A node dies and its disk is lost: it comes back as another incarnation (never more nodes than a quorum can spare).",
    Stop = "stop": "A node is asked to stop in good order, does so, and is started again.",
    Freeze = "freeze": "A process is paused: it takes no turns, and what is sent to it waits.",
    Partition = "partition": "The nodes fall into two groups; what is sent between them waits until that ends.",
    OneWay = "one-way": "From some nodes nothing reaches the others; the other direction works.",
    Mute = "mute": "From one node nothing reaches the others, and it hears them.",
    Bridge = "bridge": "Two groups do not reach each other, but both reach one node.",
    Isolate = "isolate": "One node is cut off from all others.",
    CutLink = "cut-link": "The connections between two nodes break, and what was on its way is lost.",
    FlappingLink = "flapping-link": "The connections between two nodes break again and again.",
    SlowLink = "slow-link": "A link gets slow, in one direction.",
    SlowDisk = "slow-disk": "A disk gets slow.",
    StalledDisk = "stalled-disk": "A disk completes nothing for a while.",
    FullDisk = "full-disk": "A disk has no room for new files for a while.",
    FailedSync = "failed-sync": "A disk fails at its next sync: of what was written any part is lost, and yet it is read until the machine starts anew.",
    FailedWrite = "failed-write": "A disk fails at the next write, or when it is to make, remove or move a file.",
    FailedRead = "failed-read": "A disk fails at its next read, or reads too little.",
    BitFlip = "bit-flip": "A bit on a disk is another (of a node that can be spared; see below).",
    ZeroedSector = "zeroed-sector": "A sector of a disk is zero (likewise).",
    MisdirectedWrite = "misdirected-write": "What was written to one sector is in another place, and its own is as it was before (likewise).",
    LostFile = "lost-file": "A file is gone (likewise).",
    SwappedFile = "swapped-file": "A file is that of another node (likewise).",
    PutBack = "put-back": "A directory is put back from an old copy: its node forgets what it has promised (only where ruin is allowed).",
    ClockRate = "clock-rate": "A clock runs at half to double speed.",
    ClockStep = "clock-step": "A clock jumps, forward or back, by up to an hour.",
    ClockStop = "clock-stop": "A clock stands still.",
    Liar = "liar": "A stranger connects, with the certificate of another node or of none, and says what no honest node would.",
    Reshape = "reshape": "A node is asked to change the members: to add, promote or remove one, or to set all voters anew (only where the members change).",
    Snapshot = "snapshot": "Nodes are asked for a snapshot of what they have applied.",
    Recover = "recover": "A node that can be spared is told to go on alone, as if the quorum were lost for good: while it runs, or by its directory.",
    Transfer = "transfer": "The leader, or another node, is asked to have a certain node lead, or whoever is most advanced.",
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// There is no such fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoSuchFault(pub String);

impl fmt::Display for NoSuchFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no fault {:?}; the names are: all, none", self.0)?;
        Fault::ALL.iter().try_for_each(|fault| write!(f, ", {fault}"))
    }
}

impl std::error::Error for NoSuchFault {}

impl FromStr for Fault {
    type Err = NoSuchFault;

    fn from_str(name: &str) -> Result<Fault, NoSuchFault> {
        let found = Fault::ALL.iter().find(|fault| fault.name() == name);
        found.copied().ok_or_else(|| NoSuchFault(name.to_owned()))
    }
}

/// Reads a list of names with commas between them, `all` or `none`.
///
/// # Errors
/// [`NoSuchFault`] if a name is none.
pub fn parse_list(list: &str) -> Result<Vec<Fault>, NoSuchFault> {
    match list {
        "all" => Ok(Fault::ALL.to_vec()),
        "none" => Ok(Vec::new()),
        names => names.split(',').map(|name| name.trim().parse()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_names_or_all_or_none() {
        assert_eq!(parse_list("all").map(|all| all.len()), Ok(Fault::ALL.len()));
        assert_eq!(parse_list("none"), Ok(Vec::new()));
        assert_eq!(parse_list("crash, liar"), Ok(vec![Fault::Crash, Fault::Liar]));
        assert_eq!(parse_list("crahs"), Err(NoSuchFault("crahs".into())));
    }
}
