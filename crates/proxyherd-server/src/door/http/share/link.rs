//! The link of a share: `<base>/share#<token>`.

use axum::http::{HeaderMap, header};
use proxyherd_config::config::{AccessSettings, Address};
use proxyherd_core::access::TokenText;

/// What the links begin with that one listening socket makes.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::door::http) enum LinkBase {
    /// The setting `public_url`, without a slash at the end.
    Public(String),
    /// The host that the request names. The request's host is checked before it gets here.
    OfRequest {
        /// The scheme of the socket, with its `://`.
        scheme: &'static str,
        /// The socket's address, for a request that names no host.
        own: Address,
    },
}

impl LinkBase {
    pub(in crate::door::http) fn new(own: Address, has_tls: bool, access: &AccessSettings) -> LinkBase {
        match &access.public_url {
            Some(url) => LinkBase::Public(url.clone()),
            None => LinkBase::OfRequest { scheme: if has_tls { "https://" } else { "http://" }, own },
        }
    }

    /// The link of the share with this token, for a request with these headers.
    pub(super) fn link(&self, headers: &HeaderMap, token: &TokenText) -> String {
        let base = match self {
            LinkBase::Public(url) => url.clone(),
            LinkBase::OfRequest { scheme, own } => {
                let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
                format!("{scheme}{}", host.map_or_else(|| own.to_string(), str::to_owned))
            }
        };
        format!("{base}/share#{}", token.reveal())
    }
}

#[cfg(test)]
mod tests {
    use proxyherd_core::access::{SECRET_LEN, TokenId};

    use super::*;

    #[test]
    fn a_link_begins_with_the_public_url_or_with_the_host_that_the_request_names() {
        let token = TokenText::new(TokenId::parse("k1w1").unwrap(), &[0xa5; SECRET_LEN]);
        let public = AccessSettings {
            public_url: Some("https://herd.example/map".to_owned()),
            ..AccessSettings::default()
        };
        let without = AccessSettings::default();
        for (access, has_tls, host, expected) in [
            (&public, false, Some("127.0.0.1:8000"), "https://herd.example/map"),
            (&without, false, Some("localhost:8000"), "http://localhost:8000"),
            (&without, true, Some("herd.example"), "https://herd.example"),
            (&without, true, None, "https://127.0.0.1:9"),
        ] {
            let base = LinkBase::new("127.0.0.1:9".parse().unwrap(), has_tls, access);
            let mut headers = HeaderMap::new();
            headers.extend(host.map(|host| (header::HOST, host.parse().unwrap())));
            assert_eq!(base.link(&headers, &token), format!("{expected}/share#{}", token.reveal()));
        }
    }
}
