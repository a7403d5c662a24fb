//! The names that files of a store can have. A name never leads out of the store's directory.

/// Maximum length of a file's name, bytes.
const NAME_LEN_MAX: usize = 64;

/// Whether a file of a store can have this name: lowercase letters, digits, hyphens and inner dots.
pub(crate) fn is_valid(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    (1..=NAME_LEN_MAX).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_lead_out_of_the_directory() {
        for valid in ["journal-1", "snapshot-31-18446744073709551615", "snapshot-0-7.tmp"] {
            assert!(is_valid(valid), "{valid}");
        }
        let long = "a".repeat(NAME_LEN_MAX + 1);
        for invalid in ["", ".", "..", ".hidden", "../budget", "a/b", "a\0", "Journal-1", "journal 1", &long]
        {
            assert!(!is_valid(invalid), "{invalid}");
        }
    }
}
