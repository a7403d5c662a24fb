//! Shares: links that show one client's newest position.
//!
//! `api` makes, lists and revokes shares, and says what the token of a share shows. `link` makes the link. `page` is
//! the page behind the link, which a browser shows. The token is only in the link's fragment, which no browser sends to
//! a server: the page reads it there and sends it as a header or in a message.

mod api;
mod link;
mod page;

pub(super) use self::{
    api::{delete_share, get_share, get_shares, post_share},
    link::LinkBase,
    page::{get_page, get_script, get_style},
};
