//! Shares: links that show one client's newest position.
//!
//! `api` makes, lists and revokes shares, and says what the token of a share shows. `link` makes the link. The
//! page behind the link is in `door::http::map`. The token is only in the link's fragment, which no browser sends to a
//! server: the page reads it there and sends it as a header or in a message.

mod api;
mod link;

pub(super) use self::{
    api::{delete_share, get_share, get_shares, post_share},
    link::LinkBase,
};
