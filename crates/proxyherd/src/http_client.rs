//! The HTTP client with which the program sends requests to other servers: providers of places, and servers of a herd.
//!
//! [`builder`] makes one. A request goes to the server in its URL and to no other: the client follows no redirect, uses no
//! proxy from the environment, and sends nothing twice. [`trouble`] turns errors into words without the URL, because a URL
//! may hold a key. This module does not know what is requested.

use std::{error::Error as _, io, sync::Arc};

use reqwest::{Client, ClientBuilder, redirect, retry};
use rustls::{ClientConfig, RootCertStore, crypto::ring};

use crate::door_trust;

/// A client that uses `tls`. The caller sets the timeouts.
pub(crate) fn builder(tls: ClientConfig) -> ClientBuilder {
    Client::builder()
        .user_agent(concat!("proxyherd/", env!("CARGO_PKG_VERSION")))
        .tls_backend_preconfigured(tls)
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .referer(false)
        .no_proxy()
}

/// A TLS configuration for clients that use plain HTTP alone. It trusts no certificate, so it need not load the system's.
pub(crate) fn plain() -> ClientConfig {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config =
        config.with_safe_default_protocol_versions().expect("ring supports rustls' default versions");
    config.with_root_certificates(RootCertStore::empty()).with_no_client_auth()
}

/// What went wrong, in words without any URL, name or address.
pub(crate) fn trouble(error: &reqwest::Error) -> String {
    if error.is_dns() {
        return "its name can't be resolved".to_owned();
    }
    let causes = || std::iter::successors(error.source(), |&cause| cause.source());
    for io in causes().filter_map(|cause| cause.downcast_ref::<io::Error>()).map(innermost) {
        match io.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(error) => return door_trust::tls_trouble(error).to_owned(),
            None if io.raw_os_error().is_some() => return io.kind().to_string(),
            None => {}
        }
    }
    if causes().filter_map(|cause| cause.downcast_ref::<hyper::Error>()).any(hyper::Error::is_parse) {
        return "what it answers is no HTTP; is another program there?".to_owned();
    }
    let what = if error.is_connect() { "no connection can be made" } else { "the connection was lost" };
    what.to_owned()
}

/// The innermost I/O error. An I/O error may contain another one that its `source` does not return.
fn innermost(mut error: &io::Error) -> &io::Error {
    while let Some(inner) = error.get_ref().and_then(|inner| inner.downcast_ref::<io::Error>()) {
        error = inner;
    }
    error
}
