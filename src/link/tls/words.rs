//! What went wrong, for the one who reads the log: which certificate, and what would help.

use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible};

use crate::log;
use crate::proto::handshake::MAGIC;
use crate::proto::{Fault, Guess};

/// An error that came with the peer's first bytes, if `first` is there.
pub(super) fn at(error: &Error, first: Option<&[u8]>) -> String {
    match (error, first) {
        (Error::InvalidMessage(InvalidMessage::InvalidContentType), Some(first)) => plain(first),
        _ => of(error),
    }
}

fn plain(first: &[u8]) -> String {
    if first.starts_with(MAGIC) {
        return "the peer is pinhole without TLS: both ends need the same transport".into();
    }
    format!("the peer does not speak TLS, but {}", Fault::Stranger(Guess::of(first)))
}

/// In words.
pub(super) fn of(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(error) => certificate(error),
        Error::NoCertificatesPresented => {
            "the client shows no certificate, and client_ca asks for one (client_certificate, client_private_key)"
                .into()
        }
        Error::AlertReceived(alert) => self::alert(*alert).into(),
        Error::PeerIncompatible(PeerIncompatible::ExtendedMasterSecretExtensionRequired) => {
            "the peer's TLS 1.2 lacks the extended master secret (RFC 7627)".into()
        }
        other => format!("TLS: {other}"),
    }
}

fn certificate(error: &CertificateError) -> String {
    use CertificateError::*;
    match error {
        NotValidForNameContext { expected, presented } => {
            let expected = expected.to_str();
            match presented.first() {
                Some(presented) => {
                    format!("the peer's certificate is for {presented}, not for {expected}: see hostname")
                }
                None => format!(
                    "the peer's certificate has no subjectAltName, and CN alone does not count: make one for {expected} \
                     (openssl: -addext subjectAltName=DNS:{expected})"
                ),
            }
        }
        NotValidForName => "the peer's certificate is for another name: see hostname".into(),
        UnknownIssuer => "the peer's certificate is of no authority that is trusted here: see trusted_root".into(),
        ExpiredContext { time, not_after } => {
            format!(
                "the peer's certificate has expired on {}, {}",
                date(*not_after),
                today(*time)
            )
        }
        NotValidYetContext { time, not_before } => {
            format!(
                "the peer's certificate is not valid before {}, {}",
                date(*not_before),
                today(*time)
            )
        }
        Revoked => "the peer's certificate was revoked".into(),
        other => format!("the peer's certificate is not accepted: {other}"),
    }
}

/// A router without a battery begins in 1970.
fn today(time: UnixTime) -> String {
    format!("and the clock here says {}: is it right?", date(time))
}

fn date(time: UnixTime) -> String {
    let (year, month, day) = log::date(time.as_secs() / 86_400);
    format!("{year:04}-{month:02}-{day:02}")
}

fn alert(alert: AlertDescription) -> &'static str {
    match alert {
        AlertDescription::CertificateRequired => {
            "the server wants a client certificate: client_certificate and client_private_key are missing"
        }
        AlertDescription::UnknownCA => "the peer does not trust the authority of the certificate shown to it",
        AlertDescription::CertificateExpired => "the peer says that the certificate shown to it has expired",
        AlertDescription::CertificateUnknown | AlertDescription::BadCertificate => {
            "the peer does not accept the certificate shown to it"
        }
        AlertDescription::HandshakeFailure => "the peer ends the handshake: it found nothing that both ends can do",
        AlertDescription::ProtocolVersion => "the peer speaks no TLS version that is spoken here (1.2, 1.3)",
        AlertDescription::UnrecognisedName => "the peer has no certificate for the name that it was asked for",
        AlertDescription::InternalError => "the peer failed (TLS alert: internal error)",
        _ => "the peer ends the connection with a TLS alert",
    }
}
