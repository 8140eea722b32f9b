//! The HTTP client that speaks to Alertmanagers and receivers of samples.

use std::{path::Path, time::Duration};

use narvi_config::{ClientConfig, Secret};
use reqwest::{Certificate, Identity, Proxy, RequestBuilder, redirect};

use crate::RulerError;

/// A client with the authentication of one part of the file.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    config: ClientConfig,
}

impl Client {
    pub(crate) fn new(config: &ClientConfig, timeout: Duration) -> Result<Self, RulerError> {
        let setting = |error: reqwest::Error| RulerError::Setting(format!("TLS settings cannot be used: {error}"));
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("narvi/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .tls_danger_accept_invalid_certs(config.tls_insecure_skip_verify);
        if !timeout.is_zero() {
            builder = builder.timeout(timeout);
        }
        if let Some(url) = &config.proxy_url {
            let proxy = Proxy::all(url.as_str());
            let wrong = |error| RulerError::Setting(format!("the proxy cannot be used: {error}"));
            builder = builder.proxy(proxy.map_err(wrong)?);
        }
        if let Some(path) = &config.tls_ca_file {
            builder = builder.tls_certs_merge(Certificate::from_pem_bundle(&read(path)?).map_err(setting)?);
        }
        if let Some((certificate, key)) = &config.tls_identity {
            let pem = [read(certificate)?, b"\n".to_vec(), read(key)?].concat();
            builder = builder.identity(Identity::from_pem(&pem).map_err(setting)?);
        }
        Ok(Self { http: builder.build().map_err(setting)?, config: config.clone() })
    }

    /// A POST with authentication; secrets in files are read each time, since they may be renewed.
    pub(crate) fn post(&self, url: &str) -> Result<RequestBuilder, String> {
        let mut request = self.http.post(url);
        if let Some((user, password)) = &self.config.basic_auth {
            request = request.basic_auth(user, Some(secret(password)?));
        }
        if let Some((kind, token)) = &self.config.authorization {
            request = request.header("Authorization", format!("{kind} {}", secret(token)?));
        }
        Ok(request)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, RulerError> {
    std::fs::read(path).map_err(|error| RulerError::io("read", path, error))
}

fn secret(secret: &Secret) -> Result<String, String> {
    match secret {
        Secret::Text(text) => Ok(text.clone()),
        Secret::File(path) => std::fs::read_to_string(path)
            .map(|text| text.trim().to_owned())
            .map_err(|error| format!("cannot read {}: {error}", path.display())),
    }
}

/// What went wrong, with its causes, and without the address and what may be secret in it.
pub(crate) fn explain(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
