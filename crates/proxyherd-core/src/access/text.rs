//! The text of a token: `phd_<id>_<secret>`. The ID is public. The secret is 256 random bits, as 64 hexadecimal digits.
//!
//! A text has exactly one form, so two texts that differ in one byte are two tokens. Nothing here prints a secret.

use std::fmt;

use crate::limits::TOKEN_ID_LEN_MAX;

/// The beginning of every token.
pub const TOKEN_PREFIX: &str = "phd_";
/// The number of random bytes in a secret.
pub const SECRET_LEN: usize = 32;
/// The length of the hash of a token's text (SHA-256), bytes.
pub const HASH_LEN: usize = 32;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// The ID of a token: 1 to [`TOKEN_ID_LEN_MAX`] lower-case letters and digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenId(Box<str>);

/// A text is not the ID of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the ID of a token has 1 to {TOKEN_ID_LEN_MAX} lower-case letters and digits")]
pub struct BadTokenId;

impl TokenId {
    /// Reads an ID.
    pub fn parse(text: &str) -> Result<TokenId, BadTokenId> {
        let fits = (1..=TOKEN_ID_LEN_MAX).contains(&text.len());
        let is_plain = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        if fits && is_plain { Ok(TokenId(text.into())) } else { Err(BadTokenId) }
    }

    /// An ID of 12 characters made of random bits.
    pub fn of_random(bits: u64) -> TokenId {
        const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
        let letters = (0..12).map(|place| char::from(LETTERS[(bits >> (5 * place)) as usize % 32]));
        TokenId(letters.collect::<String>().into())
    }

    /// The ID as a text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// The text of a token, as a holder shows it. Neither `Debug` nor `Display` shows the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenText {
    text: Box<str>,
    id: TokenId,
}

impl TokenText {
    /// Reads the text of a token. `None`: the text does not have the form of a token.
    pub fn parse(text: &[u8]) -> Option<TokenText> {
        let text = std::str::from_utf8(text).ok()?;
        let (id, secret) = text.strip_prefix(TOKEN_PREFIX)?.split_once('_')?;
        let id = TokenId::parse(id).ok()?;
        let is_secret = secret.len() == 2 * SECRET_LEN && secret.bytes().all(|byte| HEX.contains(&byte));
        is_secret.then(|| TokenText { text: text.into(), id })
    }

    /// The text of a token with this ID and secret.
    pub fn new(id: TokenId, secret: &[u8; SECRET_LEN]) -> TokenText {
        let mut text = format!("{TOKEN_PREFIX}{id}_");
        for byte in secret {
            text.push(char::from(HEX[usize::from(byte >> 4)]));
            text.push(char::from(HEX[usize::from(byte & 15)]));
        }
        TokenText { text: text.into(), id }
    }

    /// The token's ID.
    pub fn id(&self) -> &TokenId {
        &self.id
    }

    /// The whole text, with the secret. Only the holder may see it.
    pub fn reveal(&self) -> &str {
        &self.text
    }
}

/// The ID, without the secret.
impl fmt::Debug for TokenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenText({}, …)", self.id)
    }
}

/// The ID, without the secret.
impl fmt::Display for TokenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{TOKEN_PREFIX}{}_…", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_one_form_only() {
        let text = TokenText::new(TokenId::parse("k1w1").unwrap(), &[0xa5; SECRET_LEN]);
        let written = text.reveal().to_owned();
        assert_eq!(written, format!("phd_k1w1_{}", "a5".repeat(32)));
        assert_eq!(TokenText::parse(written.as_bytes()), Some(text));
        let secret = "a5".repeat(32);
        for bad in [
            String::new(),
            "phd_".to_owned(),
            "phd_k1w1".to_owned(),
            format!("phd__{secret}"),
            format!("phd_K1_{secret}"),
            format!("phd_k-1_{secret}"),
            format!("PHD_k1w1_{secret}"),
            format!("phd_k1w1_{}", secret.to_uppercase()),
            format!("phd_k1w1_{secret}0"),
            format!("phd_k1w1_{}", &secret[1..]),
            format!("phd_k1w1_{secret} "),
            format!(" phd_k1w1_{secret}"),
            format!("phd_k1w1_{secret}\n"),
            format!("phd_k1_w1_{secret}"),
            format!("phd_{}_{secret}", "k".repeat(TOKEN_ID_LEN_MAX + 1)),
        ] {
            assert_eq!(TokenText::parse(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(TokenText::parse(b"phd_k1w1_\xff"), None);
    }

    #[test]
    fn neither_debug_nor_display_shows_the_secret() {
        let text = TokenText::new(TokenId::of_random(u64::MAX), &[0xa5; SECRET_LEN]);
        for shown in [format!("{text}"), format!("{text:?}"), format!("{:?}", Some(&text))] {
            assert!(shown.contains(text.id().as_str()) && !shown.contains("a5a5"), "{shown}");
        }
    }

    #[test]
    fn ids_of_random_bits_are_ids() {
        for bits in [0, 1, u64::MAX, 0x0123_4567_89ab_cdef] {
            let id = TokenId::of_random(bits);
            assert_eq!(TokenId::parse(id.as_str()), Ok(id));
        }
        assert_ne!(TokenId::of_random(1), TokenId::of_random(2));
    }
}
