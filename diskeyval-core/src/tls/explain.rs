//! TLS errors, as sentences: who refuses what, and what to do.

use alloc::format;
use alloc::string::{String, ToString};
use core::fmt;

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, OtherError, PeerIncompatible};

use crate::identity::IdentityError;

const ONE_CA: &str = "all members and clients need certificates of one CA, and that CA in `ca`";
const CLOCKS: &str = "issue a new one, or set the clocks of both machines right";

/// Says what a TLS error means: which end refuses what, and what to do. For a log, a [`DialError::Tls`] or a
/// [`CloseReason::Broken`].
///
/// [`DialError::Tls`]: crate::DialError::Tls
/// [`CloseReason::Broken`]: crate::CloseReason::Broken
pub fn explain(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(error) => {
            format!("this end refuses the certificate of the other end: {}", certificate(error))
        }
        Error::NoCertificatesPresented => {
            format!("this end refuses the other end: {}", IdentityError::NoCertificate)
        }
        Error::AlertReceived(alert) => received(*alert),
        Error::InvalidMessage(
            InvalidMessage::CertificatePayloadTooLarge | InvalidMessage::HandshakePayloadTooLarge,
        ) => "this end refuses the certificates of the other end: they are too large: send only its own and \
             the intermediates that are needed"
            .to_string(),
        Error::InvalidMessage(what) => format!(
            "what came from the other end is not TLS ({what:?}): something else listens at this address, or \
             something that speaks plain text dialled us; nodes speak TLS 1.3 only"
        ),
        Error::PeerIncompatible(
            PeerIncompatible::SupportedVersionsExtensionRequired
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled,
        ) => "this end refuses the other end, which does not speak TLS 1.3: use a program that does"
            .to_string(),
        Error::PeerIncompatible(what) => format!(
            "this end and the other end have nothing in common to speak TLS by ({what:?}): use programs of \
             about the same age"
        ),
        Error::NoApplicationProtocol => {
            "this end refuses the other end, which speaks TLS but not the protocol of diskeyval: is it \
             another program, or a wrong port?"
                .to_string()
        }
        Error::PeerMisbehaved(what) => format!("the other end broke the rules of TLS ({what:?})"),
        Error::DecryptError => "what came from the other end was changed on the way".to_string(),
        Error::FailedToGetCurrentTime => {
            "this machine does not know the time: set its clock right".to_string()
        }
        other => other.to_string(),
    }
}

/// What is wrong with a certificate, and what to do.
pub(super) fn certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::UnknownIssuer => format!("it is signed by no CA in `ca`: {ONE_CA}"),
        CertificateError::BadSignature => format!(
            "a signature is not by the key that it should be by (is there a second CA of the same name? Is a \
             key of the kind RSA shorter than 2048 bits?): {ONE_CA}"
        ),
        CertificateError::ExpiredContext { time, not_after } => {
            let since = time.as_secs().saturating_sub(not_after.as_secs());
            format!("it expired {} ago: {CLOCKS}", span(since))
        }
        CertificateError::Expired => format!("it expired: {CLOCKS}"),
        CertificateError::NotValidYetContext { time, not_before } => {
            let until = not_before.as_secs().saturating_sub(time.as_secs());
            format!("it becomes valid only in {}: {CLOCKS}", span(until))
        }
        CertificateError::NotValidYet => format!("it is not valid yet: {CLOCKS}"),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => format!(
            "it is not made for this use ({error}): a node needs the extended key usages serverAuth and \
             clientAuth, a client clientAuth (or none may be named at all)"
        ),
        CertificateError::BadEncoding => "it cannot be understood: issue it anew".to_string(),
        CertificateError::Revoked => "it is revoked: issue a new one".to_string(),
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "it is signed in a way that is not supported: use keys of the kind ECDSA P-256".to_string()
        }
        CertificateError::Other(OtherError(other)) => {
            if other.is::<IdentityError>() || other.is::<TooMany>() {
                other.to_string()
            } else {
                by_name(&other.to_string())
            }
        }
        other => format!("{other}: issue it anew"),
    }
}

/// There are more intermediates than are looked at.
#[derive(Debug)]
pub(super) struct TooMany {
    pub(super) found: usize,
    pub(super) most: usize,
}

impl fmt::Display for TooMany {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} certificates come with it, and no more than {} are looked at: send only its own and the \
             intermediates that are needed",
            self.found, self.most
        )
    }
}

impl core::error::Error for TooMany {}

/// Errors of rustls' parser of certificates. They are of a crate that is not ours to name, and come with a name for
/// programmers.
fn by_name(name: &str) -> String {
    const ANEW: &str = "issue it anew";
    const ONLY: &str = "send only its own and the intermediates that are needed";
    let (what, remedy) = match name {
        "CaUsedAsEndEntity" => ("it is that of a CA", "issue one that is not (basic constraints, CA:FALSE)"),
        "EndEntityUsedAsCa" => (
            "what has signed it is itself no CA's certificate",
            "have it signed by a CA, or by an intermediate",
        ),
        "ExtensionValueInvalid" => ("an extension of it cannot be understood", ANEW),
        "MaximumNameConstraintComparisonsExceeded"
        | "MaximumPathBuildCallsExceeded"
        | "MaximumPathDepthExceeded"
        | "MaximumSignatureChecksExceeded" => {
            ("the path from it to a CA in `ca` is too long, or has loops", ONLY)
        }
        "NameConstraintViolation" => {
            ("it has a name that its CA may not give (name constraints)", "have it issued by one that may")
        }
        "PathLenConstraintViolated" => {
            ("there are more CAs in its path than one of them allows (path length)", ONLY)
        }
        "SignatureAlgorithmMismatch" => ("it names two ways of signing", ANEW),
        "UnsupportedCertVersion" => ("it is not of X.509 version 3", ANEW),
        "UnsupportedCriticalExtension" => ("it has an extension that is critical and not known here", ANEW),
        other => return format!("{other}: {ANEW}"),
    };
    format!("{what}: {remedy}")
}

/// What the other end tells us.
fn received(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::UnknownCA => {
            format!(
                "the other end refuses our certificate, for it does not know the CA that signed it: \
                 {ONE_CA}"
            )
        }
        AlertDescription::CertificateExpired => format!(
            "the other end refuses our certificate, which by its clock has expired or is not valid yet: \
             {CLOCKS}"
        ),
        AlertDescription::CertificateRequired | AlertDescription::NoCertificate => {
            "the other end refuses us, for we presented no certificate: give this end a certificate and a \
             key of the cluster's CA"
                .to_string()
        }
        AlertDescription::DecryptError => format!(
            "the other end refuses our certificate, for a signature is not by the key that it should be by \
             (is there a second CA of the same name? Is a key of the kind RSA shorter than 2048 bits?): \
             {ONE_CA}"
        ),
        AlertDescription::UnsupportedCertificate => {
            "the other end refuses our certificate as not made for this use: a node needs the extended key \
             usages serverAuth and clientAuth, a client clientAuth (or none may be named at all)"
                .to_string()
        }
        AlertDescription::CertificateUnknown => {
            "the other end refuses our certificate: most often it names nobody, or several, or a client \
             where a node is wanted; its log says more"
                .to_string()
        }
        AlertDescription::BadCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::AccessDenied => {
            format!("the other end refuses our certificate ({alert:?}): its log says why")
        }
        AlertDescription::ProtocolVersion => {
            "the other end refuses TLS 1.3, and nothing else is spoken here: use a program that speaks it"
                .to_string()
        }
        AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity => format!(
            "the other end finds nothing in common to speak TLS by ({alert:?}): use programs of about the \
             same age"
        ),
        AlertDescription::NoApplicationProtocol => {
            "the other end refuses us, for it speaks another protocol over TLS: is it another program, or a \
             wrong port?"
                .to_string()
        }
        other => format!("the other end broke TLS off ({other:?}): its log says why"),
    }
}

/// A span of time in its two largest units, near enough for a human.
pub(super) fn span(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    if days > 0 {
        format!("{days} d {} h", hours % 24)
    } else if hours > 0 {
        format!("{hours} h {} min", minutes % 60)
    } else if minutes > 0 {
        format!("{minutes} min")
    } else {
        format!("{seconds} s")
    }
}
