//! What can go wrong before a node runs: each error names the guilty and the remedy.

use std::fs;
use std::net::{Ipv6Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use diskeyval_mio::certs::Authority;
use diskeyval_mio::{Config, ConfigError, Node, NodeId, StartError};

fn config(authority: &Authority, name: &str, certificate_of: &str) -> Config {
    let issued =
        authority.issue_node(&NodeId::new(certificate_of).expect("a good name")).expect("a certificate");
    let config = Config::new(name).expect("a good name");
    config.tls(&issued.cert_pem, &issued.key_pem, authority.cert_pem())
}

fn refusal(config: Config) -> StartError {
    Node::start(config).map(|_| ()).expect_err("it must not start")
}

#[test]
fn an_address_in_use_is_named_with_a_remedy() {
    let authority = Authority::new("test").expect("a CA");
    let other = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = other.local_addr().expect("bound").port();
    let error = refusal(config(&authority, "n1", "n1").listen("127.0.0.1", port));
    assert!(matches!(error, StartError::Bind { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(&format!("127.0.0.1:{port}")) && text.contains("another port"), "{text}");
}

#[test]
fn an_address_of_another_machine_is_named_with_a_remedy() {
    let authority = Authority::new("test").expect("a CA");
    // Reserved for documentation: no machine has it.
    let error = refusal(config(&authority, "n1", "n1").listen("192.0.2.1", 0));
    assert!(error.to_string().contains("no such address"), "{error}");
}

#[test]
fn a_node_without_certificates_does_not_start() {
    let error = refusal(Config::new("n1").expect("a good name"));
    assert!(matches!(error, StartError::Config(ConfigError::BadTls { .. })), "{error:?}");
    assert!(error.to_string().contains("Config::tls"), "{error}");
}

#[test]
fn the_certificate_of_another_node_is_refused_at_the_start() {
    let authority = Authority::new("test").expect("a CA");
    let error = refusal(config(&authority, "n1", "n2"));
    assert!(matches!(error, StartError::Config(ConfigError::BadTls { .. })), "{error:?}");
    assert!(error.to_string().contains("n2"), "{error}");
}

#[test]
fn a_peer_list_with_this_node_in_it_is_refused() {
    let authority = Authority::new("test").expect("a CA");
    let config = config(&authority, "n1", "n1").peer("n1", "127.0.0.1", 1).expect("a good name");
    assert!(matches!(refusal(config), StartError::Config(ConfigError::PeerIsSelf { .. })));
}

#[test]
fn port_0_becomes_a_real_one_on_ipv6_too() {
    let authority = Authority::new("test").expect("a CA");
    let node = Node::start(config(&authority, "n1", "n1").listen("127.0.0.1", 0)).expect("it starts");
    assert_ne!(node.local_addr().port(), 0);
    node.end();
    // Not every machine has IPv6.
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
        let node = Node::start(config(&authority, "n1", "n1").listen("::1", 0)).expect("it starts");
        assert!(matches!(node.local_addr(), SocketAddr::V6(_)));
        node.end();
    }
}

// ---- Directories --------------------------------------------------------------------------------------

/// A place for directories that is gone at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Scratch {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name =
            format!("diskeyval-start-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a directory");
        Scratch(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("text").to_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_directory_is_made_and_held_until_its_node_has_ended() {
    let scratch = Scratch::new();
    let authority = Authority::new("test").expect("a CA");
    let dir = scratch.path("below/n1");
    let node = Node::start(config(&authority, "n1", "n1").persist(&dir)).expect("it starts");
    let error = refusal(config(&authority, "n1", "n1").persist(&dir));
    assert!(
        matches!(&error, StartError::DirectoryInUse { path, holder }
            if path.ends_with("below/n1") && holder.is_none_or(|holder| holder == std::process::id())),
        "{error:?}"
    );
    assert!(error.to_string().contains(&dir) && error.to_string().contains("its own"), "{error}");
    node.end();
    Node::start(config(&authority, "n1", "n1").persist(&dir)).expect("it is free").end();
}

#[test]
fn a_file_in_the_place_of_a_directory_is_named_with_a_remedy() {
    let scratch = Scratch::new();
    let authority = Authority::new("test").expect("a CA");
    let path = scratch.path("file");
    fs::write(&path, "no directory").expect("a file");
    let error = refusal(config(&authority, "n1", "n1").persist(&path));
    assert!(matches!(error, StartError::Directory { .. }), "{error:?}");
    assert!(error.to_string().contains(&path) && error.to_string().contains("another directory"), "{error}");
}

#[test]
fn what_is_wrong_with_the_options_is_told_before_a_directory_is_made() {
    let scratch = Scratch::new();
    let authority = Authority::new("test").expect("a CA");
    let dir = scratch.path("n1");
    let mut config = config(&authority, "n1", "n2").persist(&dir);
    assert!(matches!(refusal(config.clone()), StartError::Config(ConfigError::BadTls { .. })));
    config.persistence.as_mut().expect("just set").compact_every = 1;
    assert!(matches!(refusal(config), StartError::Config(ConfigError::BadLimit { .. })));
    assert!(!fs::exists(&dir).expect("it can be looked at"));
}
