//! Whom a certificate names: any bytes.

use diskeyval_core::NodeId;
use diskeyval_core::identity::{Identity, MAX_CERTIFICATE, of_certificate};

/// Whoever is named has a name that is one, and an error says what to do, on one line.
pub fn run(bytes: &[u8]) {
    match of_certificate(bytes) {
        Ok(who) => {
            assert!(bytes.len() <= MAX_CERTIFICATE);
            let same = match &who {
                Identity::Node(id) => NodeId::new(id.as_str()).ok().map(Identity::Node),
                Identity::Client(name) => Identity::client(name),
            };
            assert_eq!(same.as_ref(), Some(&who));
        }
        Err(why) => {
            let text = why.to_string();
            assert!(text.lines().count() == 1 && text.len() < 4096, "{text}");
        }
    }
}
