//! Hides positions in lines of the line protocol, for the setting `positions = false`.
//!
//! A line keeps its command, the IDs in it and, in a reply, the server and the difference. Everything else becomes an
//! ellipsis, because a line that no server understands can have a position anywhere. The writer's thread does this. A
//! thread that serves clients never does.

use std::borrow::Cow;

use proxyherd_core::types::Coordinates;

/// What replaces the rest of a line.
const HIDDEN: &str = "…";

/// The line without positions. The line has no LF at its end.
pub(super) fn without_position(line: &[u8]) -> Cow<'_, [u8]> {
    let (mark, said) = match line.strip_prefix(b"? ") {
        Some(said) => (&b"? "[..], said),
        None => (&b""[..], line),
    };
    let mut fields = fields(said);
    let Some(command) = fields.next() else { return line.into() };
    // The place of the client's ID among the fields after the command.
    let id_at = match command {
        b"IAMAT" | b"WHATSAT" => 0,
        // What links carry about other records than positions.
        b"GONE" | b"DATA" => 0,
        b"AT" => 2,
        b"AUTH" if fields.clone().eq([HIDDEN.as_bytes()]) => return line.into(),
        _ => return [mark, HIDDEN.as_bytes()].concat().into(),
    };
    let mut shown = [mark, command].concat();
    for field in fields.clone().take(id_at + 1) {
        shown.push(b' ');
        shown.extend_from_slice(if may_be_position(field) { HIDDEN.as_bytes() } else { field });
    }
    if fields.nth(id_at + 1).is_some() {
        shown.push(b' ');
        shown.extend_from_slice(HIDDEN.as_bytes());
    }
    shown.into()
}

/// The fields of a line. They are separated by the six bytes that are white space in the line protocol.
fn fields(line: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    line.split(|byte| matches!(byte, b' ' | b'\t'..=b'\r')).filter(|field| !field.is_empty())
}

/// Whether a field in the place of an ID or a number may be a position. The difference in a reply has one sign and one
/// number.
fn may_be_position(field: &[u8]) -> bool {
    let has_letter = field.iter().any(|byte| byte.is_ascii_alphabetic() || !byte.is_ascii());
    let numbers = field.split(|byte| b"+-,;".contains(byte)).filter(|number| !number.is_empty()).count();
    let is_decimal = field.contains(&b'.') && !field.starts_with(b"+") && !field.starts_with(b"-");
    Coordinates::parse(field).is_some()
        || (!has_letter && (is_decimal || (numbers > 1 && field.contains(&b','))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_keeps_its_command_and_its_id_and_nothing_else() {
        for (line, expected) in [
            ("IAMAT kiwi +34.068930-118.445127 1621464827.9", "IAMAT kiwi …"),
            ("IAMAT kiwi", "IAMAT kiwi"),
            (" IAMAT\tcourier-04 34.1 -118.4", "IAMAT courier-04 …"),
            ("AT Riley +0.26 kiwi +34.068930-118.445127 1621464827.9", "AT Riley +0.26 kiwi …"),
            ("AT Riley -0.26 4711 +34-118 1", "AT Riley -0.26 4711 …"),
            ("WHATSAT kiwi 10 5", "WHATSAT kiwi …"),
            ("? WHATSAT kiwi 10 5", "? WHATSAT kiwi …"),
            ("AUTH …", "AUTH …"),
            ("GONE kiwi", "GONE kiwi"),
            ("DATA k1w1 kind 3, 90 bytes", "DATA k1w1 …"),
            ("GONE 34.06893,-118.445127", "GONE …"),
            ("AUTH ok", "…"),
            ("", ""),
            ("? ", "? "),
            // What no server understands may have a position anywhere.
            ("IAMAT +34.068930-118.445127 1621464827.9", "IAMAT … …"),
            ("IAMAT +34-118 1621464827", "IAMAT … …"),
            ("IAMAT 34.06893,-118.445127", "IAMAT …"),
            ("IAMAT 34.06893 -118.445127", "IAMAT … …"),
            ("WHATSAT 34,-118 10 5", "WHATSAT … …"),
            ("iamat kiwi +34.068930-118.445127", "…"),
            ("+34.068930-118.445127", "…"),
            ("? here kiwi 34.06893, -118.445127", "? …"),
        ] {
            let shown = without_position(line.as_bytes());
            assert_eq!(String::from_utf8_lossy(&shown), expected, "{line:?}");
        }
    }
}
