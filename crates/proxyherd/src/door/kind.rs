//! Which doors there are: one list, which the configuration, the metrics and the log go by.

/// A kind of door: one protocol that clients speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DoorKind {
    /// The line protocol.
    Line,
    /// HTTP.
    Http,
}

impl DoorKind {
    /// Every kind; each stands at the place of its number.
    pub const ALL: [DoorKind; 2] = [DoorKind::Line, DoorKind::Http];

    /// What metrics and the log call it.
    pub fn label(self) -> &'static str {
        match self {
            DoorKind::Line => "line",
            DoorKind::Http => "http",
        }
    }

    /// Its key in a server's section of herd.toml.
    pub fn key(self) -> &'static str {
        match self {
            DoorKind::Line => "listen",
            DoorKind::Http => "http",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_stands_at_the_place_of_its_number() {
        for (place, kind) in DoorKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, place);
        }
    }
}
