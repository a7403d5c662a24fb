//! The pairs of a query or a form (`application/x-www-form-urlencoded`), decoded as browsers decode them: `+` is a
//! space, and a `%` without two hexadecimal digits stands for itself.

use std::borrow::Cow;

/// The decoded names and values, in their order. White space around the text is left out.
pub fn pairs(text: &[u8]) -> impl Iterator<Item = (Cow<'_, [u8]>, Cow<'_, [u8]>)> {
    text.trim_ascii().split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()).map(|pair| {
        let end = memchr::memchr(b'=', pair).unwrap_or(pair.len());
        (decode(&pair[..end]), decode(pair.get(end + 1..).unwrap_or_default()))
    })
}

/// Allocates only if there is something to decode.
fn decode(text: &[u8]) -> Cow<'_, [u8]> {
    let Some(first) = memchr::memchr2(b'%', b'+', text) else { return Cow::Borrowed(text) };
    let mut decoded = Vec::with_capacity(text.len());
    decoded.extend_from_slice(&text[..first]);
    let mut at = first;
    while let Some(&byte) = text.get(at) {
        let encoded = text.get(at + 1).zip(text.get(at + 2)).filter(|_| byte == b'%');
        match encoded.and_then(|(high, low)| Some(hex(*high)? << 4 | hex(*low)?)) {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(if byte == b'+' { b' ' } else { byte });
                at += 1;
            }
        }
    }
    Cow::Owned(decoded)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_decoded_as_browsers_decode_them() {
        let text = b"\r\nid=a%2Fb&&note=on+my%20way%21&x&=y&%6Cat=1=2&bad=%4&worse=100%&%zz=%FF\n";
        let decoded: Vec<_> = pairs(text)
            .map(|(name, value)| (name.escape_ascii().to_string(), value.escape_ascii().to_string()))
            .collect();
        let expected = [
            ("id", "a/b"),
            ("note", "on my way!"),
            ("x", ""),
            ("", "y"),
            ("lat", "1=2"),
            ("bad", "%4"),
            ("worse", "100%"),
            ("%zz", "\\xff"),
        ];
        assert_eq!(decoded, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(pairs(b"").count(), 0);
    }
}
