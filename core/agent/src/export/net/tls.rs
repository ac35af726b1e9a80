//! Certificates from files, read again for every upload, so that a rotated one needs no restart.
//! The cryptography is ring's, whatever the host has made its default.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};

use crate::config::Http;
use crate::error::Error;

/// Bytes of a file of certificates: all of Mozilla's are 200 KiB.
const MAX_BYTES: u64 = 4 << 20;

/// What the settings' files hold.
pub(super) struct Material {
    /// The authorities to trust; `None` for Mozilla's.
    pub(super) roots: Option<Vec<Certificate<'static>>>,
    /// The certificate to show, with its chain, and its key.
    pub(super) identity: Option<(Vec<Certificate<'static>>, PrivateKey<'static>)>,
}

impl Material {
    pub(super) fn read(http: &Http) -> Result<Self, Error> {
        let roots = http.ca_file.as_deref().map(certificates).transpose()?;
        let identity = match (&http.client_cert, &http.client_key) {
            (Some(chain), Some(key)) => Some((certificates(chain)?, private_key(key)?)),
            _ => None,
        };
        Ok(Self { roots, identity })
    }

    /// TLS 1.2 and 1.3 for the HTTP client.
    pub(super) fn into_config(self) -> TlsConfig {
        let config = TlsConfig::builder().unversioned_rustls_crypto_provider(provider());
        let config = match self.roots {
            Some(roots) => config.root_certs(RootCerts::new_with_certs(&roots)),
            None => config,
        };
        let identity = self.identity.map(|(chain, key)| ClientCert::new_with_certs(&chain, key));
        config.client_cert(identity).build()
    }
}

/// Ring.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, Error> {
    let found: Vec<_> = items(path)?
        .into_iter()
        .filter_map(|item| match item {
            PemItem::Certificate(certificate) => Some(certificate),
            _ => None,
        })
        .collect();
    if found.is_empty() {
        return Err(broken(path, "holds no certificate in PEM form"));
    }
    Ok(found)
}

fn private_key(path: &Path) -> Result<PrivateKey<'static>, Error> {
    let key = items(path)?.into_iter().find_map(|item| match item {
        PemItem::PrivateKey(key) => Some(key),
        _ => None,
    });
    key.ok_or_else(|| broken(path, "holds no private key in PEM form"))
}

fn items(path: &Path) -> Result<Vec<PemItem<'static>>, Error> {
    let mut pem = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_BYTES).read_to_end(&mut pem))
        .map_err(|error| broken(path, &error.to_string()))?;
    let items = parse_pem(&pem).collect::<Result<_, _>>();
    items.map_err(|error| broken(path, &error.to_string()))
}

fn broken(path: &Path, why: &str) -> Error {
    Error::invalid(format!("{}: {why}", path.display()))
}
