//! Nodes of a test that drives them itself.

// Each test uses a part.
#![allow(dead_code)]

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use diskeyval_smol::certs::Authority;
use diskeyval_smol::{Config, NodeId};
use smol::Timer;

/// How long anything may take on a busy machine. No test waits for it to pass.
pub(crate) const AGES: Duration = Duration::from_secs(60);

/// A place for directories that is gone at the end.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new() -> Scratch {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("diskeyval-smol-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a directory");
        Scratch(path)
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("text").to_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The configurations of nodes that know each other, called `n1` and so on, with listeners for their first lives.
pub(crate) fn members(count: usize, adjust: impl Fn(Config) -> Config) -> Vec<(TcpListener, Config)> {
    let authority = Authority::new("test").expect("a CA");
    let listeners: Vec<_> =
        (0..count).map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port")).collect();
    let ports: Vec<_> = listeners.iter().map(|l| l.local_addr().expect("bound").port()).collect();
    let config = |own: usize| {
        let name = |number: usize| format!("n{}", number + 1);
        let mut config = Config::new(&name(own)).expect("a good name").listen("127.0.0.1", ports[own]);
        for (other, port) in ports.iter().enumerate().filter(|(other, _)| *other != own) {
            config = config.peer(&name(other), "127.0.0.1", *port).expect("a good name");
        }
        let id = NodeId::new(&name(own)).expect("a good name");
        let issued = authority.issue_node(&id).expect("a certificate");
        config.proposal_timeout = AGES;
        adjust(config.tls(&issued.cert_pem, &issued.key_pem, authority.cert_pem()))
    };
    listeners.into_iter().enumerate().map(|(own, listener)| (listener, config(own))).collect()
}

/// Looks now and then until something holds.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + AGES;
    while !holds() {
        assert!(Instant::now() < end, "in vain: {what}");
        Timer::after(Duration::from_millis(5)).await;
    }
}
