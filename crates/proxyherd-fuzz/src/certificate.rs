//! Certificates, which any stranger at the peer port may present. Certificates never arrive in pieces, so the check
//! cuts nothing. It also writes no certificates.

use proxyherd_config::fuzzing::server_of_certificate;

use crate::memory::bounded;

/// Maximum length of an input, bytes. rustls accepts no longer chain of certificates.
const CERTIFICATE_LEN_MAX: usize = 64 * 1024;

/// A certificate is refused, or it is parsed. If a server's name was read from the certificate, the certificate's bytes
/// contain this name.
pub fn check(input: &[u8]) {
    let input = &input[..input.len().min(CERTIFICATE_LEN_MAX)];
    let Some(uri) = bounded(input.len(), 512, 1 << 16, || server_of_certificate(input)) else { return };
    assert!(input.windows(uri.len()).any(|window| window == uri.as_bytes()), "{uri}");
}
