//! The scopes of a token: what its holder may do, and for which clients.
//!
//! As texts: `report:<ids>`, `read:<ids>`, `places`, `fences`, and `operate`, which includes all others. `<ids>` is a
//! pattern of client IDs. The checks here compare prefixes and do not allocate.

use std::fmt;

use crate::{
    limits::{SCOPES_BYTES_MAX, SCOPES_MAX},
    types::IdPattern,
};

const REPORT: &[u8] = b"report:";
const READ: &[u8] = b"read:";

/// One scope.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Report and forget these clients.
    Report(IdPattern),
    /// Learn where these clients are, and watch them.
    Read(IdPattern),
    /// Ask about places.
    Places,
    /// Make, change and delete fences.
    Fences,
    /// Everything: all other scopes for all clients, and the operation of the herd.
    Operate,
}

/// Why texts are not the scopes of a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadScopes {
    /// A text is no scope.
    #[error(
        "{0:?} is no scope; scopes are report:IDS, read:IDS, places, fences and operate, where IDS is a client ID, or a \
         prefix that ends in *"
    )]
    Unknown(String),
    /// There is no scope.
    #[error("a token needs at least one scope")]
    None,
    /// There are too many scopes.
    #[error("a token has at most {SCOPES_MAX} scopes")]
    TooMany,
    /// The scopes are too long together.
    #[error("the scopes of a token have at most {SCOPES_BYTES_MAX} bytes together")]
    TooLong,
}

impl Scope {
    /// Reads a scope. `None`: the text is no scope.
    pub fn parse(text: &[u8]) -> Option<Scope> {
        match text {
            b"places" => Some(Scope::Places),
            b"fences" => Some(Scope::Fences),
            b"operate" => Some(Scope::Operate),
            _ => match (text.strip_prefix(REPORT), text.strip_prefix(READ)) {
                (Some(ids), _) => IdPattern::parse(ids).map(Scope::Report),
                (_, Some(ids)) => IdPattern::parse(ids).map(Scope::Read),
                (None, None) => None,
            },
        }
    }

    /// The text that [`Scope::parse`] reads.
    pub fn to_text(&self) -> Vec<u8> {
        match self {
            Scope::Report(ids) => [REPORT, &ids.to_text()].concat(),
            Scope::Read(ids) => [READ, &ids.to_text()].concat(),
            Scope::Places => b"places".to_vec(),
            Scope::Fences => b"fences".to_vec(),
            Scope::Operate => b"operate".to_vec(),
        }
    }
}

/// The text, with the bytes of IDs that are no UTF-8 replaced.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.to_text()))
    }
}

/// The scopes of one token: 1 to [`SCOPES_MAX`], with at most [`SCOPES_BYTES_MAX`] bytes together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scopes {
    all: Box<[Scope]>,
    has_operate: bool,
}

impl Scopes {
    /// The scopes, if they keep the bounds. Equal scopes count once.
    pub fn new(scopes: impl IntoIterator<Item = Scope>) -> Result<Scopes, BadScopes> {
        let mut all = Vec::new();
        let mut len = 0;
        for scope in scopes {
            if all.contains(&scope) {
                continue;
            }
            len += scope.to_text().len();
            if all.len() == SCOPES_MAX {
                return Err(BadScopes::TooMany);
            }
            if len > SCOPES_BYTES_MAX {
                return Err(BadScopes::TooLong);
            }
            all.push(scope);
        }
        if all.is_empty() {
            return Err(BadScopes::None);
        }
        Ok(Scopes { has_operate: all.contains(&Scope::Operate), all: all.into() })
    }

    /// Reads one text for each scope. Equal texts count against the number of texts.
    pub fn parse<'t>(texts: impl IntoIterator<Item = &'t [u8]>) -> Result<Scopes, BadScopes> {
        let mut scopes = Vec::new();
        for text in texts {
            let unknown = || BadScopes::Unknown(String::from_utf8_lossy(text).into_owned());
            scopes.push(Scope::parse(text).ok_or_else(unknown)?);
            if scopes.len() > SCOPES_MAX {
                return Err(BadScopes::TooMany);
            }
        }
        Scopes::new(scopes)
    }

    /// The scope `operate` alone.
    pub fn operate() -> Scopes {
        Scopes { all: [Scope::Operate].into(), has_operate: true }
    }

    /// All scopes, in the order in which they were given.
    pub fn iter(&self) -> impl Iterator<Item = &Scope> {
        self.all.iter()
    }

    /// Whether the scopes allow everything.
    pub fn has_operate(&self) -> bool {
        self.has_operate
    }

    /// Whether the client with this ID may be reported and forgotten.
    pub fn may_report(&self, id: &[u8]) -> bool {
        self.has_operate
            || self.all.iter().any(|scope| matches!(scope, Scope::Report(ids) if ids.matches(id)))
    }

    /// Whether the client with this ID may be read.
    pub fn may_read(&self, id: &[u8]) -> bool {
        self.has_operate || self.all.iter().any(|scope| matches!(scope, Scope::Read(ids) if ids.matches(id)))
    }

    /// Whether one scope allows to read every client of a pattern.
    pub fn may_read_all(&self, wanted: &IdPattern) -> bool {
        self.has_operate
            || self.all.iter().any(|scope| matches!(scope, Scope::Read(ids) if ids.covers(wanted)))
    }

    /// The patterns of the IDs that the scopes name for reading. Who may [operate](Scopes::has_operate) may read all
    /// clients in addition.
    pub fn readable(&self) -> impl Iterator<Item = &IdPattern> {
        self.all.iter().filter_map(|scope| match scope {
            Scope::Read(ids) => Some(ids),
            Scope::Report(_) | Scope::Places | Scope::Fences | Scope::Operate => None,
        })
    }

    /// Whether any client may be reported.
    pub fn has_report(&self) -> bool {
        self.has_operate || self.all.iter().any(|scope| matches!(scope, Scope::Report(_)))
    }

    /// Whether any client may be read.
    pub fn has_read(&self) -> bool {
        self.has_operate || self.all.iter().any(|scope| matches!(scope, Scope::Read(_)))
    }

    /// Whether questions about places are allowed.
    pub fn has_places(&self) -> bool {
        self.has_operate || self.all.contains(&Scope::Places)
    }

    /// Whether fences may be made, changed and deleted.
    pub fn has_fences(&self) -> bool {
        self.has_operate || self.all.contains(&Scope::Fences)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes(texts: &[&str]) -> Result<Scopes, BadScopes> {
        Scopes::parse(texts.iter().map(|text| text.as_bytes()))
    }

    #[test]
    fn a_scope_is_read_as_it_is_written() {
        for text in ["report:courier-*", "read:*", "read:kiwi", "report:a*b", "places", "fences", "operate"] {
            let scope = Scope::parse(text.as_bytes()).unwrap();
            assert_eq!((scope.to_text(), scope.to_string()), (text.as_bytes().to_vec(), text.to_owned()));
        }
        for bad in ["", "read", "read:", "report: *", "READ:*", "places:*", "operate*", "read:a b", " places"]
        {
            assert_eq!(scopes(&[bad]), Err(BadScopes::Unknown(bad.to_owned())), "{bad}");
        }
    }

    #[test]
    fn scopes_allow_what_they_name_and_no_more() {
        let some = scopes(&["report:courier-*", "read:kiwi", "places"]).unwrap();
        assert!(some.may_report(b"courier-7") && !some.may_report(b"kiwi") && !some.may_report(b"courier"));
        assert!(some.may_read(b"kiwi") && !some.may_read(b"courier-7") && !some.may_read(b"kiwi2"));
        assert!(some.has_places() && !some.has_fences() && !some.has_operate());
        assert!(!some.may_read_all(&IdPattern::all()));
        let all = scopes(&["operate"]).unwrap();
        assert_eq!(all, Scopes::operate());
        assert!(all.may_report(b"x") && all.may_read(b"x") && all.may_read_all(&IdPattern::all()));
        assert!(all.has_places() && all.has_fences() && all.has_report() && all.has_read());
    }

    #[test]
    fn the_number_and_the_length_of_scopes_have_bounds() {
        assert_eq!(scopes(&[]), Err(BadScopes::None));
        let many: Vec<String> = (0..=SCOPES_MAX).map(|index| format!("read:c{index}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(scopes(&many), Err(BadScopes::TooMany));
        assert!(scopes(&many[1..]).is_ok());
        let same = ["places"; SCOPES_MAX + 1];
        assert_eq!(scopes(&same[1..]).unwrap().iter().count(), 1, "a token has equal scopes once");
        assert_eq!(scopes(&same), Err(BadScopes::TooMany));
        let long: Vec<String> =
            (0..SCOPES_MAX).map(|index| format!("read:{index}{}", "x".repeat(200))).collect();
        let long: Vec<&str> = long.iter().map(String::as_str).collect();
        assert_eq!(scopes(&long), Err(BadScopes::TooLong));
    }
}
