//! The program as an HTTP client: how it asks servers elsewhere, whatever it asks them.
//!
//! A request goes to the server that it names and to no other: no redirect is followed, no proxy of the environment is
//! used, and nothing is sent twice. Errors are told in words that repeat no URL, because a URL may hold a key.

use std::{error::Error as _, io, sync::Arc};

use reqwest::{Client, ClientBuilder, redirect, retry};
use rustls::{ClientConfig, RootCertStore, crypto::ring};

use crate::door_trust;

/// A client that uses `tls`. The caller sets the limits of time.
pub(crate) fn builder(tls: ClientConfig) -> ClientBuilder {
    Client::builder()
        .user_agent(concat!("proxyherd/", env!("CARGO_PKG_VERSION")))
        .tls_backend_preconfigured(tls)
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .referer(false)
        .no_proxy()
}

/// A TLS configuration for requests over plain HTTP. It trusts nobody, so it needs no certificates of the system.
pub(crate) fn plain() -> ClientConfig {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config =
        config.with_safe_default_protocol_versions().expect("ring supports rustls' default versions");
    config.with_root_certificates(RootCertStore::empty()).with_no_client_auth()
}

/// What went wrong, in words that hold no URL, no name and no address.
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

/// The error at the bottom: an I/O error may be wrapped in others, of which it is not the source.
fn innermost(mut error: &io::Error) -> &io::Error {
    while let Some(inner) = error.get_ref().and_then(|inner| inner.downcast_ref::<io::Error>()) {
        error = inner;
    }
    error
}
