//! Schedule files: a plan in words, one line for each thing that is done.
//!
//! ```text
//! diskeyval schedule 1
//! nodes 3
//! at 1.5s client 1 asks n2 set k0 within 2s
//! at 2250ms crash leader n1 group 0 for 300ms strength 0
//! ```
//!
//! `docs/src/simulator.md` explains every line.

use core::fmt::{self, Write as _};
use core::time::Duration;

use super::{Ask, Deed, Disturbance, Plan, Request, Reshape, Rest, Setting, Target, Targets, What};
use crate::faults::Fault;

/// The first line of every schedule.
const HEAD: &str = "diskeyval schedule 1";

/// A line of a schedule is not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misread {
    /// The line, counted from 1; 0 if it is about the schedule as a whole.
    pub line: usize,
    /// What is wrong, and what to do.
    pub why: String,
}

impl fmt::Display for Misread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.why),
            line => write!(f, "line {line}: {}", self.why),
        }
    }
}

impl std::error::Error for Misread {}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEAD}")?;
        write!(f, "{}", self.setting)?;
        self.deeds.iter().try_for_each(|deed| writeln!(f, "{deed}"))
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span = |(from, to): (Duration, Duration)| format!("{} {}", Span(from), Span(to));
        writeln!(f, "noise {}", self.noise)?;
        writeln!(f, "nodes {}", self.nodes)?;
        writeln!(f, "hostile {}", Span(self.hostile))?;
        write!(f, "core")?;
        self.core.iter().try_for_each(|node| write!(f, " n{}", node + 1))?;
        writeln!(f, "\nrest {}", rest_name(self.rest))?;
        writeln!(f, "steady {}", if self.steady { "yes" } else { "no" })?;
        writeln!(f, "election-timeout {}", Span(self.election_timeout))?;
        writeln!(f, "heartbeat {}", Span(self.heartbeat))?;
        writeln!(f, "delay {}", span(self.delay))?;
        writeln!(f, "torn {}", self.torn)?;
        writeln!(f, "disk {}", span(self.disk))?;
        writeln!(f, "buffer {}", self.buffer)?;
        writeln!(f, "log-bytes {}", self.log_bytes)?;
        writeln!(f, "compact-every {}", self.compact_every)?;
        self.late.iter().try_for_each(|(node, at)| writeln!(f, "late n{} {}", node + 1, Span(*at)))?;
        if self.doomed {
            writeln!(f, "doomed")?;
        }
        if let Some(Reshape { spare, least, twin }) = self.reshape {
            writeln!(f, "reshape {spare} {least}{}", if twin { " twin" } else { "" })?;
        }
        if self.lease {
            writeln!(f, "lease")?;
        }
        if self.memory {
            writeln!(f, "memory")?;
        }
        if self.ruin { writeln!(f, "ruin") } else { Ok(()) }
    }
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {} {}", Span(self.at), self.what)
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::Ask(ask) => {
                let (verb, size) = verb(ask.request);
                write!(f, "client {} asks n{} {verb} k{}", ask.client, ask.node + 1, ask.key)?;
                if let Some(size) = size {
                    write!(f, " of {size}")?;
                }
                write!(f, " within {}", Span(ask.budget))
            }
            What::Disturb(disturbance) => {
                let Disturbance { fault, nodes, lasting, strength } = disturbance;
                write!(f, "{fault} {} {}", nodes.one, nodes.other)?;
                write!(f, " group {:b} for {} strength {strength}", nodes.group, Span(*lasting))
            }
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Node(node) => write!(f, "n{}", node + 1),
            Target::Leader => f.write_str("leader"),
            Target::Candidate => f.write_str("candidate"),
        }
    }
}

fn rest_name(rest: Rest) -> &'static str {
    match rest {
        Rest::Fine => "fine",
        Rest::Dead => "dead",
        Rest::CutOff => "cut-off",
        Rest::Deaf => "deaf",
        Rest::Mute => "mute",
        Rest::Flapping => "flapping",
    }
}

fn verb(request: Request) -> (&'static str, Option<usize>) {
    match request {
        Request::Get => ("get", None),
        Request::GetLease => ("get-lease", None),
        Request::GetLocal => ("get-local", None),
        Request::Set => ("set", None),
        Request::SetLarge(size) => ("set-large", Some(size)),
        Request::Delete => ("delete", None),
        Request::Create => ("create", None),
        Request::Swap => ("swap", None),
        Request::SwapRevision => ("swap-revision", None),
    }
}

/// A span in the largest unit that it is a whole number of.
struct Span(Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        let units = [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us"), (1, "ns")];
        let (size, unit) =
            units.into_iter().find(|(size, _)| nanos.is_multiple_of(*size)).unwrap_or((1, "ns"));
        write!(f, "{}{unit}", nanos / size)
    }
}

/// Writes a span, so that [`parse_span`] reads the same.
pub fn write_span(span: Duration) -> String {
    Span(span).to_string()
}

/// Reads a span: `2s`, `1.5s`, `300ms`, `20us`, `7ns`.
///
/// # Errors
/// A sentence that says what is wanted.
pub fn parse_span(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no span of time: say 2s, 1.5s, 300ms or 20us");
    let units = [("ns", 1u64), ("us", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000)];
    let (number, size) = units
        .into_iter()
        .find_map(|(unit, size)| Some((text.strip_suffix(unit)?, size)))
        .ok_or_else(wrong)?;
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let whole: u64 = whole.parse().map_err(|_| wrong())?;
    let mut nanos = whole.checked_mul(size).ok_or_else(wrong)?;
    let mut place = size;
    for digit in part.chars() {
        place /= 10;
        let digit = digit.to_digit(10).filter(|_| place > 0).ok_or_else(wrong)?;
        nanos = nanos.checked_add(u64::from(digit) * place).ok_or_else(wrong)?;
    }
    Ok(Duration::from_nanos(nanos))
}

impl Plan {
    /// Reads a schedule. Lines that are empty or begin with `#` are skipped.
    ///
    /// # Errors
    /// [`Misread`] names the line.
    pub fn parse(text: &str) -> Result<Plan, Misread> {
        let mut lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
        let mut lines = lines.by_ref().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        match lines.next() {
            Some((_, HEAD)) => {}
            Some((line, _)) => {
                return Err(Misread { line, why: format!("a schedule begins with the line `{HEAD}`") });
            }
            None => {
                let why = format!("there is nothing in it, and a schedule begins with the line `{HEAD}`");
                return Err(Misread { line: 0, why });
            }
        }
        let mut plan = Plan { setting: Setting::plain(3), deeds: Vec::new() };
        let mut core = None;
        for (line, words) in lines {
            let words: Vec<&str> = words.split_whitespace().collect();
            let read = match words.as_slice() {
                ["at", at, rest @ ..] => read_deed(at, rest).map(|deed| plan.deeds.push(deed)),
                ["core", nodes @ ..] => nodes
                    .iter()
                    .map(|node| read_node(node))
                    .collect::<Result<_, _>>()
                    .map(|nodes| core = Some(nodes)),
                words => read_setting(&mut plan.setting, words),
            };
            read.map_err(|why| Misread { line, why })?;
        }
        plan.setting.core = core.unwrap_or_else(|| (0..plan.setting.nodes).collect());
        plan.deeds.sort_by_key(|deed| deed.at);
        let whole = |why| Misread { line: 0, why };
        plan.check().map_err(whole)?;
        Ok(plan)
    }

    /// Whether it can be carried out.
    ///
    /// # Errors
    /// A sentence that says what is impossible.
    pub fn check(&self) -> Result<(), String> {
        self.setting.check()?;
        self.check_nodes()
    }

    fn check_nodes(&self) -> Result<(), String> {
        for deed in &self.deeds {
            let named = match &deed.what {
                What::Ask(ask) => [Some(ask.node), None],
                What::Disturb(Disturbance { nodes, .. }) => {
                    [nodes.one, nodes.other].map(|target| match target {
                        Target::Node(node) => Some(node),
                        Target::Leader | Target::Candidate => None,
                    })
                }
            };
            if named.into_iter().flatten().any(|node| node >= self.setting.nodes) {
                let nodes = self.setting.nodes;
                return Err(format!("`{deed}` names a node that is none of the {nodes}: say n1 to n{nodes}"));
            }
        }
        Ok(())
    }
}

fn number<T: core::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text:?} is no number that fits here: say a whole one"))
}

fn read_node(text: &str) -> Result<usize, String> {
    let place: Option<usize> = text.strip_prefix('n').and_then(|number| number.parse().ok());
    place.and_then(|place| place.checked_sub(1)).ok_or_else(|| format!("{text:?} is no node: say n1, n2, …"))
}

fn read_setting(setting: &mut Setting, words: &[&str]) -> Result<(), String> {
    match words {
        ["noise", value] => setting.noise = number(value)?,
        ["nodes", value] => setting.nodes = number(value)?,
        ["hostile", value] => setting.hostile = parse_span(value)?,
        ["rest", value] => {
            let found = Rest::ALL.iter().find(|rest| rest_name(**rest) == *value);
            let names: Vec<&str> = Rest::ALL.iter().map(|rest| rest_name(*rest)).collect();
            let wrong = || format!("the rest cannot be {value:?}: say {}", names.join(", "));
            setting.rest = *found.ok_or_else(wrong)?;
        }
        ["steady", value @ ("yes" | "no")] => setting.steady = *value == "yes",
        ["election-timeout", value] => setting.election_timeout = parse_span(value)?,
        ["heartbeat", value] => setting.heartbeat = parse_span(value)?,
        ["delay", from, to] => setting.delay = (parse_span(from)?, parse_span(to)?),
        ["torn", value] => setting.torn = number(value)?,
        ["disk", from, to] => setting.disk = (parse_span(from)?, parse_span(to)?),
        ["buffer", value] => setting.buffer = number(value)?,
        ["log-bytes", value] => setting.log_bytes = number(value)?,
        ["late", node, at] => setting.late.push((read_node(node)?, parse_span(at)?)),
        ["compact-every", value] => setting.compact_every = number(value)?,
        ["reshape", spare, least, twin @ ..] if matches!(twin, [] | ["twin"]) => {
            let twin = !twin.is_empty();
            setting.reshape = Some(Reshape { spare: number(spare)?, least: number(least)?, twin });
        }
        ["doomed"] => setting.doomed = true,
        ["lease"] => setting.lease = true,
        ["memory"] => setting.memory = true,
        ["ruin"] => setting.ruin = true,
        other => {
            let line = other.join(" ");
            return Err(format!(
                "`{line}` is not understood: a line begins with `at`, or with the name of a setting"
            ));
        }
    }
    Ok(())
}

fn read_deed(at: &str, words: &[&str]) -> Result<Deed, String> {
    let at = parse_span(at)?;
    let what = match words {
        ["client", client, "asks", node, verb, key, rest @ ..] => {
            let (size, rest) = match rest {
                ["of", size, rest @ ..] => (Some(number(size)?), rest),
                rest => (None, rest),
            };
            let ["within", budget] = rest else {
                return Err("at the end of what a client asks stands how long it waits: `within 2s`".into());
            };
            let key = key.strip_prefix('k').ok_or_else(|| format!("{key:?} is no key: say k0, k1, …"))?;
            What::Ask(Ask {
                client: number(client)?,
                node: read_node(node)?,
                key: number(key)?,
                request: read_verb(verb, size)?,
                budget: parse_span(budget)?,
            })
        }
        [fault, one, other, "group", group, "for", lasting, "strength", strength] => {
            let fault: Fault = fault.parse().map_err(|error| format!("{error}"))?;
            let group = u64::from_str_radix(group, 2).map_err(|_| format!("{group:?} is no set of bits"))?;
            let nodes = Targets { one: read_target(one)?, other: read_target(other)?, group };
            What::Disturb(Disturbance {
                fault,
                nodes,
                lasting: parse_span(lasting)?,
                strength: number(strength)?,
            })
        }
        other => {
            let line = other.join(" ");
            return Err(format!(
                "`{line}` is nothing that can be done: say `client 1 asks n2 get k0 within 2s`, or `crash n1 n2 group 0 for 1s strength 0`"
            ));
        }
    };
    Ok(Deed { at, what })
}

fn read_target(text: &str) -> Result<Target, String> {
    match text {
        "leader" => Ok(Target::Leader),
        "candidate" => Ok(Target::Candidate),
        node => read_node(node).map(Target::Node),
    }
}

fn read_verb(text: &str, size: Option<usize>) -> Result<Request, String> {
    let all = [
        Request::Get,
        Request::GetLease,
        Request::GetLocal,
        Request::Set,
        Request::Delete,
        Request::Create,
        Request::Swap,
        Request::SwapRevision,
    ];
    match (text, size) {
        ("set-large", Some(size)) => Ok(Request::SetLarge(size)),
        (text, None) => all.iter().copied().find(|request| verb(*request).0 == text).ok_or_else(|| {
            let verbs: Vec<&str> = all.iter().map(|request| verb(*request).0).collect();
            format!("nobody can ask {text:?}: say {}, or `set-large k0 of 1000`", verbs.join(", "))
        }),
        (text, Some(_)) => Err(format!("{text:?} has no size: only set-large has one")),
    }
}

impl Setting {
    /// So many nodes, and nothing out of the ordinary.
    pub fn plain(nodes: usize) -> Setting {
        Setting {
            noise: 0,
            nodes,
            hostile: Duration::from_secs(10),
            core: (0..nodes).collect(),
            rest: Rest::Fine,
            steady: false,
            election_timeout: Duration::from_millis(300),
            heartbeat: Duration::from_millis(50),
            delay: (Duration::from_micros(100), Duration::from_millis(2)),
            torn: 0,
            disk: (Duration::from_micros(50), Duration::from_millis(1)),
            buffer: 1 << 20,
            log_bytes: 1 << 30,
            compact_every: 1 << 20,
            late: Vec::new(),
            doomed: false,
            ruin: false,
            reshape: None,
            memory: false,
            lease: false,
        }
    }

    /// Whether a run is possible with it.
    ///
    /// # Errors
    /// A sentence that says what is impossible.
    pub fn check(&self) -> Result<(), String> {
        let nodes = self.nodes;
        if !(1..=diskeyval_core::MAX_MEMBERS).contains(&nodes) {
            return Err(format!("{nodes} nodes are no cluster: take 1 to {}", diskeyval_core::MAX_MEMBERS));
        }
        let mut core = self.core.clone();
        core.sort_unstable();
        core.dedup();
        if core.len() != self.core.len() || core.iter().any(|node| *node >= nodes) {
            return Err(format!("the core must name some of the {nodes} nodes, each once"));
        }
        if core.len() < nodes / 2 + 1 {
            let quorum = nodes / 2 + 1;
            return Err(format!(
                "a core of {} is no majority of {nodes}: name {quorum} at least",
                core.len()
            ));
        }
        let ordered = |(from, to): (Duration, Duration)| from <= to && to <= Duration::from_secs(60);
        if !ordered(self.delay) || !ordered(self.disk) {
            return Err("delay and disk are two spans, the shorter first, of at most 60s".into());
        }
        if let Some(Reshape { spare, least, twin }) = self.reshape
            && (spare + 2 * usize::from(twin) >= nodes
                || !(1..=self.founders()).contains(&least)
                || self.doomed
                || self.ruin)
        {
            return Err("the members change only where nothing is doomed or ruined, with one initial member at least, and \
                as many as there must always be"
                .into());
        }
        if self.hostile > Duration::from_secs(24 * 3600) {
            return Err("a run is hostile for at most a day".into());
        }
        if self.torn > 1000 {
            return Err("of a thousand pieces, at most a thousand are torn".into());
        }
        if self.buffer < 4096 {
            return Err("a buffer has 4096 bytes at least".into());
        }
        if self.log_bytes < 1 << 16 {
            return Err("a log has 65536 bytes at least".into());
        }
        if !(1 << 16..=1 << 40).contains(&self.compact_every) {
            return Err("a snapshot is written after 65536 bytes of log at least, and 1 TiB at most".into());
        }
        if self.memory && (self.doomed || self.ruin) {
            return Err(
                "what is in memory cannot be lost by a majority (doomed), and has no disk to ruin".into()
            );
        }
        if self.late.iter().any(|(node, _)| *node >= nodes) {
            return Err(format!("only one of the {nodes} nodes can start late"));
        }
        if self.heartbeat * 3 > self.election_timeout || self.heartbeat < Duration::from_millis(1) {
            return Err("a heartbeat is at least 1ms, and at most a third of the election timeout".into());
        }
        Ok(())
    }
}

/// A schedule of some deeds, as one text.
pub fn write(plan: &Plan) -> String {
    let mut text = String::new();
    write!(text, "{plan}").expect("a string takes it");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::{Wishes, draw};

    #[test]
    fn what_was_written_is_read_again() {
        for seed in 0..50 {
            let plan = draw(&mut crate::choice::Choices::from_seed(seed), &Wishes::default());
            assert_eq!(Plan::parse(&write(&plan)).as_ref(), Ok(&plan), "seed {seed}");
        }
    }

    #[test]
    fn spans_are_read_exactly() {
        let nanos = |text| parse_span(text).map(|span| span.as_nanos());
        assert_eq!(nanos("1.5s"), Ok(1_500_000_000));
        assert_eq!(nanos("0.000001s"), Ok(1_000));
        assert_eq!(nanos("300ms"), Ok(300_000_000));
        for span in [Duration::ZERO, Duration::from_nanos(1_500), Duration::from_millis(90_001)] {
            assert_eq!(parse_span(&write_span(span)), Ok(span));
        }
        for wrong in ["", "5", "s", "-1s", "1.s2", "1.0000000001s", "99999999999999999999s"] {
            assert!(nanos(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_damaged_schedule_is_refused_with_its_line() {
        let misread = |text: &str| Plan::parse(text).map_err(|misread| misread.line);
        assert_eq!(misread(""), Err(0));
        assert_eq!(misread("nonsense"), Err(1));
        let lines = |lines: &str| misread(&format!("{HEAD}\n{lines}"));
        assert!(lines("nodes 3").is_ok());
        assert_eq!(lines("nodes 0"), Err(0));
        assert_eq!(lines("nodes 9"), Err(0));
        assert_eq!(lines("nodes 5\ncore n1 n2"), Err(0), "no majority");
        assert_eq!(lines("nodes 3\nat 1s crash n9 n1 group 0 for 1s strength 0"), Err(0));
        assert_eq!(lines("\n# a word\nat 1s explode"), Err(4));
        assert_eq!(lines("at 1s client 1 asks n1 set k0"), Err(2));
        assert_eq!(lines("delay 2s 1s"), Err(0));
    }
}
