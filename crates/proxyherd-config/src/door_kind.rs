//! The kinds of doors, in one table. The configuration, the command line, logs and metrics read this table.
//!
//! To add a kind, add a variant and its row, remove its key from `NOT_BUILT`, describe the key in `classic.toml`, and
//! start the door in `Doors::open`. CONTRIBUTING has the whole list. Logs and messages list doors in the order of the
//! table. This module knows no protocols.

/// A kind of door that this version has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DoorKind {
    /// The line protocol.
    Line,
    /// HTTP.
    Http,
    /// HTTP with the formats of phone apps alone.
    Phones,
}

/// One kind of door.
struct Row {
    kind: DoorKind,
    /// Its key with the section before it: `server.listen`.
    setting: &'static str,
    /// Its name in metrics and logs.
    label: &'static str,
    /// The word before its addresses where a server says where it listens.
    told: &'static str,
    /// The hint for a server without such a door, if every server must have one.
    missing: Option<&'static str>,
}

/// The section before the key of each setting of a server.
const SECTION: &str = "server.";

/// The rows, in the order of the enum.
const TABLE: [Row; 3] = [
    Row {
        kind: DoorKind::Line,
        setting: "server.listen",
        label: "line",
        told: "clients",
        missing: Some("a server has an address for its clients: listen = \"127.0.0.1:12000\""),
    },
    Row { kind: DoorKind::Http, setting: "server.http", label: "http", told: "HTTP", missing: None },
    Row { kind: DoorKind::Phones, setting: "server.phones", label: "phones", told: "phones", missing: None },
];

/// The keys of doors that are not built yet, and the clients for which each door is planned.
pub(crate) const NOT_BUILT: [(&str, &str); 3] =
    [("resp", "Redis clients"), ("mqtt", "MQTT clients"), ("tile38", "Tile38 clients")];

impl DoorKind {
    /// Every kind, in the order in which logs and messages list doors.
    pub const ALL: [DoorKind; TABLE.len()] = {
        let mut all = [DoorKind::Line; TABLE.len()];
        let mut index = 0;
        while index < TABLE.len() {
            all[index] = TABLE[index].kind;
            index += 1;
        }
        all
    };

    const fn row(self) -> &'static Row {
        const ROWS: &[Row; DoorKind::ALL.len()] = &TABLE;
        &ROWS[self as usize]
    }

    /// The kind's key in `[[server]]`.
    pub fn key(self) -> &'static str {
        self.setting().strip_prefix(SECTION).expect("every row begins with its section (a test checks this)")
    }

    /// Its key with the section before it: `server.listen`.
    pub fn setting(self) -> &'static str {
        self.row().setting
    }

    /// Its name in metrics and logs.
    pub fn label(self) -> &'static str {
        self.row().label
    }

    /// The word before its addresses where a server says where it listens: `clients`.
    pub fn told(self) -> &'static str {
        self.row().told
    }

    /// The hint for a server without such a door, if every server must have one.
    pub(crate) fn missing(self) -> Option<&'static str> {
        self.row().missing
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_kind_has_the_row_at_its_own_place_and_names_of_its_own() {
        let (mut keys, mut labels) = (BTreeSet::new(), BTreeSet::new());
        for (index, kind) in DoorKind::ALL.into_iter().enumerate() {
            assert_eq!((kind as usize, kind.row().kind), (index, kind));
            assert!(keys.insert(kind.key()) && labels.insert(kind.label()), "{kind:?}");
            assert_eq!(kind.setting(), format!("{SECTION}{}", kind.key()));
        }
        assert!(NOT_BUILT.iter().all(|(key, _)| keys.insert(key)));
    }
}
