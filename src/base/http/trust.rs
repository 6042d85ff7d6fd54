//! The certificate authorities that servers must be certified by.
//!
//! These are the authorities of the system, or those of the file that `AWS_CA_BUNDLE` names, and no others, as in the
//! AWS CLI and the AWS SDKs.

use std::path::{Path, PathBuf};

use aws_smithy_http_client::tls::{TlsContext, TrustStore};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// The variable that names the file.
const VARIABLE: &str = "AWS_CA_BUNDLE";

/// Why a file of certificates cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{VARIABLE}: {}: {why}; name a file of PEM certificates, or unset the variable", path.display())]
pub struct InvalidBundle {
    path: PathBuf,
    why: BundleProblem,
}

#[derive(Debug, thiserror::Error)]
enum BundleProblem {
    #[error("cannot read the file: {0}")]
    Unreadable(std::io::Error),
    #[error("the file has no certificate")]
    Empty,
    #[error("certificate {number} is invalid: {error}")]
    Invalid { number: usize, error: String },
}

/// The authorities that are trusted. By default, these are the authorities of the system.
#[derive(Debug, Clone, Default)]
pub struct Trust(Option<Bundle>);

/// A file of certificates.
#[derive(Debug, Clone)]
struct Bundle {
    path: PathBuf,
    pem: Vec<u8>,
}

impl Trust {
    /// Reads the file that the variable names, if there is one.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, or has no certificate, or has an invalid one.
    pub(super) fn new(variable: impl Fn(&str) -> Option<String>) -> Result<Self, InvalidBundle> {
        let Some(path) = variable(VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from) else {
            return Ok(Self(None));
        };
        let pem = std::fs::read(&path).map_err(BundleProblem::Unreadable);
        match pem.and_then(|pem| check(&pem).map(|()| pem)) {
            Ok(pem) => Ok(Self(Some(Bundle { path, pem }))),
            Err(why) => Err(InvalidBundle { path, why }),
        }
    }

    /// Returns the path of the file, if the authorities are not those of the system.
    pub fn bundle(&self) -> Option<&Path> {
        self.0.as_ref().map(|bundle| &*bundle.path)
    }

    /// Returns the setting of TLS connections that trust these authorities.
    pub(super) fn context(&self) -> TlsContext {
        let Some(bundle) = &self.0 else { return TlsContext::default() };
        let store = TrustStore::empty().with_pem_certificate(bundle.pem.clone());
        TlsContext::builder().with_trust_store(store).build().expect("a trust store is all it takes")
    }
}

/// Checks all that the connector expects of certificates.
fn check(pem: &[u8]) -> Result<(), BundleProblem> {
    let mut roots = RootCertStore::empty();
    for (index, certificate) in CertificateDer::pem_slice_iter(pem).enumerate() {
        let invalid = |error: String| BundleProblem::Invalid { number: index + 1, error };
        let certificate = certificate.map_err(|error| invalid(error.to_string()))?;
        roots.add(certificate).map_err(|error| invalid(error.to_string()))?;
    }
    if roots.is_empty() { Err(BundleProblem::Empty) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(content: Option<&[u8]>) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        if let Some(content) = content {
            std::fs::write(&path, content).unwrap();
        }
        let error = Trust::new(|name| (name == VARIABLE).then(|| path.display().to_string())).unwrap_err();
        error.to_string().replace(&format!("{}/", folder.path().display()), "")
    }

    #[test]
    fn an_unusable_file_is_named_with_its_variable() {
        let way_out = "; name a file of PEM certificates, or unset the variable";
        assert_eq!(
            error(None),
            format!("AWS_CA_BUNDLE: ca.pem: cannot read the file: No such file or directory (os error 2){way_out}")
        );
        for empty in [&b""[..], b"no PEM", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
            assert_eq!(error(Some(empty)), format!("AWS_CA_BUNDLE: ca.pem: the file has no certificate{way_out}"));
        }
        for invalid in ["AAAA\n-----END CERTIFICATE-----\n", "!\n-----END CERTIFICATE-----\n", "AAAA\n"] {
            let error = error(Some(format!("-----BEGIN CERTIFICATE-----\n{invalid}").as_bytes()));
            assert!(error.starts_with("AWS_CA_BUNDLE: ca.pem: certificate 1 is invalid: "), "{error}");
            assert!(error.ends_with(way_out), "{error}");
        }
    }

    #[test]
    fn the_number_of_an_invalid_certificate_is_named() {
        let good = rcgen::generate_simple_self_signed(["a.example.com".to_owned()]).unwrap().cert.pem();
        let bundle = format!("{good}{good}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        assert!(error(Some(bundle.as_bytes())).contains("certificate 3 is invalid"));
    }

    #[test]
    fn an_empty_variable_keeps_the_authorities_of_the_system() {
        assert_eq!(Trust::new(|_| Some(String::new())).unwrap().bundle(), None);
        assert_eq!(Trust::new(|_| None).unwrap().bundle(), None);
    }
}
