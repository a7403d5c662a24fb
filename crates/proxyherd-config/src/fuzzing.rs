//! The private codecs of this crate, for fuzzing only. Only `proxyherd-fuzz` may use them, and they change with the
//! program's internals. Other codecs are public anyway ([`Config::read`](crate::config::Config::read)).

use crate::credentials::Facts;

/// The URI of the server that a certificate (DER) is for. `None`: the certificate is not for a server of a herd.
pub fn server_of_certificate(der: &[u8]) -> Option<String> {
    Facts::of(&der.into()).ok()?.member().map(|member| member.uri())
}
