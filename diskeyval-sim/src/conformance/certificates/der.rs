//! Certificates that are put together byte by byte, and signed in earnest: what no tool would issue.

use rcgen::{KeyPair, PublicKeyData, SigningKey};

pub(super) const UTF8: u8 = 0x0c;
pub(super) const PRINTABLE: u8 = 0x13;
pub(super) const TELETEX: u8 = 0x14;
pub(super) const IA5: u8 = 0x16;
pub(super) const BMP: u8 = 0x1e;

const ECDSA_WITH_SHA256: &[u8] = &[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
const ECDSA_WITH_SHA384: &[u8] = &[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3];

/// A certificate, in parts.
pub(super) struct ByHand {
    /// 2 is X.509 version 3. Version 1 is not written, as it must not be.
    pub(super) version: u8,
    pub(super) not_before: &'static [u8],
    pub(super) not_after: &'static [u8],
    /// Sets of attributes.
    pub(super) subject: Vec<Vec<u8>>,
    pub(super) extensions: Vec<Vec<u8>>,
    /// Whether it names, outside of what is signed, another algorithm than inside.
    pub(super) two_algorithms: bool,
}

impl ByHand {
    pub(super) fn new(subject: Vec<Vec<u8>>, extensions: Vec<Vec<u8>>) -> ByHand {
        ByHand {
            version: 2,
            not_before: b"20240101000000Z",
            not_after: b"29990101000000Z",
            subject,
            extensions,
            two_algorithms: false,
        }
    }

    /// Signs it by the key of a CA of this name, for somebody's key.
    pub(super) fn issue(&self, issuer: &str, issuer_key: &KeyPair, key: &KeyPair) -> Vec<u8> {
        let dates = [tlv(0x18, self.not_before), tlv(0x18, self.not_after)].concat();
        let mut parts = Vec::new();
        if self.version > 0 {
            parts.extend(tlv(0xa0, &[2, 1, self.version]));
        }
        parts.extend([2, 1, 5]);
        parts.extend(tlv(0x30, ECDSA_WITH_SHA256));
        parts.extend(tlv(0x30, &set_of(&[cn(UTF8, issuer.as_bytes())])));
        parts.extend(tlv(0x30, &dates));
        parts.extend(tlv(0x30, &self.subject.concat()));
        parts.extend(key.subject_public_key_info());
        if !self.extensions.is_empty() {
            parts.extend(tlv(0xa3, &tlv(0x30, &self.extensions.concat())));
        }
        let parts = tlv(0x30, &parts);
        let signature = [vec![0], issuer_key.sign(&parts).expect("it signs")].concat();
        let outside = if self.two_algorithms { ECDSA_WITH_SHA384 } else { ECDSA_WITH_SHA256 };
        tlv(0x30, &[parts, tlv(0x30, outside), tlv(3, &signature)].concat())
    }
}

/// A tag, the shortest form of the length, the content.
pub(super) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).expect("short").to_be_bytes();
    let zeros = length.iter().take_while(|byte| **byte == 0).count();
    let header = match content.len() {
        0..=127 => vec![tag, length[3]],
        _ => [&[tag, 0x80 + 4 - u8::try_from(zeros).expect("at most 4")], &length[zeros..]].concat(),
    };
    [&header, content].concat()
}

/// A part of a subject.
pub(super) fn set_of(attributes: &[Vec<u8>]) -> Vec<u8> {
    tlv(0x31, &attributes.concat())
}

/// A CN, in a kind of text.
pub(super) fn cn(kind: u8, text: &[u8]) -> Vec<u8> {
    tlv(0x30, &[vec![6, 3, 0x55, 4, 3], tlv(kind, text)].concat())
}

pub(super) fn organisation(text: &[u8]) -> Vec<u8> {
    tlv(0x30, &[vec![6, 3, 0x55, 4, 10], tlv(UTF8, text)].concat())
}

pub(super) fn uri(text: &[u8]) -> Vec<u8> {
    tlv(0x86, text)
}

pub(super) fn dns(text: &[u8]) -> Vec<u8> {
    tlv(0x82, text)
}

/// The extension with subject alternative names.
pub(super) fn san(names: &[Vec<u8>]) -> Vec<u8> {
    raw_san(&tlv(0x30, &names.concat()))
}

/// The same, with anything in it.
pub(super) fn raw_san(content: &[u8]) -> Vec<u8> {
    tlv(0x30, &[vec![6, 3, 0x55, 0x1d, 0x11], tlv(4, content)].concat())
}
