//! What can go wrong before a node runs: each error names the guilty and the remedy.

use std::net::{Ipv6Addr, SocketAddr, TcpListener};

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
