//! Times as RFC 3339 and as POSIX seconds. They never arrive in pieces, so the check cuts nothing.

use proxyherd_core::codec::rfc3339;

use crate::memory::bounded;

/// A time that was read and then written is the same time, with the same decimals. What the server writes of a time of
/// its own is read as that time, or refused because it is out of range.
pub fn check(input: &[u8]) {
    if let Ok(time) = bounded(0, 0, 0, || rfc3339::parse(input)) {
        let mut text = Vec::new();
        rfc3339::write(&mut text, time);
        let again = rfc3339::parse(&text).expect("what was written can be read");
        assert_eq!((again.nanos(), again.shape() & 0b1111), (time.nanos(), time.shape() & 0b1111));
        let mut same = Vec::new();
        rfc3339::write(&mut same, again);
        assert_eq!(same, text);
    }
    if let Some(bytes) = input.first_chunk() {
        let nanos = u64::from_le_bytes(*bytes);
        let mut text = Vec::new();
        rfc3339::write_received(&mut text, nanos);
        match rfc3339::parse(&text) {
            Ok(time) => assert_eq!(time.nanos(), nanos),
            Err(error) => assert_eq!(error, rfc3339::TimeError::Range),
        }
    }
}
