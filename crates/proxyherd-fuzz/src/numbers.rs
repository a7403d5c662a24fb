//! Numbers as clients write them and as links send them: coordinates, timestamps, differences, radii. They never arrive
//! in pieces, so the check cuts nothing.

use proxyherd_core::types::{ClientId, Coordinates, Decimal, Difference, Radius, Timestamp, Version};

use crate::memory::bounded;

/// Writing a text that was read gives the same text. If bits are accepted, they are the bits of some text.
pub fn check(input: &[u8]) {
    bounded(0, 0, 0, || (Coordinates::parse(input), Timestamp::parse(input), Radius::parse_km(input)));
    let mut text = Vec::new();
    if let Some(coordinates) = Coordinates::parse(input) {
        coordinates.write(&mut text);
        assert_eq!(text, input);
        assert!(coordinates.latitude().degrees().abs() <= 90.0);
        assert!(coordinates.longitude().degrees().abs() <= 180.0);
    }
    if let Some(timestamp) = Timestamp::parse(input) {
        text.clear();
        timestamp.write(&mut text);
        assert_eq!(text, input);
        assert_eq!(Timestamp::from_parts(timestamp.nanos(), timestamp.shape()), Some(timestamp));
    }
    if let Some(radius) = Radius::parse_km(input) {
        assert_eq!(Radius::from_micrometers(radius.micrometers()), Some(radius));
    }
    if let Some(client) = ClientId::new(input) {
        assert_eq!(client.as_bytes(), input);
    }
    let mut words = input.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes));
    check_bits(words.next().unwrap_or(0), words.next().unwrap_or(0), input.last().copied().unwrap_or(0));
}

fn check_bits(one: u64, other: u64, shape: u8) {
    let mut text = Vec::new();
    if let Some(decimal) = Decimal::from_bits(one) {
        decimal.write(&mut text);
        assert_eq!(Decimal::parse(&text), Some((decimal, &b""[..])));
    }
    let Some(timestamp) = Timestamp::from_parts(one, shape) else { return };
    text.clear();
    timestamp.write(&mut text);
    assert_eq!(Timestamp::parse(&text), Some(timestamp));
    let at_receipt = Difference::at_receipt(other, timestamp);
    for difference in [Some(at_receipt), Difference::from_nanos(other.cast_signed(), timestamp)] {
        let Some(difference) = difference else { continue };
        text.clear();
        difference.write(&mut text);
        assert!(text[0] == b'+' || text[0] == b'-');
        assert_eq!(text.len() - text.iter().position(|&byte| byte == b'.').expect("it has decimals"), 10);
        assert_eq!(Difference::from_nanos(difference.nanos(), timestamp), Some(difference));
        let _ = (difference.received_ns(timestamp), Version::of(timestamp, difference));
    }
}
