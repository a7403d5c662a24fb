//! Finds what may be secret in a configuration, so that no message repeats it on a terminal or in a log.

/// Keys whose values may be secret. Some of these keys are not known keys, but likely misspellings of known keys.
const SECRET_KEYS: [&str; 6] = ["url", "key", "password", "secret", "token", "api_key"];

/// The ends of names of environment variables that may hold a secret.
const SECRET_VARIABLES: [&str; 5] = ["_KEY", "_PASSWORD", "_SECRET", "_TOKEN", "DATABASE_URL"];

/// The beginning of Google's keys.
const LOOKS_SECRET: &str = "AIza";

/// Part of the lines before and after a private key in PEM.
const PRIVATE_KEY: &str = "PRIVATE KEY-----";

/// The character that replaces a secret.
pub(super) const HIDDEN: char = '…';

/// Whether a value looks like a secret, whatever its key is.
pub(super) fn looks_secret(text: &str) -> bool {
    secret_in(text).is_some()
}

/// The kind of secret that a value looks like, in words, whatever its key is.
pub(super) fn secret_in(text: &str) -> Option<&'static str> {
    if text.contains(LOOKS_SECRET) || text.contains(PRIVATE_KEY) {
        Some("a key")
    } else {
        password_in(text).map(|_| "a URL with a password")
    }
}

/// Where a URL with a password begins its authority, the part after `://`.
fn password_in(text: &str) -> Option<usize> {
    let urls = text.match_indices("://").map(|(at, scheme_end)| at + scheme_end.len());
    urls.into_iter().find(|&at| {
        let authority = text[at..].split(['/', '"', '\'', ' ']).next().unwrap_or_default();
        authority.split_once('@').is_some_and(|(user, _)| user.contains(':'))
    })
}

/// The line up to the first value that may be secret, and [`HIDDEN`] in place of the rest. A value may be secret
/// because of its key or because of its form.
pub(super) fn without_secret(line: &str) -> String {
    let after_keys =
        line.match_indices('=').filter(|&(at, _)| names_secret(&line[..at])).map(|(at, _)| at + 1);
    let found = [line.find(LOOKS_SECRET), line.find(PRIVATE_KEY), password_in(line)];
    let values = found.into_iter().flatten().map(|at| line[..at].rfind('=').map_or(at, |at| at + 1));
    match after_keys.chain(values).min() {
        Some(at) => format!("{} {HIDDEN}", line[..at].trim_end()),
        None => line.to_owned(),
    }
}

/// Whether the text before a `=` ends in a key, or in the name of a variable, whose value may be secret.
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
            "--set places.google.place=https://a:b@c/d",
            "cert = \"-----BEGIN PRIVATE KEY-----\\nb\"",
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
            "base_url = \"http://user@127.0.0.1:80\"",
            "base_url = \"http://a:80/@b\"",
        ] {
            assert_eq!(without_secret(line), line);
        }
    }
}
