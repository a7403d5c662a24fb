//! Certificates, which any stranger at the peer port may show. They come whole, and are never written.

use proxyherd::fuzzing::server_of_certificate;

use crate::memory::bounded;

/// Longest input that is tried: rustls takes no longer chain of certificates.
const CERTIFICATE_LEN_MAX: usize = 64 * 1024;

/// A certificate is read without harm, and the name of a server that is read stands in it.
pub fn check(input: &[u8]) {
    let input = &input[..input.len().min(CERTIFICATE_LEN_MAX)];
    let Some(uri) = bounded(input.len(), 512, 1 << 16, || server_of_certificate(input)) else { return };
    assert!(input.windows(uri.len()).any(|window| window == uri.as_bytes()), "{uri}");
}
