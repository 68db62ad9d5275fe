//! What the configuration's files contain, and what is trusted.

use std::sync::Arc;

use p12_keystore::KeyStore;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, ServerConfig, SignatureScheme,
};

use crate::config::{File, Identity, Secret, Tls};
use crate::link::Unfit;
use crate::proto::End;

use super::Setup;

type Chain = Vec<CertificateDer<'static>>;

impl Setup {
    pub fn from_tls(config: &Tls, end: End) -> Result<Setup, Unfit> {
        let provider = Arc::new(ring::default_provider());
        match end {
            End::Server => server(config, &provider),
            End::Client => client(config, &provider),
        }
    }
}

fn server(config: &Tls, provider: &Arc<CryptoProvider>) -> Result<Setup, Unfit> {
    let Some(identity) = &config.identity else {
        return Err(Unfit {
            key: "tls",
            text: "has no certificate for the server".into(),
        });
    };
    let builder = ServerConfig::builder_with_provider(provider.clone());
    let builder = builder.with_safe_default_protocol_versions().map_err(unfit_build)?;
    let builder = match &config.client_ca {
        None => builder.with_no_client_auth(),
        Some(file) => {
            let roots = Arc::new(roots(file, certificates(file)?)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider.clone()).build();
            builder
                .with_client_cert_verifier(verifier.map_err(|error| unfit(file, &format!("cannot be used: {error}")))?)
        }
    };
    let key = Arc::new(certified(identity, provider)?);
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(key.clone())));
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.require_ems = true;
    Ok(Setup::Server(Arc::new(config), key))
}

fn client(config: &Tls, provider: &Arc<CryptoProvider>) -> Result<Setup, Unfit> {
    let name = config.hostname.as_deref().map(server_name).transpose();
    let name = name.map_err(|text| Unfit {
        key: "tls.hostname",
        text,
    })?;
    let verifier = Arc::new(Verifier::new(config.trusted_root.as_ref(), provider)?);
    let builder = ClientConfig::builder_with_provider(provider.clone());
    let builder = builder.with_safe_default_protocol_versions().map_err(unfit_build)?;
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    let mut config = match &config.identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let key = certified(identity, provider)?;
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key)))
        }
    };
    config.resumption = Resumption::disabled();
    config.require_ems = true;
    Ok(Setup::Client(Arc::new(config), name))
}

fn unfit(file: &File, text: &str) -> Unfit {
    Unfit {
        key: file.key,
        text: text.to_owned(),
    }
}

/// With this provider it does not happen.
fn unfit_build(error: Error) -> Unfit {
    Unfit {
        key: "type",
        text: error.to_string(),
    }
}

/// A name or an address that a certificate can be for. The error completes a sentence that starts with it.
pub(super) fn server_name(host: &str) -> Result<ServerName<'static>, String> {
    let without_zone = host.split_once('%').map_or(host, |(address, _)| address);
    let name = ServerName::try_from(without_zone).map_err(|_| "is neither a host name nor an address".to_owned())?;
    Ok(name.to_owned())
}

// ---- what a side shows of itself ----------------------------------------------------------------------------------

fn certified(identity: &Identity, provider: &CryptoProvider) -> Result<CertifiedKey, Unfit> {
    let (file, chain, key) = match identity {
        Identity::Pem(certificate, private_key) => (certificate, certificates(certificate)?, key(private_key)?),
        Identity::Pkcs12(file, password) => {
            let (chain, key) = pkcs12(file, password)?;
            (file, chain, key)
        }
    };
    CertifiedKey::from_der(chain, key, provider).map_err(|error| match (error, identity) {
        (Error::InconsistentKeys(_), Identity::Pem(certificate, private_key)) => unfit(
            private_key,
            &format!("is not the key of the first certificate in {}", certificate.key),
        ),
        (Error::InvalidCertificate(_), _) => unfit(file, "has a certificate that cannot be read"),
        (_, Identity::Pem(_, private_key)) => unfit(private_key, "has a key of a kind that TLS does not use here"),
        (error, _) => unfit(file, &format!("cannot be used: {error}")),
    })
}

fn certificates(file: &File) -> Result<Chain, Unfit> {
    let chain = CertificateDer::pem_slice_iter(file.bytes.as_bytes()).collect::<Result<Chain, _>>();
    match chain {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        Ok(_) => Err(unfit(
            file,
            "has no certificate in it; expected PEM, with -----BEGIN CERTIFICATE----- lines",
        )),
        Err(error) => Err(unfit(file, broken_pem(&error))),
    }
}

fn key(file: &File) -> Result<PrivateKeyDer<'static>, Unfit> {
    match PrivateKeyDer::from_pem_slice(file.bytes.as_bytes()) {
        Ok(key) => Ok(key),
        Err(pem::Error::NoItemsFound) if is_encrypted(file.bytes.as_bytes()) => Err(unfit(
            file,
            "is encrypted, and nobody is there to ask; decrypt it with `openssl pkey`",
        )),
        Err(pem::Error::NoItemsFound) => Err(unfit(
            file,
            "has no private key in it; expected PEM, with a -----BEGIN PRIVATE KEY----- line",
        )),
        Err(error) => Err(unfit(file, broken_pem(&error))),
    }
}

fn is_encrypted(pem: &[u8]) -> bool {
    const MARK: &[u8] = b"BEGIN ENCRYPTED PRIVATE KEY";
    pem.windows(MARK.len()).any(|bytes| bytes == MARK)
}

/// The library's own words quote the file.
fn broken_pem(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => "is not whole: an -----END line is missing",
        _ => "is not PEM, or is damaged",
    }
}

fn pkcs12(file: &File, password: &Secret) -> Result<(Chain, PrivateKeyDer<'static>), Unfit> {
    use p12_keystore::error::Error;
    let password = std::str::from_utf8(password.as_bytes()).unwrap_or_default();
    let store = KeyStore::from_pkcs12(file.bytes.as_bytes(), password).map_err(|error| match error {
        Error::MacError(_) => Unfit {
            key: "tls.pkcs12_password",
            text: "does not open the file in tls.pkcs12".into(),
        },
        Error::UnsupportedEncryptionScheme | Error::UnsupportedMacAlgorithm => unfit(
            file,
            "is encrypted in a way that is not known here; make it anew with `openssl pkcs12 -export`",
        ),
        _ => unfit(file, "is not a PKCS#12 file, or is damaged"),
    })?;
    let Some((_, found)) = store.private_key_chain() else {
        return Err(unfit(file, "has no private key with a certificate in it"));
    };
    let chain = found
        .chain()
        .iter()
        .map(|certificate| certificate.as_der().to_vec().into())
        .collect();
    let key = PrivateKeyDer::try_from(found.key().to_vec());
    Ok((
        chain,
        key.map_err(|_| unfit(file, "has a private key of a kind that TLS does not use here"))?,
    ))
}

// ---- who is trusted -----------------------------------------------------------------------------------------------

fn roots(file: &File, certificates: Chain) -> Result<RootCertStore, Unfit> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        let added = roots.add(certificate);
        added.map_err(|_| unfit(file, "has a certificate that cannot be read"))?;
    }
    Ok(roots)
}

/// The system's roots; one that cannot be read is left out, as others do.
fn system_roots() -> Result<RootCertStore, Unfit> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        let text = "is absent, and this system has no root certificates; name the file of the server's authority here, \
                    or install the package ca-certificates";
        return Err(Unfit {
            key: "tls.trusted_root",
            text: text.into(),
        });
    }
    Ok(roots)
}

/// As WebPKI has it, with one thing more: a server's certificate that stands in `trusted_root` itself needs no
/// authority. `openssl req -x509` makes such ones, which are authorities of their own and so no server's for WebPKI.
#[derive(Debug)]
struct Verifier {
    inner: Arc<WebPkiServerVerifier>,
    pinned: Chain,
}

impl Verifier {
    fn new(trusted: Option<&File>, provider: &Arc<CryptoProvider>) -> Result<Verifier, Unfit> {
        let (roots, pinned) = match trusted {
            Some(file) => {
                let certificates = certificates(file)?;
                (roots(file, certificates.clone())?, certificates)
            }
            None => (system_roots()?, Chain::new()),
        };
        let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
        let inner = inner.map_err(|error| Unfit {
            key: "tls.trusted_root",
            text: format!("cannot be used: {error}"),
        })?;
        Ok(Verifier { inner, pinned })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        use CertificateError::*;
        let verified = self
            .inner
            .verify_server_cert(end_entity, intermediates, name, ocsp, now);
        match verified {
            // The dates have been looked at before anything that a pin could stand for.
            Err(Error::InvalidCertificate(Other(_) | UnknownIssuer)) if self.pinned.contains(end_entity) => {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
