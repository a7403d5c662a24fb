//! The ID of a request: the client's `X-Request-Id`, or one that this server makes.
//!
//! The ID is in every response, in the body of an error, and in the log's lines about the request. A client or a proxy
//! can so find one request in the logs of several programs. The invariant: an ID has 1 to [`REQUEST_ID_LEN_MAX`]
//! printable ASCII characters, so it cannot forge a line of a log.

use std::sync::{
    LazyLock,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use proxyherd_config::clock;

use super::limits::REQUEST_ID_LEN_MAX;

/// The header of requests and responses.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The ID of one request.
#[derive(Clone, Debug)]
pub(super) enum RequestId {
    /// The client's ID.
    Kept(HeaderValue),
    /// This server's ID, in hexadecimal digits.
    Made([u8; MADE_LEN]),
}

/// The length of an ID that this server makes.
const MADE_LEN: usize = 16;

impl RequestId {
    /// Keeps the ID in the headers of a request. Makes an ID if there is none, if there are several, or if it is too
    /// long or not printable.
    pub(super) fn of(headers: &HeaderMap) -> RequestId {
        let mut sent = headers.get_all(X_REQUEST_ID).iter();
        match (sent.next(), sent.next()) {
            (Some(id), None) if is_kept(id.as_bytes()) => RequestId::Kept(id.clone()),
            _ => RequestId::made(),
        }
    }

    /// A new ID, unlike any other ID of this process. Another process has the same ID only by a rare accident.
    fn made() -> RequestId {
        static SEED: LazyLock<u64> = LazyLock::new(clock::random);
        static COUNT: AtomicU64 = AtomicU64::new(0);
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        // An odd factor makes a bijection, so no two counts have the same ID.
        let number = (COUNT.fetch_add(1, Relaxed).wrapping_add(*SEED)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        RequestId::Made(std::array::from_fn(|at| DIGITS[(number >> (60 - 4 * at)) as usize & 15]))
    }

    /// The ID as the value of a header.
    pub(super) fn value(&self) -> HeaderValue {
        match self {
            RequestId::Kept(id) => id.clone(),
            RequestId::Made(text) => HeaderValue::from_bytes(text).expect("hexadecimal digits are printable"),
        }
    }

    /// The ID as a text.
    pub(super) fn as_str(&self) -> &str {
        let text = match self {
            RequestId::Kept(id) => id.to_str().ok(),
            RequestId::Made(text) => std::str::from_utf8(text).ok(),
        };
        text.expect("only printable ASCII is kept or made")
    }
}

fn is_kept(id: &[u8]) -> bool {
    (1..=REQUEST_ID_LEN_MAX).contains(&id.len()) && id.iter().all(|byte| (b' '..=b'~').contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(sent: &[&str]) -> RequestId {
        let mut headers = HeaderMap::new();
        for id in sent {
            headers.append(X_REQUEST_ID, HeaderValue::from_bytes(id.as_bytes()).unwrap());
        }
        RequestId::of(&headers)
    }

    #[test]
    fn a_printable_id_is_kept_and_any_other_is_replaced() {
        let longest = "x".repeat(REQUEST_ID_LEN_MAX);
        for id in ["a", "0af7651916cd43dd8448eb211c80319c", "with space", &longest] {
            assert_eq!(of(&[id]).as_str(), id);
        }
        let too_long = "x".repeat(REQUEST_ID_LEN_MAX + 1);
        for sent in [&[][..], &[""], &["a", "b"], &["tab\there"], &["é"], &[&too_long]] {
            let made = of(sent);
            assert_eq!(made.as_str().len(), 16, "{sent:?} {made:?}");
            assert!(made.as_str().bytes().all(|byte| byte.is_ascii_hexdigit()), "{made:?}");
        }
    }

    #[test]
    fn no_two_made_ids_are_equal() {
        let made: std::collections::BTreeSet<_> = (0..10_000).map(|_| of(&[]).as_str().to_owned()).collect();
        assert_eq!(made.len(), 10_000);
    }
}
