//! Connections to sinks over TCP, with TLS where it is asked for.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::certificate::{Expiry, Owner, Verifier, pin};
use super::secret;
use crate::language::{Argument, Message};

/// What the system trusts, where Debian keeps it.
const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// TLS 1.2 or 1.3 with the suites of rustls. Files are read at each connection, so a renewed certificate takes effect
/// without a restart. A path that is not absolute is the name of a credential of systemd, if there are any.
#[derive(Debug, Clone, Default, PartialEq, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// File of the certificates (PEM) that may vouch for the sink. Unset: those that the system trusts
    /// (`/etc/ssl/certs/ca-certificates.crt`).
    pub ca: Option<PathBuf>,
    /// File of the certificate (PEM, with those between it and its root) by which the sensor shows who it is.
    pub cert: Option<PathBuf>,
    /// File of the key of `cert` (PEM).
    pub key: Option<PathBuf>,
    /// Name in the sink's certificate. Unset: the host that it is reached by.
    pub server_name: Option<String>,
    /// Fingerprints of keys, one of which the sink's certificate must have, besides being vouched for: SHA-256 of the public key
    /// (`SubjectPublicKeyInfo`) in base64. Empty: any key will do.
    pub pins: Vec<String>,
    /// What was seen of certificates.
    #[serde(skip)]
    pub(super) expiry: Expiry,
}

impl Tls {
    /// What the types allow and TLS does not.
    pub(super) fn problems(&self) -> Vec<(&'static str, Argument)> {
        let mut problems = Vec::new();
        if self.cert.is_some() != self.key.is_some() {
            problems.push(("tls", Message::ExportCertWithKey.into()));
        }
        if self.pins.iter().any(|text| pin(text).is_none()) {
            problems.push(("tls.pins", Message::ExportPins.into()));
        }
        if self.server_name.as_ref().is_some_and(|name| ServerName::try_from(name.as_str()).is_err()) {
            problems.push(("tls.server_name", Message::ExportServerName.into()));
        }
        problems
    }

    /// File of the certificates that may vouch for the sink.
    pub(super) fn ca(&self) -> &Path {
        self.ca.as_deref().unwrap_or(Path::new(SYSTEM_ROOTS))
    }

    /// The sensor's own certificates.
    pub(super) fn own(&self, path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
        let own = certificates(path)?;
        if let Some(first) = own.first() {
            self.expiry.saw(Owner::Own, first);
        }
        Ok(own)
    }

    pub(super) fn client(&self) -> io::Result<ClientConfig> {
        let ca = self.ca();
        let mut roots = RootCertStore::empty();
        let (usable, _) = roots.add_parsable_certificates(certificates(ca)?);
        if usable == 0 {
            return Err(io::Error::other(format!("{}: no certificate in it", ca.display())));
        }
        let provider = Arc::new(ring::default_provider());
        let usual = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let verifier = Verifier {
            usual: usual.build().map_err(io::Error::other)?,
            pins: self.pins.iter().filter_map(|text| pin(text)).collect(),
            expiry: self.expiry.clone(),
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => {
                let text = secret::read(key)?;
                let unusable = |error| io::Error::other(format!("{}: {error}", key.display()));
                let key = PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(unusable)?;
                builder.with_client_auth_cert(self.own(cert)?, key).map_err(io::Error::other)
            }
            _ => Ok(builder.with_no_client_auth()),
        }
    }
}

fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let text = secret::read(path)?;
    let unusable = |error| io::Error::other(format!("{}: {error}", path.display()));
    CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<_, _>>().map_err(unusable)
}

/// A connection in both directions.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Host and port of an address: `soc.example:6514`, `[fd00::1]:6514`; none where it is none.
pub(super) fn place(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let port = port.parse().ok().filter(|port| *port > 0)?;
    (!host.is_empty()).then_some((host, port))
}

/// What cannot work of the settings by which a server is reached: its address, and TLS where it is spoken.
pub(super) fn problems(address: &str, tls: Option<&Tls>) -> Vec<(&'static str, Argument)> {
    let mut problems = tls.map(Tls::problems).unwrap_or_default();
    if place(address).is_none() {
        problems.push(("address", Message::ExportAddress.into()));
    }
    problems
}

/// Connects to an address, by TLS if there are settings for it.
pub(super) async fn reach(address: &str, tls: Option<&Tls>) -> io::Result<Box<dyn Duplex>> {
    let (host, port) = place(address).ok_or_else(|| io::Error::other("no address with a port"))?;
    connect(host, port, tls).await
}

/// Connects to a host, by TLS if there are settings for it.
pub(super) async fn connect(host: &str, port: u16, tls: Option<&Tls>) -> io::Result<Box<dyn Duplex>> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    let Some(tls) = tls else { return Ok(Box::new(stream)) };
    let name = tls.server_name.clone().unwrap_or_else(|| host.to_owned());
    let name = ServerName::try_from(name).map_err(io::Error::other)?;
    let connector = TlsConnector::from(Arc::new(tls.client()?));
    Ok(Box::new(connector.connect(name, stream).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_a_port() {
        assert_eq!(place("soc.example:6514"), Some(("soc.example", 6514)));
        assert_eq!(place("[fd00::1]:514"), Some(("fd00::1", 514)));
        for wrong in ["soc.example", ":514", "soc:0", "soc:99999"] {
            assert_eq!(place(wrong), None, "{wrong}");
        }
    }
}
