//! What is not repeated of a configuration, because it may be secret.

/// Keys whose values are not repeated on a terminal or in a log, known to the herd or only meant to be.
const SECRET_KEYS: [&str; 6] = ["url", "key", "password", "secret", "token", "api_key"];

/// How the names of variables end that may hold such a value.
const SECRET_VARIABLES: [&str; 5] = ["_KEY", "_PASSWORD", "_SECRET", "_TOKEN", "DATABASE_URL"];

/// How Google's keys begin.
const LOOKS_SECRET: &str = "AIza";

/// What stands before and after a private key in PEM.
const PRIVATE_KEY: &str = "PRIVATE KEY-----";

/// What stands where a secret was.
pub(super) const HIDDEN: char = '…';

/// Whether a value looks like a key of Google's or holds a private key, wherever somebody has put it by mistake.
pub(super) fn looks_secret(text: &str) -> bool {
    text.contains(LOOKS_SECRET) || text.contains(PRIVATE_KEY)
}

/// The line up to the first value of a key that may hold a password, or that looks like a key itself, and dots for the
/// rest.
pub(super) fn without_secret(line: &str) -> String {
    let after_keys =
        line.match_indices('=').filter(|&(at, _)| names_secret(&line[..at])).map(|(at, _)| at + 1);
    let secret = line.find(LOOKS_SECRET).map(|at| line[..at].rfind('=').map_or(at, |at| at + 1));
    match after_keys.chain(secret).min() {
        Some(at) => format!("{} {HIDDEN}", line[..at].trim_end()),
        None => line.to_owned(),
    }
}

/// Whether what stands before a `=` ends in a key that may hold a password, be it of a table or in a variable's name.
fn names_secret(before: &str) -> bool {
    let before = before.trim_end().trim_end_matches(['"', '\'']);
    let key = before.rsplit(['.', ',', '{', ' ', '\t', '"', '\'']).next().unwrap_or(before);
    SECRET_KEYS.contains(&key) || SECRET_VARIABLES.iter().any(|end| key.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_may_be_secret_are_not_repeated() {
        for line in [
            "url = \"postgres://a:b@c\"",
            "  key=\"b\"",
            "database.url = 'b'",
            "\"token\" = \"b",
            "database = { url = \"postgres://a:b@c\" }",
            "google = { mask = \"pro\", key = 'b' }",
            "key_file = \"AIzaSyb\"",
            "--set places.google.key=b",
            "--set places.google.key_env=AIzaSyb",
            "PROXYHERD_PLACES_GOOGLE_KEY=b",
            "PROXYHERD_PLACES_GOOGLE_KEY_ENV=AIzaSyb",
        ] {
            let shown = without_secret(line);
            assert!(
                shown.ends_with("= …") && !shown.contains('b') || shown.starts_with("database"),
                "{shown}"
            );
        }
        assert_eq!(without_secret("database = { url = \"postgres://a:b@c\" }"), "database = { url = …");
        assert_eq!(without_secret("AIzaSyb"), " …");
        for line in [
            "key_env = \"NAME\"",
            "# url",
            "listen = \"url\"",
            "base_url = \"https://x\"",
            "PROXYHERD_PLACES_GOOGLE_BASE_URL=x",
        ] {
            assert_eq!(without_secret(line), line);
        }
    }
}
