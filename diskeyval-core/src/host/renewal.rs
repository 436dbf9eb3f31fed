//! Certificates that are renewed while a node runs: what is in force, what is found in its files, and what ends soon.

use std::collections::BTreeMap;
use std::fmt;
use std::format;
use std::fs::File;
use std::io::{self, Read};
use std::string::{String, ToString};
use std::time::Duration;
use std::vec::Vec;

use xxhash_rust::xxh3::Xxh3;

use super::start::{no_tls, policy};
use crate::config::{Config, Tls, TlsFiles};
use crate::error::{ConfigError, Error};
use crate::id::NodeId;
use crate::io::Event;
use crate::status::Certificates;
use crate::tls::Policy;

/// Larger files hold no certificates.
const MAX_FILE: u64 = 1 << 20;

/// Days before the end of a certificate at which that is told.
const DAYS: [i64; 4] = [0, 1, 7, 30];

/// How many certificates are remembered that end soon. More have been told of only if somebody makes them up.
const MAX_TOLD: usize = 1024;

/// Where a node has its certificates from, and what of it is known already.
#[derive(Debug)]
pub struct Renewal {
    own: NodeId,
    files: Option<TlsFiles>,
    /// A hash of what is in force.
    in_force: u128,
    /// A hash of what of the files was in force last.
    found: u128,
    /// What was wrong with what was found last, and how many looks in turn have found it so.
    trouble: Option<(String, u32)>,
}

impl Renewal {
    /// Reads the certificates of a configuration, and checks all that peers will check. May block.
    ///
    /// # Errors
    /// [`ConfigError::BadTls`], which names the guilty part and the remedy.
    pub fn begin(config: &Config) -> Result<(Renewal, Policy), ConfigError> {
        let tls = match (&config.tls, &config.tls_files) {
            (_, Some(files)) => read(files)?,
            (Some(tls), None) => tls.clone(),
            (None, None) => return Err(no_tls()),
        };
        let policy = policy(&tls, &config.node_id)?;
        let (own, files) = (config.node_id.clone(), config.tls_files.clone());
        Ok((Renewal { own, files, in_force: hash(&tls), found: hash(&tls), trouble: None }, policy))
    }

    /// How often its files are to be looked at; `None` if it has none.
    pub fn look_every(&self) -> Option<Duration> {
        self.files.as_ref().map(|files| files.look_every)
    }

    /// Other certificates are given. If they are good they are in force from now on, and this is how to speak by them; if not,
    /// nothing has changed.
    ///
    /// # Errors
    /// [`ConfigError::BadTls`], which names the guilty part and the remedy.
    pub fn take(&mut self, tls: &Tls) -> Result<Policy, ConfigError> {
        let policy = policy(tls, &self.own)?;
        self.in_force = hash(tls);
        self.trouble = None;
        Ok(policy)
    }

    /// Reads the files, and takes what is in them if it is not what is in force. May block.
    ///
    /// # Errors
    /// [`RenewalError::NoFiles`]; else [`RenewalError::Bad`], as it would be told at a start: what was in force stays so. It is
    /// that as well where only some of the files have been replaced yet.
    pub fn reload(&mut self) -> Result<Option<Policy>, RenewalError> {
        let in_force = self.in_force;
        self.take_files(in_force)
    }

    /// As [`reload`](Renewal::reload), for a look that nobody has asked for: takes what is in the files if it has changed. May
    /// block.
    ///
    /// # Errors
    /// What was found cannot be used, and two looks in turn have found it so: files are replaced one after the other. The
    /// same is told once.
    pub fn look(&mut self) -> Result<Option<Policy>, RenewalError> {
        let found = self.take_files(self.found);
        let Err(error) = &found else { return found };
        let text = error.to_string();
        match &mut self.trouble {
            Some((last, times)) if *last == text => *times = times.saturating_add(1),
            _ => self.trouble = Some((text, 1)),
        }
        if matches!(self.trouble, Some((_, 2))) { found } else { Ok(None) }
    }

    fn take_files(&mut self, known: u128) -> Result<Option<Policy>, RenewalError> {
        let tls = read(self.files.as_ref().ok_or(RenewalError::NoFiles)?)?;
        let is_known = hash(&tls) == known;
        let policy = if is_known { None } else { Some(self.take(&tls)?) };
        self.found = hash(&tls);
        self.trouble = None;
        Ok(policy)
    }
}

fn read(files: &TlsFiles) -> Result<Tls, ConfigError> {
    let part = |part, path: &str| {
        read_file(path).map_err(|error| ConfigError::BadTls {
            part,
            why: format!("cannot read {path}: {error}: put it there, and let this user read it"),
        })
    };
    Ok(Tls { cert: part("cert", &files.cert)?, key: part("key", &files.key)?, ca: part("ca", &files.ca)? })
}

fn read_file(path: &str) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_FILE + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("it has more than {MAX_FILE} bytes")));
    }
    Ok(text)
}

fn hash(tls: &Tls) -> u128 {
    let mut hash = Xxh3::new();
    for part in [&tls.cert, &tls.key, &tls.ca] {
        hash.update(&part.len().to_le_bytes());
        hash.update(part.as_bytes());
    }
    hash.digest128()
}

/// Which ends of certificates have been told.
#[derive(Debug, Default)]
pub struct Expiries {
    /// By whose, and when it ends: how many days were left at most.
    told: BTreeMap<(String, u64), i64>,
}

impl Expiries {
    /// What is to be told by now. Each certificate is, once when less than 30 days are left, 7, 1, and none.
    pub fn due(&mut self, certificates: &Certificates) -> Vec<Event> {
        let mut due = Vec::new();
        let nodes = [&certificates.own].into_iter().chain(&certificates.peers);
        let nodes = nodes.map(|one| (one.name.clone(), one));
        let cas = certificates.ca.iter().map(|one| (format!("CA {}", one.name), one));
        for (whose, one) in nodes.chain(cas) {
            let days_left = one.days_left;
            let Some(within) = DAYS.into_iter().find(|days| days_left < *days) else { continue };
            if self.told.len() > MAX_TOLD {
                self.told.clear();
            }
            let told = self.told.insert((whose.clone(), one.not_after), within);
            if told.is_none_or(|told| within < told) {
                due.push(Event::CertExpires { whose, days_left });
            }
        }
        due
    }
}

/// Why certificates were not renewed. Those that were in force stay so.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RenewalError {
    /// What was found or given cannot be used.
    Bad(ConfigError),
    /// The node was given its certificates as texts, and has no files to look at.
    NoFiles,
    /// The node has ended.
    Ended(Error),
}

impl From<ConfigError> for RenewalError {
    fn from(error: ConfigError) -> RenewalError {
        RenewalError::Bad(error)
    }
}

impl From<Error> for RenewalError {
    fn from(error: Error) -> RenewalError {
        RenewalError::Ended(error)
    }
}

impl fmt::Display for RenewalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RenewalError::Bad(error) => write!(f, "{error}; the former certificates stay in force"),
            RenewalError::NoFiles => f.write_str(
                "this node was given its certificates as text, and has no files to look at: give it others by \
                 `reload_tls`, or start it with `tlsFiles`",
            ),
            RenewalError::Ended(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for RenewalError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            RenewalError::Bad(error) => Some(error),
            RenewalError::Ended(error) => Some(error),
            RenewalError::NoFiles => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::vec;

    use super::*;
    use crate::status::CertificateStatus;

    fn one(name: &str, days_left: i64) -> CertificateStatus {
        CertificateStatus { name: name.into(), not_after: 1_000_000, days_left }
    }

    fn certificates(own: i64, ca: i64, peer: i64) -> Certificates {
        Certificates { own: one("n1", own), ca: vec![one("CN=ca", ca)], peers: vec![one("n2", peer)] }
    }

    #[test]
    fn the_end_of_a_certificate_is_told_at_30_7_and_1_days_and_at_the_end() {
        let mut expiries = Expiries::default();
        let told: Vec<i64> = (-3..40)
            .rev()
            .flat_map(|days| expiries.due(&certificates(days, 400, 400)))
            .map(|event| match event {
                Event::CertExpires { whose, days_left } if whose == "n1" => days_left,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(told, [29, 6, 0, -1]);
        // Of one that is met late, what is so.
        let mut late = Expiries::default();
        assert_eq!(late.due(&certificates(400, 400, 3)).len(), 1);
        assert_eq!(late.due(&certificates(400, 400, 3)), []);
    }

    #[test]
    fn a_certificate_that_was_away_is_not_told_again_and_another_one_is() {
        let mut expiries = Expiries::default();
        let soon = certificates(400, 5, 5);
        let told = |whose: &str| Event::CertExpires { whose: whose.into(), days_left: 5 };
        assert_eq!(expiries.due(&soon), [told("n2"), told("CA CN=ca")]);
        let gone = Certificates { peers: Vec::new(), ..soon.clone() };
        assert_eq!(expiries.due(&gone), []);
        assert_eq!(expiries.due(&soon), []);
        let mut other = soon;
        other.peers[0].not_after += 1;
        assert_eq!(expiries.due(&other), [told("n2")]);
    }

    #[cfg(all(feature = "dev-certs", any(feature = "ring", feature = "aws-lc-rs")))]
    #[test]
    fn files_are_taken_once_they_are_whole_and_what_stays_wrong_is_told_once() {
        use std::fs;

        use crate::host::certs::Authority;

        let dir = std::env::temp_dir().join(format!("diskeyval-renewal-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("a directory");
        let path = |name: &str| dir.join(name).to_str().expect("text").to_string();
        let put = |name: &str, text: &str| fs::write(path(name), text).expect("a file");
        let id = NodeId::new("n1").expect("a good name");
        let authority = Authority::new("ours").expect("a CA");
        let issue = || authority.issue_node(&id).expect("a certificate");
        let (first, second) = (issue(), issue());
        put("ca", authority.cert_pem());
        put("cert", &first.cert_pem);
        put("key", &first.key_pem);
        let config = Config::new("n1").expect("a good name");
        let config = config.tls_files(&path("cert"), &path("key"), &path("ca"));
        let (mut renewal, _) = Renewal::begin(&config).expect("they are good");
        let looks = |renewal: &mut Renewal| renewal.look().map(|found| found.is_some());

        assert_eq!(looks(&mut renewal), Ok(false));
        put("cert", &second.cert_pem);
        assert_eq!(looks(&mut renewal), Ok(false), "the other half may be on its way");
        let refused = looks(&mut renewal).expect_err("it is not");
        assert!(refused.to_string().contains("does not belong"), "{refused}");
        assert_eq!(looks(&mut renewal), Ok(false), "it was told");
        assert!(renewal.reload().is_err(), "whoever asks is told");
        put("key", &second.key_pem);
        assert_eq!(looks(&mut renewal), Ok(true));
        assert_eq!(looks(&mut renewal), Ok(false), "it is in force");

        fs::remove_file(path("ca")).expect("it is there");
        assert_eq!(looks(&mut renewal), Ok(false));
        let refused = looks(&mut renewal).expect_err("it is missing");
        assert!(refused.to_string().contains("cannot read"), "{refused}");
        put("ca", authority.cert_pem());
        assert_eq!(looks(&mut renewal), Ok(false), "it is as it was");
        // What is given by other means stays, until the files change or somebody asks for what they hold.
        let third = issue();
        let text = |issued: &crate::host::certs::Issued| Tls {
            cert: issued.cert_pem.clone(),
            key: issued.key_pem.clone(),
            ca: authority.cert_pem().to_string(),
        };
        assert!(renewal.take(&text(&third)).is_ok());
        assert_eq!(looks(&mut renewal), Ok(false));
        assert!(renewal.reload().is_ok_and(|found| found.is_some()));
        assert!(renewal.reload().is_ok_and(|found| found.is_none()));
        fs::remove_dir_all(&dir).expect("it is ours");
    }
}
