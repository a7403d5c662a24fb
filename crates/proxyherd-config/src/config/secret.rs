//! Finds what may be secret in a configuration, so that no message repeats it on a terminal or in a log.

/// Keys whose values may be secret, in lower case. Some of these keys are not known keys, but likely misspellings of
/// known keys.
const SECRET_KEYS: [&str; 8] = ["url", "key", "password", "secret", "token", "api_key", "api-key", "apikey"];

/// The ends of names of environment variables that may hold a secret, in upper case.
const SECRET_VARIABLES: [&str; 5] = ["_KEY", "_PASSWORD", "_SECRET", "_TOKEN", "DATABASE_URL"];

/// The beginning of Google's keys.
const LOOKS_SECRET: &str = "AIza";

/// The beginning of access tokens.
const TOKEN: &str = proxyherd_core::access::TOKEN_PREFIX;

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
    } else if text.contains(TOKEN) {
        Some("a token")
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
    let value = secret_value_of(line).or_else(|| {
        // In a line with escapes, nothing shows where the secret begins.
        let plain = without_escapes(line);
        let is_secret = plain != line && secret_value_of(&plain).is_some();
        is_secret.then(|| line.find('=').map_or(0, |at| at + 1))
    });
    match value {
        Some(0) => HIDDEN.to_string(),
        Some(at) => format!("{} {HIDDEN}", line[..at].trim_end()),
        None => line.to_owned(),
    }
}

/// Where the first value begins that may be secret.
fn secret_value_of(line: &str) -> Option<usize> {
    let separators = line.match_indices(['=', ':']).filter(|&(at, separator)| {
        // A colon separates a key and a value in other languages. In TOML it is part of an address or of a URL.
        separator == "=" || line[at + 1..].starts_with([' ', '\t', '"', '\''])
    });
    let after_keys = separators.filter(|&(at, _)| names_secret(&line[..at])).map(|(at, _)| at + 1);
    let found = [line.find(LOOKS_SECRET), line.find(TOKEN), line.find(PRIVATE_KEY), password_in(line)];
    let values = found.into_iter().flatten().map(|at| line[..at].rfind('=').map_or(0, |at| at + 1));
    after_keys.chain(values).chain(value_without_separator(line)).min()
}

/// Where the value begins in a line such as `key "VALUE"`, whose `=` was forgotten.
fn value_without_separator(line: &str) -> Option<usize> {
    let begin = line.len() - line.trim_start().len();
    let end = begin + line[begin..].find([' ', '\t', '"', '\''])?;
    let is_value = line[end..].trim_start().starts_with(|next| !matches!(next, '=' | '.' | ':'));
    (is_value && names_secret(&line[..end])).then_some(end)
}

/// Whether the text before a value ends in a key, or in the name of a variable, whose value may be secret.
fn names_secret(before: &str) -> bool {
    let before = before.trim_end().trim_end_matches(['"', '\'']);
    let key = before.rsplit(['.', ',', '{', ' ', '\t', '"', '\'']).next().unwrap_or(before);
    let variable = key.to_ascii_uppercase();
    SECRET_KEYS.iter().any(|secret| key.eq_ignore_ascii_case(secret))
        || SECRET_VARIABLES.iter().any(|end| variable.ends_with(end))
}

/// The line with a character in place of each escape of TOML that names the character by its number.
fn without_escapes(line: &str) -> String {
    let mut parts = line.split('\\');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = match part.as_bytes() {
            [b'u', ..] => part.get(1..5),
            [b'U', ..] => part.get(1..9),
            [b'x', ..] => part.get(1..3),
            _ => None,
        };
        let number = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        match number.and_then(char::from_u32).zip(digits) {
            Some((character, digits)) => {
                plain.push(character);
                plain.push_str(&part[1 + digits.len()..]);
            }
            None => {
                plain.push('\\');
                plain.push_str(part);
            }
        }
    }
    plain
}

/// Whether the end of `text` is within a string of several lines, so that the next line may be part of a secret.
pub(super) fn is_in_long_string(text: &str) -> bool {
    let mut rest = text;
    while let Some(at) = rest.find(['#', '"', '\'']) {
        rest = &rest[at..];
        let delimiter = [r#"""""#, "'''"].into_iter().find(|quotes| rest.starts_with(quotes));
        let end = match delimiter {
            Some(quotes) => match end_of_string(&rest[quotes.len()..], quotes) {
                Some(end) => Some(quotes.len() + end),
                None => return true,
            },
            // A comment and a string of one line end with their line, at the latest.
            None => {
                let line = rest.lines().next().unwrap_or_default();
                let end = (!line.starts_with('#')).then(|| end_of_string(&line[1..], &line[..1]));
                end.flatten().map(|end| end + 1).or_else(|| rest.find('\n'))
            }
        };
        let Some(end) = end else { return false };
        rest = &rest[end..];
    }
    false
}

/// The end of a string that ends with `quotes`, which is behind them.
fn end_of_string(text: &str, quotes: &str) -> Option<usize> {
    let mut at = 0;
    while let Some(next) = text[at..].find(['\\', '"', '\'']).map(|next| at + next) {
        if text[next..].starts_with(quotes) {
            return Some(next + quotes.len());
        }
        let is_escape = text[next..].starts_with('\\') && quotes.starts_with('"');
        let escaped = text[next + 1..].chars().next().filter(|_| is_escape);
        at = next + 1 + escaped.map_or(0, char::len_utf8);
    }
    None
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
            "KEY = 'b'",
            "operator_token_sha256 = \"phd_b_b\"",
            "api-key = 'b'",
            "places.google.Api_Key = 'b'",
            "PROXYHERD_PLACES_google_key=b",
            "level = \"\" # password = b",
            "key_env = \"\\u0041Iza b\"",
            "\"k\\u0065y\" = \"b\"",
            "cert = \"http\\x3a//a:b@c\"",
        ] {
            let shown = without_secret(line);
            assert!(
                shown.ends_with("= …") && !shown.contains('b') || shown.starts_with("database"),
                "{shown}"
            );
        }
        assert_eq!(without_secret("database = { url = \"postgres://a:b@c\" }"), "database = { url = …");
        for (line, expected) in [
            ("AIzaSyb", "…"),
            ("b AIzaSy", "…"),
            ("key: b", "key: …"),
            ("  \"token\" : \"b\"", "  \"token\" : …"),
            ("key:'b'", "key: …"),
            ("key \"b\"", "key …"),
            ("\ttoken b", "\ttoken …"),
        ] {
            assert_eq!(without_secret(line), expected);
        }
        for line in [
            "key_env = \"NAME\"",
            "# url",
            "listen = \"url\"",
            "base_url = \"https://x\"",
            "PROXYHERD_PLACES_GOOGLE_BASE_URL=x",
            "base_url = \"http://user@127.0.0.1:80\"",
            "base_url = \"http://a:80/@b\"",
            "listen = \"key:80\"",
            "dir = \"\\u00e9\\ux\\U0010ffff\\\"",
            "url",
            "# key \"b\"",
        ] {
            assert_eq!(without_secret(line), line);
        }
    }

    #[test]
    fn strings_of_several_lines_are_known_by_their_quotes() {
        for text in
            ["a = \"\"\"", "a = \"\"\"b\n\"\"", "a = '''b\\", "a = \"\"\"\\\"\"\"", "a = 'b\nc = \"\"\"\n'''"]
        {
            assert!(is_in_long_string(text), "{text}");
        }
        for text in [
            "",
            "a = \"b\"\n",
            "# \"\"\"\n",
            "# '",
            "a = '\"\"\"'",
            "a = \"\\\"\"\n",
            "a = \"é\\é\n",
            "a = \"\"\"b\n'\"\"\"",
            "a = '''b\\'''",
            "a = \"\\",
        ] {
            assert!(!is_in_long_string(text), "{text}");
        }
    }
}
