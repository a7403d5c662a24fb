//! The live map and the page of shares.
//!
//! `pages` serves the built pages and their files, which the crate `proxyherd-web` holds. `policy` says what a page may
//! load, and which servers it may talk to. `api` has what the map asks a server about itself and about the herd:
//!
//! - `GET /v1/map`, which needs no token:
//!   `{"server":"Riley","tokens":false,"tiles":null,"demo":true,"version":"0.1.0"}`, where `tiles` can also be
//!   `{"url":"https://…/{z}/{x}/{y}.png","attribution":"© …"}`.
//! - `GET /v1/herd`, for operators: `{"server":"Riley","servers":[{"name":"Riley","http":["http://127.0.0.1:8000"],
//!   "links":[{"neighbor":"Jaquez","up":true,"eager":true}]}]}`, where `up` is `null` if this server cannot know it.
//! - `GET /v1/rights`, with any valid token: `{"report":true,"read":true,"places":true,"operate":false}`. So a page
//!   shows only what its token allows, and sends no request that would be refused.
//!
//! Everything else that the map shows comes from the paths of the API.

mod api;
mod pages;
mod policy;

pub(super) use self::{
    api::{get_herd, get_map, get_rights},
    pages::{get_file, get_page, get_share_page},
};
