//! By whom certificates are signed, for when, for what, and in what shape.

use rcgen::{
    BasicConstraints, CustomExtension, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, NameConstraints,
    PKCS_ECDSA_P384_SHA384, PKCS_ED25519, date_time_ymd,
};
use rustls::pki_types::CertificateDer;

use super::{Case, CutOff, HAND, Linked, OPENSSL, RCGEN, Refused, bad, good};
use crate::conformance::certificates::der::{ByHand, san, tlv, uri};
use crate::conformance::certificates::mint::{
    Credentials, Mint, PEER, by, by_itself, certified_again, dns, intermediate, new_key, of_openssl, secret,
};
use crate::conformance::certificates::rsa;

const OURS: &[u8] = b"spiffe://diskeyval/node-1";
const UNKNOWN: &str = "it is signed by no CA in `ca`";
const FORGED: &str = "a signature is not by the key that it should be by";
const EXPIRED: &str = "it expired";
const EARLY: &str = "it becomes valid only in";
const USAGE: &str = "it is not made for this use";
const TOO_MANY: &str = "and no more than 4 are looked at";
const TOO_LARGE: &str = "they are too large";
const VERSION: &str = "it is not of X.509 version 3";
const UNREADABLE: &str = "it cannot be understood";

fn usages(mint: &Mint, usages: &[ExtendedKeyUsagePurpose]) -> Credentials {
    mint.leaf(|params| params.extended_key_usages = usages.to_vec())
}

/// Certificates of a row of authorities, the lowest first, as they are shown.
fn shown(row: &[super::super::mint::Ca]) -> Vec<&CertificateDer<'static>> {
    row.iter().rev().map(|ca| ca.der()).collect()
}

pub(super) const CASES: &[Case] = &[
    // ---- By whom ----------------------------------------------------------------------------------
    good("an-intermediate", RCGEN, "signed by an intermediate of the CA, which is shown as well", |mint| {
        let row = mint.row(1);
        by(&row[0], |_| {}).with(&shown(&row))
    }),
    good(
        "needless-company",
        RCGEN,
        "the right one, and behind it four that have nothing to do with it",
        |mint| mint.leaf(|_| {}).with(&[mint.others.der(); 4]),
    ),
    good("as-many-as-may-be", RCGEN, "four intermediates, one below the other", |mint| {
        let row = mint.row(4);
        by(&row[3], |_| {}).with(&shown(&row))
    }),
    bad(
        "one-too-many",
        RCGEN,
        "the right one, and behind it five that have nothing to do with it",
        TOO_MANY,
        |mint| mint.leaf(|_| {}).with(&[mint.others.der(); 5]),
    ),
    bad("another-authority", RCGEN, "signed by another CA", UNKNOWN, |mint| by(&mint.others, |_| {})),
    bad(
        "another-authority-and-its-certificate",
        RCGEN,
        "the same, and that CA's certificate behind it",
        UNKNOWN,
        |mint| by(&mint.others, |_| {}).with(&[mint.others.der()]),
    ),
    bad("a-namesake-of-the-authority", RCGEN, "signed by another CA of the same name", FORGED, |mint| {
        by(&mint.namesake, |_| {})
    }),
    bad("signed-by-itself", RCGEN, "signed by its own key", UNKNOWN, |_| by_itself()),
    bad(
        "the-authority-itself",
        RCGEN,
        "the CA's own certificate, without its key",
        "it is that of a CA",
        |mint| Credentials { chain: vec![mint.ours.der().clone()], key: secret(&new_key()) },
    ),
    bad(
        "an-authority-with-a-name",
        RCGEN,
        "a certificate with the right name that is that of a CA, too",
        "it is that of a CA",
        |mint| mint.leaf(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
    ),
    bad(
        "without-its-intermediate",
        RCGEN,
        "signed by an intermediate, which is not shown",
        UNKNOWN,
        |mint| by(&mint.row(1)[0], |_| {}),
    ),
    bad(
        "an-intermediate-of-others",
        RCGEN,
        "signed by an intermediate of another CA, which is shown",
        UNKNOWN,
        |mint| {
            let theirs = intermediate("intermediate", &mint.others, |_| {});
            by(&theirs, |_| {}).with(&[theirs.der()])
        },
    ),
    bad(
        "signed-by-a-node",
        RCGEN,
        "signed by a certificate that is no CA's",
        "is itself no CA's certificate",
        |mint| {
            let node = intermediate("node-2", &mint.ours, |params| params.is_ca = IsCa::ExplicitNoCa);
            by(&node, |_| {}).with(&[node.der()])
        },
    ),
    bad(
        "signed-without-the-right",
        RCGEN,
        "signed by a CA whose extended key usage is another",
        USAGE,
        |mint| {
            let ca = intermediate("intermediate", &mint.ours, |params| {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
            });
            by(&ca, |_| {}).with(&[ca.der()])
        },
    ),
    bad("an-expired-intermediate", RCGEN, "signed by an intermediate that has expired", EXPIRED, |mint| {
        let ca =
            intermediate("intermediate", &mint.ours, |params| params.not_after = date_time_ymd(2020, 1, 1));
        by(&ca, |_| {}).with(&[ca.der()])
    }),
    bad(
        "a-path-that-is-too-long",
        RCGEN,
        "signed by an intermediate below one that allows none",
        "(path length)",
        |mint| {
            let upper = intermediate("upper", &mint.ours, |params| {
                params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0))
            });
            let lower = intermediate("lower", &upper, |_| {});
            by(&lower, |_| {}).with(&[lower.der(), upper.der()])
        },
    ),
    bad(
        "a-name-beyond-its-authority",
        RCGEN,
        "a DNS name that its intermediate may not give",
        "a name that its CA may not give",
        |mint| {
            let ca = intermediate("intermediate", &mint.ours, |params| {
                params.name_constraints = Some(NameConstraints {
                    permitted_subtrees: vec![GeneralSubtree::DnsName("example.org".into())],
                    excluded_subtrees: Vec::new(),
                });
            });
            by(&ca, |params| params.subject_alt_names = vec![dns(PEER)]).with(&[ca.der()])
        },
    ),
    bad("a-loop", RCGEN, "signed by one of two intermediates that certify each other", UNKNOWN, |mint| {
        let first = intermediate("first", &mint.others, |_| {});
        let second = intermediate("second", &first, |_| {});
        let back = certified_again(&first, "first", &second);
        by(&second, |_| {}).with(&[second.der(), &back])
    }),
    bad("many-loops", RCGEN, "four intermediates of one name, and paths in circles", UNKNOWN, |mint| {
        let all: Vec<_> = (0..4).map(|_| intermediate("the same", &mint.others, |_| {})).collect();
        let next = |of: usize| certified_again(&all[of], "the same", &all[(of + 1) % 4]);
        let circle: Vec<_> = (0..4).map(next).collect();
        by(&all[0], |params| params.is_ca = IsCa::NoCa).with(&circle.iter().collect::<Vec<_>>())
    }),
    bad(
        "a-swarm",
        RCGEN,
        "120 intermediates of one name that certify each other: to look for a path takes seconds",
        TOO_MANY,
        |mint| {
            let all: Vec<_> = (0..11).map(|_| intermediate("the same", &mint.others, |_| {})).collect();
            let each = all.iter().flat_map(|of| all.iter().map(move |by| (of, by)));
            let swarm: Vec<_> = each.take(120).map(|(of, by)| certified_again(of, "the same", by)).collect();
            by(&all[0], |_| {}).with(&swarm.iter().collect::<Vec<_>>())
        },
    ),
    bad("a-long-path", RCGEN, "60 intermediates, one below the other", TOO_MANY, |mint| {
        let row = mint.row(60);
        by(&row[59], |_| {}).with(&shown(&row))
    }),
    Case {
        name: "200-intermediates",
        what: "200 intermediates, one below the other: more than 64 KiB, which TLS does not take in",
        by: RCGEN,
        dials: CutOff(TOO_LARGE),
        dialled: CutOff(TOO_LARGE),
        make: |mint| {
            let row = mint.row(200);
            by(&row[199], |_| {}).with(&shown(&row))
        },
    },
    // ---- For when ---------------------------------------------------------------------------------
    bad("expired", RCGEN, "expired", EXPIRED, |mint| {
        mint.leaf(|params| params.not_after = date_time_ymd(2020, 1, 1))
    }),
    bad("expired-by-openssl", OPENSSL, "expired", EXPIRED, |_| {
        of_openssl(include_str!("../openssl/expired.pem"))
    }),
    bad("not-yet", RCGEN, "not valid yet", EARLY, |mint| {
        mint.leaf(|params| params.not_before = date_time_ymd(2999, 1, 1))
    }),
    bad("never", HAND, "valid until before it is valid", EXPIRED, |mint| {
        let never = ByHand { not_before: b"29980101000000Z", not_after: b"20240101000000Z", ..ours() };
        mint.sign(&never)
    }),
    bad("no-date", HAND, "valid until the 13th month", UNREADABLE, |mint| {
        mint.sign(&ByHand { not_after: b"29981301000000Z", ..ours() })
    }),
    // ---- For what ---------------------------------------------------------------------------------
    good("no-usage", RCGEN, "no extended key usage: all are allowed", |mint| usages(mint, &[])),
    Case {
        name: "server-only",
        what: "the extended key usage `serverAuth` alone",
        by: RCGEN,
        dials: Refused(USAGE),
        dialled: Linked,
        make: |mint| usages(mint, &[ExtendedKeyUsagePurpose::ServerAuth]),
    },
    Case {
        name: "server-only-by-openssl",
        what: "the same",
        by: OPENSSL,
        dials: Refused(USAGE),
        dialled: Linked,
        make: |_| of_openssl(include_str!("../openssl/server-only.pem")),
    },
    Case {
        name: "client-only",
        what: "the extended key usage `clientAuth` alone",
        by: RCGEN,
        dials: Linked,
        dialled: Refused(USAGE),
        make: |mint| usages(mint, &[ExtendedKeyUsagePurpose::ClientAuth]),
    },
    bad("another-usage", RCGEN, "the extended key usage `codeSigning`", USAGE, |mint| {
        usages(mint, &[ExtendedKeyUsagePurpose::CodeSigning])
    }),
    bad(
        "any-usage",
        RCGEN,
        "the extended key usage `anyExtendedKeyUsage`, which is none of the two",
        USAGE,
        |mint| usages(mint, &[ExtendedKeyUsagePurpose::Any]),
    ),
    // ---- Keys and signatures ----------------------------------------------------------------------
    good("p384", RCGEN, "a key on the curve P-384", |mint| mint.of_kind(&PKCS_ECDSA_P384_SHA384)),
    good("ed25519", RCGEN, "a key of the kind Ed25519", |mint| mint.of_kind(&PKCS_ED25519)),
    good("rsa-2048", "rcgen, hand", "an RSA key of 2048 bits", |mint| {
        mint.for_key(&rsa::Public::of(rsa::OF_2048_BITS), rsa::Secret::of(rsa::OF_2048_BITS))
    }),
    bad("rsa-1024", "rcgen, hand", "an RSA key of 1024 bits, and a good signature by it", FORGED, |mint| {
        mint.for_key(&rsa::Public::of(rsa::OF_1024_BITS), rsa::Secret::of(rsa::OF_1024_BITS))
    }),
    bad("another-key", RCGEN, "the right certificate, and the key of somebody else", FORGED, |mint| {
        Credentials { key: secret(&new_key()), ..mint.leaf(|_| {}) }
    }),
    bad("sha1", OPENSSL, "signed by way of SHA-1", "signed in a way that is not supported", |_| {
        of_openssl(include_str!("../openssl/sha1.pem"))
    }),
    bad("a-bit-of-the-signature", HAND, "one bit of the signature is another", FORGED, |mint| {
        mint.leaf(|_| {}).but(|der| *der.last_mut().expect("a signature") ^= 1)
    }),
    bad("a-letter-of-the-name", HAND, "that of `node-2`, with `1` written over the `2`", FORGED, |mint| {
        mint.by_uri("spiffe://diskeyval/node-2").but(|der| {
            let at = der.windows(6).position(|six| six == b"node-2").expect("its name");
            der[at + 5] = b'1';
        })
    }),
    bad(
        "two-algorithms",
        HAND,
        "another algorithm of signature outside than inside",
        "it names two ways of signing",
        |mint| mint.sign(&ByHand { two_algorithms: true, ..ours() }),
    ),
    // ---- Shape ------------------------------------------------------------------------------------
    good("an-unknown-extension", RCGEN, "an extension that nobody knows, and nobody has to", |mint| {
        mint.leaf(|params| params.custom_extensions.push(unknown(false)))
    }),
    bad(
        "a-critical-extension",
        RCGEN,
        "one that nobody knows, and everybody has to",
        "an extension that is critical",
        |mint| mint.leaf(|params| params.custom_extensions.push(unknown(true))),
    ),
    bad("version-1", HAND, "of X.509 version 1, with a CN", VERSION, |mint| {
        mint.sign(&ByHand { version: 0, extensions: Vec::new(), ..by_cn() })
    }),
    bad("version-2", HAND, "of X.509 version 2", VERSION, |mint| mint.sign(&ByHand { version: 1, ..ours() })),
    bad("bytes-behind", HAND, "a byte behind the certificate", UNREADABLE, |mint| {
        mint.leaf(|_| {}).but(|der| der.push(0))
    }),
    bad("cut-off", HAND, "the last byte is missing", UNREADABLE, |mint| {
        mint.leaf(|_| {}).but(|der| {
            der.pop();
        })
    }),
    bad("no-certificate-at-all", HAND, "bytes that are no certificate", UNREADABLE, |mint| {
        mint.leaf(|_| {}).but(|der| *der = b"-----BEGIN CERTIFICATE-----".to_vec())
    }),
    bad("nested", HAND, "three thousand lists, one in the other", UNREADABLE, |mint| {
        mint.leaf(|_| {}).but(|der| *der = (0..3000).fold(Vec::new(), |inner, _| tlv(0x30, &inner)))
    }),
    bad("a-length-that-lies", HAND, "a list that says it has 4 GiB", UNREADABLE, |mint| {
        mint.leaf(|_| {}).but(|der| *der = vec![0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 0x30])
    }),
];

fn ours() -> ByHand {
    ByHand::new(Vec::new(), vec![san(&[uri(OURS)])])
}

fn by_cn() -> ByHand {
    use crate::conformance::certificates::der::{UTF8, cn, set_of};
    ByHand::new(vec![set_of(&[cn(UTF8, b"node-1")])], Vec::new())
}

fn unknown(critical: bool) -> CustomExtension {
    let mut extension = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 55555, 1], tlv(0x04, b"?"));
    extension.set_criticality(critical);
    extension
}
