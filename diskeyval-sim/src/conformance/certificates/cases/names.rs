//! Whom certificates name.

use rcgen::{CustomExtension, DnType, SanType};

use super::{Case, HAND, NOT_MEANT, OPENSSL, RCGEN, Refused, bad, good, other};
use crate::conformance::certificates::der::{
    BMP, IA5, PRINTABLE, TELETEX, UTF8, cn, dns as dns_tlv, organisation, raw_san, san, set_of, tlv, uri,
};
use crate::conformance::certificates::mint::{PEER, dns, of_openssl, our_uri};

const OURS: &[u8] = b"spiffe://diskeyval/node-1";
const NO_NAME: &str = "which names nobody";
const SEVERAL: &str = "the certificate names several";
const NOBODY: &str = "the certificate names nobody";
const UNREADABLE: &str = "cannot be understood";

pub(super) const CASES: &[Case] = &[
    good("uri", RCGEN, "the URI of the node, and no other name", |mint| mint.leaf(|_| {})),
    good(
        "uri-among-others",
        RCGEN,
        "its URI, beside `localhost`, an address, the URI of others, and the CN of another node",
        |mint| {
            let others = "spiffe://example.org/node-2".try_into().expect("ASCII");
            let sans = [
                dns("localhost"),
                SanType::IpAddress([127, 0, 0, 1].into()),
                SanType::URI(others),
                our_uri(PEER),
            ];
            mint.named(&sans, Some("node-2"))
        },
    ),
    good("uri-by-openssl", OPENSSL, "its URI, and another CN", |_| {
        of_openssl(include_str!("../openssl/uri.pem"))
    }),
    good("dns", RCGEN, "one DNS name, and no CN", |mint| mint.named(&[dns(PEER)], None)),
    good(
        "dns-and-the-cn-of-another",
        RCGEN,
        "one DNS name, and the CN of another node, which is not asked",
        |mint| mint.named(&[dns(PEER)], Some("node-2")),
    ),
    good("cn", RCGEN, "a CN alone", |mint| mint.named(&[], Some(PEER))),
    good("cn-by-openssl", OPENSSL, "a CN alone, and no usage", |_| {
        of_openssl(include_str!("../openssl/cn.pem"))
    }),
    good("cn-printable", HAND, "a CN alone, as PrintableString, behind an organisation", |mint| {
        mint.by_hand(vec![set_of(&[organisation(b"node-2")]), set_of(&[cn(PRINTABLE, b"node-1")])], vec![])
    }),
    good("cn-ia5", HAND, "a CN alone, as IA5String", |mint| {
        mint.by_hand(vec![set_of(&[cn(IA5, b"node-1")])], vec![])
    }),
    bad("no-name", RCGEN, "neither alternative names nor a CN", NOBODY, |mint| mint.named(&[], None)),
    bad("an-organisation", HAND, "no name but that of an organisation", NOBODY, |mint| {
        mint.by_hand(vec![set_of(&[organisation(b"node-1")])], vec![])
    }),
    bad(
        "address",
        RCGEN,
        "an IP address as the only alternative name, and a CN: it is not asked",
        NOBODY,
        |mint| mint.named(&[SanType::IpAddress([127, 0, 0, 1].into())], Some(PEER)),
    ),
    bad("address-by-openssl", OPENSSL, "the same", NOBODY, |_| {
        of_openssl(include_str!("../openssl/address.pem"))
    }),
    bad("mail", RCGEN, "a mail address, and a CN", NOBODY, |mint| {
        mint.named(&[SanType::Rfc822Name("node-1@example.org".try_into().expect("ASCII"))], Some(PEER))
    }),
    bad("uri-of-others", RCGEN, "`spiffe://example.org/node-1`, and a CN", NOBODY, |mint| {
        mint.named(&[SanType::URI("spiffe://example.org/node-1".try_into().expect("ASCII"))], Some(PEER))
    }),
    bad("no-alternative", HAND, "an empty list of alternative names, and a CN", NOBODY, |mint| {
        mint.by_hand(vec![set_of(&[cn(UTF8, b"node-1")])], vec![san(&[])])
    }),
    bad("two-uris", RCGEN, "the URIs of two nodes", SEVERAL, |mint| {
        mint.named(&[our_uri(PEER), our_uri("node-2")], None)
    }),
    bad("two-uris-by-openssl", OPENSSL, "the same", SEVERAL, |_| {
        of_openssl(include_str!("../openssl/two-names.pem"))
    }),
    bad("uri-twice", RCGEN, "its URI twice", SEVERAL, |mint| {
        mint.named(&[our_uri(PEER), our_uri(PEER)], None)
    }),
    bad("node-and-client", RCGEN, "the URIs of a node and of a client", SEVERAL, |mint| {
        mint.named(&[our_uri(PEER), our_uri("client/node-1")], None)
    }),
    bad("two-dns-names", RCGEN, "two DNS names", SEVERAL, |mint| {
        mint.named(&[dns(PEER), dns("localhost")], None)
    }),
    bad("two-cns", HAND, "two CNs", SEVERAL, |mint| {
        mint.by_hand(vec![set_of(&[cn(UTF8, b"node-1")]), set_of(&[cn(UTF8, b"node-2")])], vec![])
    }),
    bad("two-cns-at-once", HAND, "two equal CNs in one part of the subject", SEVERAL, |mint| {
        mint.by_hand(vec![set_of(&[cn(UTF8, b"node-1"), cn(PRINTABLE, b"node-1")])], vec![])
    }),
    bad("wildcard", RCGEN, "`*`", NO_NAME, |mint| mint.by_dns("*")),
    bad("wildcard-of-a-domain", OPENSSL, "`*.example.org`", NO_NAME, |_| {
        of_openssl(include_str!("../openssl/wildcard.pem"))
    }),
    bad("wildcard-uri", RCGEN, "`spiffe://diskeyval/*`", NO_NAME, |mint| mint.by_uri("spiffe://diskeyval/*")),
    bad("wildcard-cn", RCGEN, "the CN `*`", NO_NAME, |mint| mint.named(&[], Some("*"))),
    other("upper-case", RCGEN, "`NODE-1`, by URI", |mint| mint.by_uri("spiffe://diskeyval/NODE-1")),
    other("upper-case-dns", RCGEN, "`Node-1`, by DNS name", |mint| mint.by_dns("Node-1")),
    bad(
        "upper-case-scheme",
        RCGEN,
        "`SPIFFE://diskeyval/node-1`, beside the right DNS name",
        NO_NAME,
        |mint| {
            mint.named(
                &[SanType::URI("SPIFFE://diskeyval/node-1".try_into().expect("ASCII")), dns(PEER)],
                None,
            )
        },
    ),
    bad("upper-case-domain", RCGEN, "`spiffe://DiskeyVal/node-1`", NO_NAME, |mint| {
        mint.by_uri("spiffe://DiskeyVal/node-1")
    }),
    other("trailing-dot", RCGEN, "`node-1.`, by DNS name", |mint| mint.by_dns("node-1.")),
    other("trailing-dot-uri", RCGEN, "`node-1.`, by URI", |mint| mint.by_uri("spiffe://diskeyval/node-1.")),
    bad("nul-in-dns", HAND, "`node-1`, NUL, `.example.org`, by DNS name", NO_NAME, |mint| {
        mint.by_hand(vec![], vec![san(&[dns_tlv(b"node-1\0.example.org")])])
    }),
    bad("nul-in-uri", HAND, "`spiffe://diskeyval/node-1`, NUL", NO_NAME, |mint| {
        mint.by_hand(vec![], vec![san(&[uri(b"spiffe://diskeyval/node-1\0")])])
    }),
    bad("nul-in-cn", HAND, "`node-1`, NUL, by CN", NO_NAME, |mint| {
        mint.by_hand(vec![set_of(&[cn(UTF8, b"node-1\0")])], vec![])
    }),
    bad("look-alike", RCGEN, "a CN with a Cyrillic о", NO_NAME, |mint| {
        mint.named(&[], Some("n\u{43e}de-1"))
    }),
    other("look-alike-dns", RCGEN, "the same as a DNS name, `xn--nde-1-2ve`: that of another", |mint| {
        mint.by_dns("xn--nde-1-2ve")
    }),
    bad("look-alike-uri", HAND, "the same in a URI, which has to be ASCII", UNREADABLE, |mint| {
        mint.by_hand(vec![], vec![san(&[uri("spiffe://diskeyval/n\u{43e}de-1".as_bytes())])])
    }),
    other("address-as-dns", RCGEN, "`127.0.0.1`, where the node is, as a DNS name", |mint| {
        mint.by_dns("127.0.0.1")
    }),
    other("another-node", RCGEN, "a good certificate of another node", |mint| {
        mint.by_uri("spiffe://diskeyval/node-2")
    }),
    other("another-node-by-dns", RCGEN, "the same by DNS name; the CN is that of the peer", |mint| {
        mint.by_dns("node-2")
    }),
    Case {
        name: "own-name",
        what: "the node's own name",
        by: RCGEN,
        dials: Refused("its certificate carries this node's own name"),
        dialled: Refused(NOT_MEANT),
        make: |mint| mint.by_uri("spiffe://diskeyval/at-own-name"),
    },
    Case {
        name: "client",
        what: "the certificate of a client: it may dial, and is told goodbye",
        by: RCGEN,
        dials: Refused("its certificate is that of a client, not of a node"),
        dialled: Refused("the certificate is that of the client \"node-1\", and a node is wanted"),
        make: |mint| mint.by_uri("spiffe://diskeyval/client/node-1"),
    },
    bad(
        "client-without-a-name",
        RCGEN,
        "`spiffe://diskeyval/client`, beside the right DNS name",
        NO_NAME,
        |mint| mint.named(&[our_uri("client"), dns(PEER)], None),
    ),
    bad("client-by-dns", RCGEN, "the reserved word `client`, by DNS name", NO_NAME, |mint| {
        mint.by_dns("client")
    }),
    bad("no-id", RCGEN, "`spiffe://diskeyval/`", NO_NAME, |mint| mint.by_uri("spiffe://diskeyval/")),
    bad("a-path", RCGEN, "`spiffe://diskeyval/a/node-1`, beside the right DNS name", NO_NAME, |mint| {
        mint.named(&[our_uri("a/node-1"), dns(PEER)], None)
    }),
    bad("a-query", RCGEN, "`spiffe://diskeyval/node-1?x`", NO_NAME, |mint| {
        mint.by_uri("spiffe://diskeyval/node-1?x")
    }),
    bad("a-port", RCGEN, "`spiffe://diskeyval:1/node-1`", NO_NAME, |mint| {
        mint.by_uri("spiffe://diskeyval:1/node-1")
    }),
    bad("an-escape", RCGEN, "`spiffe://diskeyval/node%2D1`", NO_NAME, |mint| {
        mint.by_uri("spiffe://diskeyval/node%2D1")
    }),
    bad("a-blank", RCGEN, "`node-1` and a blank, by CN", NO_NAME, |mint| mint.named(&[], Some("node-1 "))),
    bad("too-long", RCGEN, "64 letters", NO_NAME, |mint| mint.by_dns(&"x".repeat(64))),
    bad("empty-dns", HAND, "an empty DNS name", NO_NAME, |mint| {
        mint.by_hand(vec![], vec![san(&[dns_tlv(b"")])])
    }),
    bad("cn-bmp", HAND, "a CN alone, as BMPString", NO_NAME, |mint| {
        mint.by_hand(vec![set_of(&[cn(BMP, b"\x00n\x00o\x00d\x00e\x00-\x001")])], vec![])
    }),
    bad("cn-teletex", HAND, "a CN alone, as TeletexString", NO_NAME, |mint| {
        mint.by_hand(vec![set_of(&[cn(TELETEX, b"node-1")])], vec![])
    }),
    bad("alternatives-twice", RCGEN, "the extension with alternative names twice", UNREADABLE, |mint| {
        mint.leaf(|params| {
            let again = CustomExtension::from_oid_content(
                &[2, 5, 29, 17],
                tlv(0x30, &uri(b"spiffe://diskeyval/node-2")),
            );
            params.custom_extensions.push(again);
        })
    }),
    bad("alternatives-of-garbage", HAND, "bytes behind the list of alternative names", UNREADABLE, |mint| {
        mint.by_hand(vec![], vec![raw_san(&[&tlv(0x30, &uri(OURS))[..], &[0]].concat())])
    }),
    bad(
        "an-unknown-kind-of-name",
        HAND,
        "its URI, and an X.400 address, which nobody reads",
        UNREADABLE,
        |mint| mint.by_hand(vec![], vec![san(&[uri(OURS), tlv(0xa3, b"")])]),
    ),
    bad(
        "too-many-names",
        RCGEN,
        "its URI, and so many DNS names that the certificate is larger than 16 KiB",
        "and the limit is 16384",
        |mint| {
            let many: Vec<_> = (0..2000).map(|number| dns(&format!("node-{number}"))).collect();
            mint.named(&[&[our_uri(PEER)], &many[..]].concat(), None)
        },
    ),
    Case {
        name: "a-name-of-lines",
        what: "a CN of many lines, which would forge the log: it is shown escaped, and not at length",
        by: RCGEN,
        dials: Refused(r#"is "node-1\n\nall is well\n"#),
        dialled: Refused(r#"is "node-1\n\nall is well\n"#),
        make: |mint| {
            mint.leaf(|params| {
                params.subject_alt_names.clear();
                params
                    .distinguished_name
                    .push(DnType::CommonName, format!("node-1\n\nall is well\n{}", "x".repeat(1000)));
            })
        },
    },
];
