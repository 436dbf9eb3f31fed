//! Wrong behaviours with names, to measure what finds them: a simulator is as good as the mutants that it kills.
//!
//! Each is a bug that such systems had, or one of its kin; the ledger gives its number. At
//! most one is armed at a time, for the whole process. Where a mutant would act, the code asks `is`, after everything else
//! that has to hold, so that a hit means that the wrong way was taken and not only passed by.
//!
//! Without the feature `mutants` nothing of this is compiled: `is` is a constant, and the wrong ways are dead code.

// Without the feature nobody outside sees this module.
#![cfg_attr(not(feature = "mutants"), allow(unreachable_pub))]

#[cfg(feature = "mutants")]
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// One line for each: variant, name, number in the ledger, and what is wrong.
macro_rules! mutants {
    ($($variant:ident, $name:literal, $ledger:literal, $what:literal;)*) => {
        /// A wrong behaviour.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Mutant {
            $(#[doc = $what] $variant,)*
        }

        /// All of them.
        #[cfg(feature = "mutants")]
        pub const ALL: &[Mutant] = &[$(Mutant::$variant,)*];

        #[cfg(feature = "mutants")]
        impl Mutant {
            /// Its name, in kebab case.
            pub fn name(self) -> &'static str {
                match self { $(Mutant::$variant => $name,)* }
            }

            /// Its number in the ledger of faults.
            pub fn ledger(self) -> &'static str {
                match self { $(Mutant::$variant => $ledger,)* }
            }

            /// What is wrong, in a sentence.
            pub fn what(self) -> &'static str {
                match self { $(Mutant::$variant => $what,)* }
            }

            /// The mutant of this name.
            pub fn from_name(name: &str) -> Option<Mutant> {
                ALL.iter().copied().find(|mutant| mutant.name() == name)
            }
        }
    };
}

mutants! {
    // Ballots and elections. What has to be durable is only missed on a disk, by whoever starts again.
    VoteBeforeDurable, "vote-before-durable", "1", "A vote is given to another before it is durable.";
    OwnVoteBeforeDurable, "own-vote-before-durable", "1", "A candidate counts its own vote before it is durable.";
    VoteNotStored, "vote-not-stored", "2a", "The ballot is stored with its term and without its vote.";
    TermNotStored, "term-not-stored", "2b", "A term that was entered without a vote is not stored.";
    BallotNotRecalled, "ballot-not-recalled", "2", "A node that starts again does not read its ballot.";
    StepDownForgetsVote, "step-down-forgets-vote", "3", "Who finds a leader in its own term forgets whom it voted for.";
    VotesTwice, "votes-twice", "4a", "A vote is given to whoever asks, again and again within a term.";
    VotesInPastTerm, "votes-in-past-term", "4a", "A request of a term that is over is granted.";
    CountsGrantsOfOtherTerms, "counts-grants-of-other-terms", "4b", "A vote that was given in another term counts.";
    CountsGrantTwice, "counts-grant-twice", "4c", "A vote that comes twice counts twice.";
    IndexBeforeTerm, "index-before-term", "5a", "The longer log is taken for the more complete, whatever its last term.";
    ComponentWise, "component-wise", "5b", "A log must be ahead both in term and in length to be complete enough.";
    VotesForAnyLog, "votes-for-any-log", "5", "A candidate is granted a vote whatever is missing in its log.";
    PreVoteIsVote, "pre-vote-is-vote", "7", "Who is asked whether it would vote enters the term and votes.";
    PreGrantsCountAsVotes, "pre-grants-count-as-votes", "7", "Who would vote counts as who has voted.";
    IgnoresHigherTermInReply, "ignores-higher-term-in-reply", "8", "A higher term in an answer moves nobody.";
    NoCheckQuorum, "no-check-quorum", "9", "A leader that hears nobody goes on leading.";
    LearnersKeepQuorum, "learners-keep-quorum", "9", "A leader that hears learners in the place of voters goes on leading.";
    NoJitter, "no-jitter", "10", "All wait for equally long before they stand for election.";
    NoPreVote, "no-pre-vote", "10", "Who hears no leader stands for election without asking first.";
    LeaderIsNotSticky, "leader-is-not-sticky", "10", "A leader helps others to be elected.";
    FollowersAreNotSticky, "followers-are-not-sticky", "10", "A follower of a living leader helps others to be elected.";
    HalfIsMajority, "half-is-majority", "18a", "Half of an even number of members is taken for a majority.";
    VotesForAnotherLife, "votes-for-another-life", "39", "A vote that was given to one life of a node is given to the next, too.";
    AnotherLifeCounts, "another-life-counts", "39", "A member counts without its memory, under its name alone.";
    JointAsksOneHalf, "joint-asks-one-half", "33", "While the voters change, those who come decide alone.";
    EmptySeatCounts, "empty-seat-counts", "36a", "Who waits for an empty seat counts as if it sat there.";

    // Founding and seats. Most of these need members that lose their memory while a seat is empty or being filled.
    FoundsWithoutAsking, "founds-without-asking", "71", "A cluster is founded before the other members were heard or given time.";
    VotesByNameUnasked, "votes-by-name-unasked", "71", "A node votes by name, and stands for election, though it may not found.";
    ForgetsWhoIsFounded, "forgets-who-is-founded", "71", "A founded member that is away for a while is forgotten.";
    FillsSeatBeforeOwnCommit, "fills-seat-before-own-commit", "31", "A leader fills a seat before an entry of its own term is committed.";
    FillsSeatOnUncommitted, "fills-seat-on-uncommitted", "34", "A leader fills a seat while the last change of seats is not committed.";
    SeatSwappedAtOnce, "seat-swapped-at-once", "39", "A seat goes from one life to the next in one step.";
    MatchOutlivesLife, "match-outlives-life", "39", "What a member held is credited to its next life.";
    ConfigurationOutlivesEntry, "configuration-outlives-entry", "37", "Members stay in force though their entry is given up.";
    SpeaksBeforeIncarnation, "speaks-before-incarnation", "39", "A node tells its incarnation before that is durable.";
    ClusterIdUnchecked, "cluster-id-unchecked", "76", "A member of another founded cluster is welcome.";
    ClusterNameUnchecked, "cluster-name-unchecked", "76", "A node that was started for another cluster is welcome.";

    // Changes of the members.
    MembersAtApply, "members-at-apply", "32", "Members are in force when their entry is committed, and not before.";
    LearnerCounts, "learner-counts", "36a", "An entry is committed with a learner in the place of a voter.";
    LearnerCampaigns, "learner-campaigns", "6", "A learner stands for election.";
    PromotesUnready, "promotes-unready", "36c", "Who has not caught up becomes a voter.";
    JointLeftEarly, "joint-left-early", "34b", "A change of the voters ends before it is committed that it has begun.";
    JointNeverLeft, "joint-never-left", "34b", "A change of the voters that another leader has begun is not ended.";
    JointNotInSnapshot, "joint-not-in-snapshot", "34a", "That the voters change does not stand in snapshots.";
    ReturnsTooLate, "returns-too-late", "34", "A change of the voters is undone by a leader that has not begun it.";
    RemovedLeaderCounts, "removed-leader-counts", "38a", "A leader that is removed counts itself.";
    LeavesBeforeCommit, "leaves-before-commit", "38b", "A leader that is removed is gone before that is committed.";
    RemovedIsWelcome, "removed-is-welcome", "10", "Who was removed is linked all the same.";
    AppliedMembersRank, "applied-members-rank", "39", "Which of two lives of a node is linked, the members tell that were applied, and not those in the log.";
    GuestGoesWithNamesake, "guest-goes-with-namesake", "76", "Who is linked though it is no member is forgotten when another under its name goes.";
    GuestsAreServed, "guests-are-served", "76", "Who is no member, and claims to know newer ones, is served what it asks for.";
    RecoveredKeepsCluster, "recovered-keeps-cluster", "35", "Who goes on alone goes on as the same cluster.";
    RecoveredKeepsRevisions, "recovered-keeps-revisions", "35", "Who goes on alone gives the next revisions once more.";
    RecoveredLosesTail, "recovered-loses-tail", "35", "Who goes on alone goes on without what it holds beyond what is committed.";

    // Replication.
    AckBeforeDurable, "ack-before-durable", "69", "Entries are acknowledged before they are durable.";
    CommitsOlderTerms, "commits-older-terms", "11", "An entry of an older term is committed by counting (figure 8).";
    CountsOwnVolatile, "counts-own-volatile", "12", "A leader counts its own entries before they are durable.";
    TruncatesOnOverlap, "truncates-on-overlap", "13", "An append that overlaps the log replaces it, conflict or not.";
    KeepsWhatConflicts, "keeps-what-conflicts", "14", "An entry that conflicts with the leader's is kept and acknowledged.";
    HeartbeatCommitUnclamped, "heartbeat-commit-unclamped", "15", "A heartbeat tells followers to commit what they may not hold.";
    CommitNoticeUnclamped, "commit-notice-unclamped", "15", "Followers are told at once to commit what they may not hold.";
    NackAdvancesMatch, "nack-advances-match", "17a", "The hint of a refusal is taken for an acknowledgement.";
    AckOutlivesTerm, "ack-outlives-term", "17b", "What was shown by an older leader is acknowledged to the new one.";
    CommitsWithOneTooFew, "commits-with-one-too-few", "18c", "An entry is committed with one member less than a majority.";
    ConflictIsIgnored, "conflict-is-ignored", "19", "A leader never goes back to where a follower's log meets its own.";
    AnySyncReleasesAll, "any-sync-releases-all", "20a", "A sync that completes is credited to everything written meanwhile.";
    TruncationNotStored, "truncation-not-stored", "66", "That the end of the log was given up is not stored.";
    ApplySkips, "apply-skips", "21a", "Of many entries that are committed at once, only the last two take effect.";
    UncommittedBytesLeak, "uncommitted-bytes-leak", "21b", "Of entries that are committed at once, only the last gives its bytes back.";
    InFlightBytesLeak, "in-flight-bytes-leak", "21c", "The window of a follower is never given back.";
    AppendWindowIgnored, "append-window-ignored", "80d", "Entries are sent without a window.";
    NoOpeningEntry, "no-opening-entry", "24", "A leader begins without an entry of its own term.";
    HandOverForever, "hand-over-forever", "41", "A leader that hands over waits for its successor for ever.";

    // Snapshots.
    ReleasedIsTermZero, "released-is-term-zero", "16", "An entry that was released is taken for one of term zero.";
    InstallKeepsLog, "install-keeps-log", "42", "A snapshot leaves what stands behind it in the log, whatever that is.";
    OlderSnapshotTaken, "older-snapshot-taken", "43", "A snapshot is taken that is older than the state.";
    MembersNotInSnapshot, "members-not-in-snapshot", "46", "Who takes a snapshot takes the members of the genesis for the present ones.";
    SessionsNotInSnapshot, "sessions-not-in-snapshot", "48", "A snapshot has no sessions.";
    ChunksMixed, "chunks-mixed", "49", "A piece of a snapshot is taken for the next of another.";
    AbsorbedWritesForgotten, "absorbed-writes-forgotten", "51", "Writes whose entries a snapshot has absorbed are not answered.";
    NoResync, "no-resync", "73", "That the state was replaced by a later one is not told.";

    // Reads.
    NoReadRound, "no-read-round", "23", "A leader answers reads without asking whether it still leads.";
    ReadBeforeOwnCommit, "read-before-own-commit", "24", "A leader answers reads before an entry of its own term is committed.";
    OldRoundConfirms, "old-round-confirms", "25", "What confirmed the former round confirms the present one.";
    JoinsRoundUnderWay, "joins-round-under-way", "25", "A read takes its index from a round that began before it was asked.";
    ReadsWithOneTooFew, "reads-with-one-too-few", "18b", "A round is confirmed by one member less than a majority.";
    ReadBeforeApplied, "read-before-applied", "26", "A read is answered before its index is applied.";
    ReadsForgotten, "reads-forgotten", "26", "Reads that were asked of a leader that is gone are forgotten.";
    LeaseFromAnswers, "lease-from-answers", "27", "A lease counts from the answers to its round, not from the asking.";
    LeaseWithoutEnd, "lease-without-end", "28", "A lease that was had once never ends.";
    LeaseSurvivesTransfer, "lease-survives-transfer", "29", "A lease goes on though somebody was told to stand for election.";
    PromiseLostByRestart, "promise-lost-by-restart", "30", "Who has just opened votes at once, though it may have heard a leader.";
    TermEndsPromise, "term-ends-promise", "30", "Who hears of a later term votes at once, though it has heard a leader.";
    AnyAnswerToAnyQuestion, "any-answer-to-any-question", "57", "Any index from any node answers the reads that wait.";

    // Sessions and the front desk.
    NoDedupe, "no-dedupe", "52", "A copy of a write is applied again.";
    OpeningNotIdempotent, "opening-not-idempotent", "56", "A session that is asked for twice is opened anew.";
    EndedSessionKept, "ended-session-kept", "56", "A node whose session was ended while it was no member goes on with that.";
    AbsorbedOpeningForgotten, "absorbed-opening-forgotten", "51", "Whose session a snapshot has absorbed does not ask for it again.";
    InDoubtForgotten, "in-doubt-forgotten", "58a", "A write is refused though an earlier attempt may be in a log.";
    TimeoutIsRefused, "timeout-is-refused", "58a", "A write that has used up its time is refused though it may be in a log.";
    FloorTooHigh, "floor-too-high", "55", "A write declares those before it as ended that are still pending.";
    FollowersKeepNoAnswers, "followers-keep-no-answers", "59", "Followers forget what writes have come to, which the leader keeps.";
    PendingBytesLeak, "pending-bytes-leak", "21b", "A write that fails does not give its bytes back.";
    PendingUnbounded, "pending-unbounded", "80d", "Writes are taken in without a limit.";
    UncommittedUnbounded, "uncommitted-unbounded", "80d", "Entries are taken into the log whatever is uncommitted.";
    LogUnbounded, "log-unbounded", "80d", "Entries are taken into the log whatever it holds.";

    // The disk.
    WriteIsDurable, "write-is-durable", "12", "What is written and not synced yet is promised.";
    OneSlotNamed, "one-slot-named", "2c", "A file is named in one slot of the superblock alone.";
    OneSlotTrusted, "one-slot-trusted", "62", "Only the first slot of the superblock is read.";
    DamageStartsAnew, "damage-starts-anew", "71", "A node whose superblock cannot be read begins anew.";
    HoleIsCut, "hole-is-cut", "61", "A hole in the middle of the log is taken for its end.";
    NeverSeals, "never-seals", "62", "A log that is idle is not sealed.";
    BallotLostWithSegment, "ballot-lost-with-segment", "68", "A new segment does not begin with the ballot in force.";
    SharesSector, "shares-sector", "61", "A flush begins in the sector in which the last one ends.";
    FailedSyncRetried, "failed-sync-retried", "64", "A sync that has failed is tried again, and what it has dropped is promised.";
    LastFlushNotRepeated, "last-flush-not-repeated", "64", "What was read from a cache is promised before it is written again.";
    SegmentGivenUpEarly, "segment-given-up-early", "47", "A segment is given up though no snapshot covers it.";
    SnapshotNotSynced, "snapshot-not-synced", "50", "A snapshot is named before it is durable.";
    PlaceUnchecked, "place-unchecked", "67", "A flush is taken for one of ours wherever it stands.";
    BodyUnchecked, "body-unchecked", "63", "The checksum of a flush is not looked at.";
    FloorIgnored, "floor-ignored", "62", "What the superblock says of the end of the log is not looked at.";
    NeverScrubs, "never-scrubs", "63", "Files are not read again while a node runs.";
    EntryNotDurable, "entry-not-durable", "65", "Of a file that was made, the name is not durable. (Of whoever looks after the disk.)";
    StallUnnoticed, "stall-unnoticed", "70", "A leader whose disk has stalled goes on leading.";
    FullUnnoticed, "full-unnoticed", "70", "Writes are taken in though the disk is full.";
    BeginsAnewUnasked, "begins-anew-unasked", "71", "A damaged node sets its files aside without an offer.";
    OffersWithoutMajority, "offers-without-majority", "71", "A damaged node is offered to begin anew though no majority without it holds everything.";

    // Events.
    AppliesBeforeCommit, "applies-before-commit", "75", "A leader applies and tells what is not committed.";
    RepeatedWriteEmits, "repeated-write-emits", "74", "A copy of a write is told again.";
    DeleteEmitsNothing, "delete-emits-nothing", "74", "A removal is not told.";
    EventsMerged, "events-merged", "74", "Of changes that follow each other at once, the first alone is told.";

    // Links. Most of these need a peer that lies, a stranger that floods, or one that does not read.
    BelievesHello, "believes-hello", "78", "A name is taken from the hello, not from the certificate.";
    HeardBeforeHello, "heard-before-hello", "78", "Who was not welcomed yet is heard.";
    ReplacedLinkIsHeard, "replaced-link-is-heard", "80f", "What comes over a link that was replaced is still delivered.";
    SilentLinkIsKept, "silent-link-is-kept", "80f", "A link that is silent is never given up.";
    TrickleKeepsStranger, "trickle-keeps-stranger", "80a", "A stranger that sends a byte now and then is kept for ever.";
    StrangersUnbounded, "strangers-unbounded", "80a", "Connections without a hello are taken without a limit.";
    TrickleKeepsLink, "trickle-keeps-link", "80a", "A link on which a byte of a frame comes now and then is kept for ever.";
    OneIsACrowd, "one-is-a-crowd", "80a", "Of one node any number of connections are taken.";
    StuckLinkIsKept, "stuck-link-is-kept", "80f", "A link from which nothing leaves is kept until its queue is full.";
    FrameUnbounded, "frame-unbounded", "80b", "A frame may be of any length.";
    MalformedAppend, "malformed-append", "80c", "An append that no honest leader sends is taken.";
    NeverBacksOff, "never-backs-off", "80d", "Who cannot be reached is dialled at the same pace for ever.";
}

#[cfg(feature = "mutants")]
static ARMED: AtomicUsize = AtomicUsize::new(NONE);
#[cfg(feature = "mutants")]
static HITS: AtomicU64 = AtomicU64::new(0);
#[cfg(feature = "mutants")]
const NONE: usize = usize::MAX;

/// Arms a mutant in place of the one that is armed, or none, for all engines of the process, and counts from zero.
#[cfg(feature = "mutants")]
pub fn arm(mutant: Option<Mutant>) {
    ARMED.store(mutant.map_or(NONE, |mutant| mutant as usize), Ordering::SeqCst);
    HITS.store(0, Ordering::SeqCst);
}

/// How often the armed mutant has acted.
#[cfg(feature = "mutants")]
pub fn hits() -> u64 {
    HITS.load(Ordering::SeqCst)
}

/// Whether to go wrong here. To be asked last: it counts as a hit.
#[cfg(feature = "mutants")]
#[inline]
pub(crate) fn is(mutant: Mutant) -> bool {
    let armed = is_armed(mutant);
    if armed {
        HITS.fetch_add(1, Ordering::Relaxed);
    }
    armed
}

/// Whether whoever drives engines is to go wrong here: for the few mutants that are none of the core.
#[cfg(feature = "mutants")]
pub fn acts(mutant: Mutant) -> bool {
    is(mutant)
}

/// Whether to clear the way for a mutant here. It is no hit.
#[cfg(feature = "mutants")]
#[inline]
pub(crate) fn is_armed(mutant: Mutant) -> bool {
    ARMED.load(Ordering::Relaxed) == mutant as usize
}

/// Whether to go wrong here: never.
#[cfg(not(feature = "mutants"))]
#[inline]
pub(crate) const fn is(_: Mutant) -> bool {
    false
}

/// Whether to clear the way for a mutant here: never.
#[cfg(not(feature = "mutants"))]
#[inline]
pub(crate) const fn is_armed(_: Mutant) -> bool {
    false
}

/// Whether each append carries one entry. A leader's own first entry rides in the batch of what stands before it, and while
/// all of that fits into one batch, these bugs do no harm; with entries beyond a quarter of a MiB they would.
#[inline]
pub(crate) fn want_small_batches() -> bool {
    is_armed(Mutant::CommitsOlderTerms) || is_armed(Mutant::TruncatesOnOverlap)
}

#[cfg(not(feature = "mutants"))]
const _: () = assert!(!is(Mutant::NoDedupe), "without the feature no code goes wrong");
#[cfg(not(feature = "mutants"))]
const _: () = assert!(!is(Mutant::EntryNotDurable), "and whoever drives the core asks only with it");
#[cfg(not(feature = "mutants"))]
const _: () = assert!(!is_armed(Mutant::NoDedupe), "and no way is cleared");
