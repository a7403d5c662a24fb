//! Who may do what: grants, and the tokens from which callers get them.
//!
//! This module does not know doors, and it does not know which operation needs which right.

mod grant;

pub use self::grant::Grant;
