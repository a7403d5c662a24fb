//! Decodes the header of a frame, and the content of the first frame of a file.
//!
//! [`PbfFrame::header_len`] and [`PbfFrame::read`] decode what precedes a blob. [`PbfHeader::read`] decodes the
//! unpacked blob of the first frame. Invariant: no returned length exceeds the limits of the format.

use super::message::{Damage, PbfMessage, pick};

/// Maximum length of the header of a frame, bytes: the format's own limit.
const HEADER_LEN_MAX: u32 = 64 * 1024;
/// Maximum length of a blob, packed or unpacked, bytes: the format's own limit.
pub(super) const BLOB_LEN_MAX: usize = 32 * 1024 * 1024;

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::provider::osm) struct PbfFrame {
    pub(in crate::provider::osm) kind: FrameKind,
    /// The length of the blob, bytes.
    pub(in crate::provider::osm) blob_len: usize,
}

/// The purpose of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::provider::osm) enum FrameKind {
    /// The blob of the frame describes the file.
    Header,
    /// The blob of the frame holds objects.
    Data,
    /// Any other frame, which readers skip.
    Other,
}

impl PbfFrame {
    /// The length of the header, from the four bytes before it.
    pub(in crate::provider::osm) fn header_len(before: [u8; 4]) -> Result<usize, Damage> {
        match u32::from_be_bytes(before) {
            len @ ..=HEADER_LEN_MAX => Ok(len as usize),
            _ => Err(Damage("its header is longer than the format allows")),
        }
    }

    /// Decodes a header.
    pub(in crate::provider::osm) fn read(header: &[u8]) -> Result<PbfFrame, Damage> {
        let [kind, blob_len] = pick(header, [1, 3])?;
        let kind = match kind.ok_or(Damage("it does not say what it holds"))?.bytes()? {
            b"OSMHeader" => FrameKind::Header,
            b"OSMData" => FrameKind::Data,
            _ => FrameKind::Other,
        };
        let blob_len = blob_len.ok_or(Damage("it does not say how long it is"))?.number()?;
        // In this unsigned number a negative length appears as a huge number.
        let blob_len = usize::try_from(blob_len).ok().filter(|&len| len <= BLOB_LEN_MAX);
        Ok(PbfFrame { kind, blob_len: blob_len.ok_or(Damage("it is longer than the format allows"))? })
    }
}

/// The content of a frame of the kind [`FrameKind::Header`]: the features that the file requires, and the file's own
/// description.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::provider::osm) struct PbfHeader {
    /// The first required feature that is unknown.
    pub(in crate::provider::osm) unknown_feature: Option<String>,
    /// The second since 1970 up to which the file is current. 0 if the file does not say.
    pub(in crate::provider::osm) up_to_date_s: i64,
}

impl PbfHeader {
    /// Decodes the content. `known` are the features that this program supports.
    pub(in crate::provider::osm) fn read(bytes: &[u8], known: &[&str]) -> Result<PbfHeader, Damage> {
        let (mut message, mut header) = (PbfMessage::new(bytes), PbfHeader::default());
        while let Some((number, value)) = message.field()? {
            match number {
                4 if header.unknown_feature.is_none() => {
                    let feature = value.bytes()?;
                    if !known.iter().any(|known| known.as_bytes() == feature) {
                        header.unknown_feature = Some(String::from_utf8_lossy(feature).into_owned());
                    }
                }
                32 => header.up_to_date_s = value.number()? as i64,
                _ => {}
            }
        }
        Ok(header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_says_what_follows() {
        let frame = |kind, blob_len| Ok(PbfFrame { kind, blob_len });
        assert_eq!(PbfFrame::read(b"\x0a\x09OSMHeader\x18\x1e"), frame(FrameKind::Header, 30));
        assert_eq!(PbfFrame::read(b"\x0a\x07OSMData\x12\x01?\x18\xac\x02"), frame(FrameKind::Data, 300));
        assert_eq!(PbfFrame::read(b"\x0a\x01?\x18\x00"), frame(FrameKind::Other, 0));
    }

    #[test]
    fn lengths_beyond_the_limits_are_damage() {
        assert_eq!(PbfFrame::header_len([0, 0, 0, 13]), Ok(13));
        assert_eq!(PbfFrame::header_len([0, 1, 0, 0]), Ok(64 * 1024));
        assert!(PbfFrame::header_len([0, 1, 0, 1]).is_err());
        assert!(PbfFrame::header_len([0xff; 4]).is_err());
        let header = |len: &[u8]| PbfFrame::read(&[b"\x0a\x07OSMData\x18", len].concat());
        assert!(header(b"\x80\x80\x80\x10").is_ok(), "32 MiB");
        assert!(header(b"\x81\x80\x80\x10").is_err(), "a byte more");
        assert!(header(b"\xff\xff\xff\xff\x07").is_err(), "2 GiB");
        assert!(header(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01").is_err(), "-1");
        assert!(PbfFrame::read(b"\x0a\x07OSMData").is_err() && PbfFrame::read(b"\x18\x01").is_err());
    }

    #[test]
    fn the_first_feature_that_is_not_known_is_named() {
        let bytes = b"\x22\x01a\x22\x01b\x22\x01c\x80\x02\x07";
        let header = |known: &[&str]| PbfHeader::read(bytes, known).unwrap();
        assert_eq!(header(&["c", "b", "a"]), PbfHeader { unknown_feature: None, up_to_date_s: 7 });
        assert_eq!(header(&["a"]).unknown_feature.as_deref(), Some("b"));
    }
}
