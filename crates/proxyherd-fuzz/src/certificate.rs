//! Certificates, which any stranger at the peer port may present. They never arrive in pieces, and this check writes none.

use proxyherd::fuzzing::server_of_certificate;

use crate::memory::bounded;

/// Longest input, bytes. rustls accepts no longer chain of certificates.
const CERTIFICATE_LEN_MAX: usize = 64 * 1024;

/// A certificate is refused, or it is parsed. The name of a server that was read is in it.
pub fn check(input: &[u8]) {
    let input = &input[..input.len().min(CERTIFICATE_LEN_MAX)];
    let Some(uri) = bounded(input.len(), 512, 1 << 16, || server_of_certificate(input)) else { return };
    assert!(input.windows(uri.len()).any(|window| window == uri.as_bytes()), "{uri}");
}
