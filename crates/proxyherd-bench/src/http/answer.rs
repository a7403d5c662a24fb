//! Finds the end of an answer of HTTP/1.1 that has a Content-Length.

use anyhow::{Context, Result, bail};
use memchr::memmem;

/// Maximum length of a header section, bytes.
const HEAD_LEN_MAX: usize = 16 * 1024;

/// The lengths of the parts of an answer, bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct AnswerLen {
    pub(super) head: usize,
    pub(super) body: usize,
}

/// The lengths of the answer that `bytes` begins with. `None` if its header section is not complete. Fails if the
/// status is not 200.
pub(super) fn answer_len(bytes: &[u8]) -> Result<Option<AnswerLen>> {
    let Some(end) = memmem::find(bytes, b"\r\n\r\n") else {
        if bytes.len() > HEAD_LEN_MAX {
            bail!("the header section of an answer is too long");
        }
        return Ok(None);
    };
    let head = &bytes[..end + 2];
    if !head.starts_with(b"HTTP/1.1 200 ") {
        bail!("an answer is not 200: {}", String::from_utf8_lossy(bytes));
    }
    let body = content_length(head)
        .with_context(|| format!("an answer has no Content-Length: {}", String::from_utf8_lossy(head)))?;
    Ok(Some(AnswerLen { head: end + 4, body }))
}

fn content_length(head: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"content-length: ";
    let mut lines = head.split(|&byte| byte == b'\n');
    let value = lines.find_map(|line| {
        let (name, value) = line.split_at_checked(NAME.len())?;
        name.eq_ignore_ascii_case(NAME).then_some(value)
    })?;
    std::str::from_utf8(value).ok()?.trim_end().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_an_answer_is_found_wherever_it_is_split() {
        let answer = b"HTTP/1.1 200 OK\r\nDate: x\r\nContent-length: 12\r\n\r\nhello, world";
        let head = answer.len() - 12;
        for len in 0..answer.len() {
            let expected = (len >= head).then_some(AnswerLen { head, body: 12 });
            assert_eq!(answer_len(&answer[..len]).unwrap(), expected, "{len}");
        }
    }

    #[test]
    fn answers_without_a_length_and_refusals_are_errors() {
        for (answer, message) in [
            ("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", "not 200"),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "no Content-Length"),
            (&"x".repeat(HEAD_LEN_MAX + 1), "too long"),
        ] {
            assert!(answer_len(answer.as_bytes()).unwrap_err().to_string().contains(message), "{answer}");
        }
    }
}
