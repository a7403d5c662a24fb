//! An HTTP client that sends a request only to the named server.
//!
//! [`builder`] makes a client that follows no redirect, ignores the proxy settings of the environment, and sends
//! nothing twice. [`trouble`] describes an error without its URL, because a URL may hold a key. Providers send their
//! requests with such a client, and a program may use such a client for its own requests. This module does not know
//! what a request means.

use std::{error::Error, io, sync::Arc};

use reqwest::{Client, ClientBuilder, redirect, retry};
use rustls::{ClientConfig, RootCertStore, crypto::ring};

/// A client that uses `tls`. The caller sets the time limits.
pub fn builder(tls: ClientConfig) -> ClientBuilder {
    Client::builder()
        .user_agent(concat!("proxyherd/", env!("CARGO_PKG_VERSION")))
        .tls_backend_preconfigured(tls)
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .referer(false)
        .no_proxy()
}

/// A TLS configuration for requests over plain HTTP. It trusts no certificate, so it does not need the system's
/// certificates.
pub fn plain() -> ClientConfig {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config =
        config.with_safe_default_protocol_versions().expect("ring supports rustls' default versions");
    config.with_root_certificates(RootCertStore::empty()).with_no_client_auth()
}

/// Describes an error without URLs, names and addresses.
pub fn trouble(error: &reqwest::Error) -> String {
    if error.is_dns() {
        return "its name can't be resolved".to_owned();
    }
    match tls_error(error) {
        Some(rustls::Error::InvalidCertificate(_)) => {
            return "its certificate is not one that this system trusts".to_owned();
        }
        Some(rustls::Error::InvalidMessage(_)) => return "it does not speak TLS".to_owned(),
        Some(_) => return "no encrypted connection can be made".to_owned(),
        None => {}
    }
    let of_system = io_errors(error).find(|io| io.raw_os_error().is_some());
    if let Some(io) = of_system {
        return io.kind().to_string();
    }
    if causes(error).filter_map(|cause| cause.downcast_ref::<hyper::Error>()).any(hyper::Error::is_parse) {
        return "its answer is not HTTP; is another program there?".to_owned();
    }
    let what = if error.is_connect() { "no connection can be made" } else { "the connection was lost" };
    what.to_owned()
}

/// The TLS error that ended a request. `None` if another error ended it. A caller that knows which certificate
/// to expect can give a better message than [`trouble`].
pub fn tls_error(error: &reqwest::Error) -> Option<&rustls::Error> {
    io_errors(error).find_map(|io| io.get_ref()?.downcast_ref())
}

/// The causes of an error, without the error itself.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(error.source(), |&cause| cause.source())
}

/// The I/O errors among the causes, each without the I/O errors around it.
fn io_errors(error: &reqwest::Error) -> impl Iterator<Item = &io::Error> {
    causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>()).map(innermost)
}

/// The innermost error. An I/O error may be wrapped in other I/O errors whose `source` does not lead to it.
fn innermost(mut error: &io::Error) -> &io::Error {
    while let Some(inner) = error.get_ref().and_then(|inner| inner.downcast_ref::<io::Error>()) {
        error = inner;
    }
    error
}
