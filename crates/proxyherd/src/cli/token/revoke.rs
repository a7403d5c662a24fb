//! `proxyherd token revoke`: ends a token for ever.

use std::io::{self, Write as _};

use proxyherd_core::access::{TokenId, TokenText};

use super::servers::{ServerArgs, wait_for};
use crate::cli::heading;

const AFTER_HELP: &str = concat!(
    heading!("Examples"),
    "  proxyherd token revoke h4k2m8q9r3t7
  proxyherd token revoke h4k2m8q9r3t7 --at https://herd.example.org

",
    heading!("Environment"),
    "  PROXYHERD_TOKEN  the token to show to the server, with the scope operate

",
    heading!("Exit codes"),
    "  0   the token is revoked
  1   no server answers, the server has refused, or it knows no such token
  2   the command line is wrong
  78  the configuration is wrong
",
);

/// Revoke a token for ever
///
/// The asked server, and every server that it has a path to, refuse the token within a second, on open connections too.
/// Other servers refuse it when they have a path again.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// The ID of the token: in a token, the part between phd_ and the secret; `token list` shows the IDs
    #[arg(value_name = "ID", value_parser = parse_id)]
    id: TokenId,

    #[command(flatten)]
    servers: ServerArgs,
}

/// Revokes the token.
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let asked = args.servers.asked()?;
    wait_for(asked.servers.revoke(args.id.as_str()))?;
    writeln!(io::stdout(), "Revoked {}. Servers that are in reach refuse it within a second.", args.id)?;
    Ok(())
}

/// Reads an ID. A whole token is accepted, too, because its holder may have nothing else.
fn parse_id(text: &str) -> Result<TokenId, String> {
    if let Some(token) = TokenText::parse(text.as_bytes()) {
        return Ok(token.id().clone());
    }
    // Something like a token is not repeated.
    let id = TokenId::parse(text)
        .map_err(|bad| format!("{bad}; `proxyherd token list` shows the ID of each name"))?;
    match id.as_str() {
        "operator" => Err("this is the operator's token: to end it, write the hash of another token into \
                           operator_token_sha256 in [access] of herd.toml"
            .to_owned()),
        _ => Ok(id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_stands_alone_or_in_its_token() {
        let secret = "0".repeat(64);
        for (text, expected) in [
            ("h4k2m8q9r3t7".to_owned(), Some("h4k2m8q9r3t7")),
            (format!("phd_h4k2m8q9r3t7_{secret}"), Some("h4k2m8q9r3t7")),
            ("operator".to_owned(), None),
            (String::new(), None),
            ("../clients/kiwi".to_owned(), None),
        ] {
            assert_eq!(parse_id(&text).ok().as_ref().map(TokenId::as_str), expected, "{text}");
        }
    }
}
