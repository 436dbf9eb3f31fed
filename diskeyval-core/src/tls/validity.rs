//! Until when certificates are good.

use alloc::string::{String, ToString};

use rustls::pki_types::CertificateDer;
use x509_cert::Certificate;
use x509_cert::der::Decode;

use crate::status::CertificateStatus;

const DAY: i64 = 86_400;

/// When a certificate ends, in seconds since 1970; `None` if it cannot be read, which those that have passed a handshake
/// can.
pub(super) fn not_after(certificate: &CertificateDer<'_>) -> Option<u64> {
    let parsed = Certificate::from_der(certificate).ok()?;
    Some(parsed.tbs_certificate().validity().not_after.to_unix_duration().as_secs())
}

/// Whom a CA says that it is.
pub(super) fn subject(certificate: &CertificateDer<'_>) -> String {
    Certificate::from_der(certificate)
        .map_or_else(|_| "(unreadable)".into(), |parsed| parsed.tbs_certificate().subject().to_string())
}

pub(super) fn status(name: String, not_after: u64, now: u64) -> CertificateStatus {
    let seconds = |time| i64::try_from(time).unwrap_or(i64::MAX);
    let days_left = seconds(not_after).saturating_sub(seconds(now)).div_euclid(DAY);
    CertificateStatus { name, not_after, days_left }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_rounded_down_before_and_behind_the_end() {
        let left = |not_after, now| status("n1".into(), not_after, now).days_left;
        let end = 20_000 * 86_400;
        assert_eq!(left(end, end - 30 * 86_400), 30);
        assert_eq!(left(end, end - 30 * 86_400 + 1), 29);
        assert_eq!(left(end, end), 0);
        assert_eq!(left(end, end + 1), -1);
        assert_eq!(left(end, end + 86_400), -1);
        assert_eq!(left(u64::MAX, 0), i64::MAX / 86_400);
    }
}
