//! Certificates for sinks and sensors.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

/// Certificates of a plant's own authority.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn issue(&self, last_year: i32) -> (Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["soc.example".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        // OpenSSL takes one whose subject is called as its issuer for one that signed itself.
        params.distinguished_name.push(DnType::CommonName, "soc.example");
        params.not_after = rcgen::date_time_ymd(last_year, 1, 1);
        (params.signed_by(&key, &self.0).unwrap(), key)
    }

    /// A server that shows a certificate valid until then, and asks for one of this authority.
    pub fn server(&self, last_year: i32) -> Arc<ServerConfig> {
        let (certificate, key) = self.issue(last_year);
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let provider = Arc::new(ring::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let builder = builder.with_client_cert_verifier(verifier);
        Arc::new(builder.with_single_cert(vec![certificate.der().clone()], key).unwrap())
    }

    /// Its own certificate in PEM.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// Files of its own certificate, and of one that is valid until then, with its key.
    pub fn files(&self, folder: &Path, name: &str, last_year: i32) -> [String; 3] {
        let (certificate, key) = self.issue(last_year);
        let texts = [("ca.pem", self.pem()), (".pem", certificate.pem()), (".key", key.serialize_pem())];
        texts.map(|(end, text)| {
            let path = folder.join(format!("{name}{end}"));
            fs::write(&path, text).unwrap();
            path.display().to_string()
        })
    }

    /// The settings by which a sensor trusts it, and shows a certificate of it.
    pub fn tls(&self, folder: &Path) -> String {
        let [ca, cert, key] = self.files(folder, "own", 2100);
        format!("ca = {ca:?}, cert = {cert:?}, key = {key:?}")
    }
}
