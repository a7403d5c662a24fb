//! Whole numbers as people write them: `5000`, `10_000_000`.

/// The digits, in groups of three where there are more than four.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    if digits.len() <= 4 {
        return digits;
    }
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('_');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn digits_stand_in_threes() {
        for (number, text) in
            [(0, "0"), (999, "999"), (5000, "5000"), (65_536, "65_536"), (10_000_000, "10_000_000")]
        {
            assert_eq!(grouped(number), text);
        }
    }
}
