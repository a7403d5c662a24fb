//! The filter `where`: which clients are wanted, by their attributes.
//!
//! ```text
//! where      = comparison *("and" comparison)
//! comparison = name ("=" / "!=" / "<" / "<=" / ">" / ">=") (number / string)
//! ```
//!
//! A name is the name of an attribute. Numbers and strings are written as in JSON. White space between the parts is
//! optional, except where `and` would run together with another word. Numbers are compared exactly, however long they
//! are, and strings by their code points. If an attribute is absent, or is of the other type, the comparison is false,
//! even with `!=`.
//!
//! A clause is parsed once and applied to many records, so [`WhereClause::matches`] allocates nothing.

use std::{cmp::Ordering, fmt};

use crate::{
    limits::{ATTRIBUTE_NAME_LEN_MAX, ATTRIBUTE_NUMBER_LEN_MAX, WHERE_COMPARISONS_MAX, WHERE_LEN_MAX},
    types::{AttributeValue, Attributes, number},
};

/// A filter by attributes.
///
/// ```
/// use proxyherd_core::{codec::where_clause::WhereClause, types::{AttributeValue, AttributesBuf}};
/// let clause = WhereClause::parse(r#"battery_pct < 20 and note != "charging""#)?;
/// let mut attributes = AttributesBuf::default();
/// attributes.set("battery_pct", AttributeValue::Number("19.5"))?;
/// assert!(!clause.matches(attributes.borrow()), "there is no note");
/// attributes.set("note", AttributeValue::Text("on my way"))?;
/// assert!(clause.matches(attributes.borrow()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WhereClause {
    comparisons: Box<[Comparison]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Comparison {
    name: Box<str>,
    operator: Operator,
    operand: Operand,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Operand {
    Number(Box<str>),
    Text(Box<str>),
}

/// Why a text is no clause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`where`: {expected} at byte {at}")]
pub struct WhereError {
    /// The byte of the text, counted from 0.
    pub at: usize,
    /// What the clause needs there.
    pub expected: Expected,
}

/// What a clause needs at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Expected {
    /// The name of an attribute.
    #[error("expected an attribute's name (1 to {ATTRIBUTE_NAME_LEN_MAX} of a-z, 0-9 and _)")]
    Name,
    /// One of the operators.
    #[error("expected =, !=, <, <=, > or >=")]
    Operator,
    /// A number or a string.
    #[error("expected a number of at most {ATTRIBUTE_NUMBER_LEN_MAX} bytes or a string as in JSON")]
    Operand,
    /// Another comparison or the end.
    #[error("expected `and` or the end")]
    And,
    /// Fewer comparisons.
    #[error("expected at most {WHERE_COMPARISONS_MAX} comparisons")]
    FewerComparisons,
    /// A shorter text.
    #[error("expected at most {WHERE_LEN_MAX} bytes, and the end")]
    End,
}

impl WhereClause {
    /// Reads a clause of at most [`WHERE_LEN_MAX`] bytes and [`WHERE_COMPARISONS_MAX`] comparisons.
    pub fn parse(text: &str) -> Result<WhereClause, WhereError> {
        if text.len() > WHERE_LEN_MAX {
            return Err(WhereError { at: WHERE_LEN_MAX, expected: Expected::End });
        }
        let mut cursor = Cursor { text, at: 0 };
        let mut comparisons = vec![cursor.comparison()?];
        while cursor.and()? {
            if comparisons.len() == WHERE_COMPARISONS_MAX {
                return Err(cursor.wants(Expected::FewerComparisons));
            }
            comparisons.push(cursor.comparison()?);
        }
        Ok(WhereClause { comparisons: comparisons.into() })
    }

    /// The number of comparisons.
    pub fn comparisons(&self) -> usize {
        self.comparisons.len()
    }

    /// Whether all comparisons are true for these attributes.
    pub fn matches(&self, attributes: Attributes<'_>) -> bool {
        self.comparisons.iter().all(|comparison| comparison.is_true(attributes))
    }
}

/// The clause as [`WhereClause::parse`] reads it.
impl fmt::Display for WhereClause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, Comparison { name, operator, operand }) in self.comparisons.iter().enumerate() {
            let and = if place > 0 { " and " } else { "" };
            write!(f, "{and}{name} {} ", operator.as_str())?;
            match operand {
                Operand::Number(number) => f.write_str(number)?,
                Operand::Text(text) => f.write_str(&serde_json::to_string(text).map_err(|_| fmt::Error)?)?,
            }
        }
        Ok(())
    }
}

impl Comparison {
    fn is_true(&self, attributes: Attributes<'_>) -> bool {
        let order = match (attributes.value(&self.name), &self.operand) {
            (Some(AttributeValue::Number(held)), Operand::Number(wanted)) => number::compare(held, wanted),
            (Some(AttributeValue::Text(held)), Operand::Text(wanted)) => Some(held.cmp(wanted)),
            _ => None,
        };
        order.is_some_and(|order| self.operator.allows(order))
    }
}

impl Operator {
    const ALL: [Operator; 6] = [
        // Longer operators come first, because `<=` begins with `<`.
        Operator::NotEqual,
        Operator::LessOrEqual,
        Operator::GreaterOrEqual,
        Operator::Equal,
        Operator::Less,
        Operator::Greater,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Operator::Equal => "=",
            Operator::NotEqual => "!=",
            Operator::Less => "<",
            Operator::LessOrEqual => "<=",
            Operator::Greater => ">",
            Operator::GreaterOrEqual => ">=",
        }
    }

    fn allows(self, order: Ordering) -> bool {
        match self {
            Operator::Equal => order.is_eq(),
            Operator::NotEqual => order.is_ne(),
            Operator::Less => order.is_lt(),
            Operator::LessOrEqual => order.is_le(),
            Operator::Greater => order.is_gt(),
            Operator::GreaterOrEqual => order.is_ge(),
        }
    }
}

/// The place up to which a text has been read.
struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn comparison(&mut self) -> Result<Comparison, WhereError> {
        let name = self.name()?;
        let operator = self.operator()?;
        let operand = self.operand()?;
        Ok(Comparison { name: name.into(), operator, operand })
    }

    fn name(&mut self) -> Result<&'a str, WhereError> {
        self.skip_white_space();
        let is_of_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let len = self.run(is_of_name);
        if !(1..=ATTRIBUTE_NAME_LEN_MAX).contains(&len) {
            return Err(self.wants(Expected::Name));
        }
        Ok(self.take(len))
    }

    fn operator(&mut self) -> Result<Operator, WhereError> {
        self.skip_white_space();
        let found = Operator::ALL.into_iter().find(|operator| self.rest().starts_with(operator.as_str()));
        let operator = found.ok_or_else(|| self.wants(Expected::Operator))?;
        self.take(operator.as_str().len());
        Ok(operator)
    }

    fn operand(&mut self) -> Result<Operand, WhereError> {
        self.skip_white_space();
        let refused = self.wants(Expected::Operand);
        if self.rest().starts_with('"') {
            let len = string_len(self.rest()).ok_or(refused)?;
            let text: String = serde_json::from_str(self.take(len)).map_err(|_| refused)?;
            return Ok(Operand::Text(text.into()));
        }
        let len = self.run(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
        let number = self.take(len);
        let fits = len <= ATTRIBUTE_NUMBER_LEN_MAX && number::is_json(number.as_bytes());
        if fits { Ok(Operand::Number(number.into())) } else { Err(refused) }
    }

    /// Reads `and`. Returns false at the end of the text.
    fn and(&mut self) -> Result<bool, WhereError> {
        self.skip_white_space();
        if self.rest().is_empty() {
            return Ok(false);
        }
        let begins_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        match self.rest().strip_prefix("and") {
            Some(after) if !after.as_bytes().first().is_some_and(begins_name) => {
                self.take("and".len());
                Ok(true)
            }
            _ => Err(self.wants(Expected::And)),
        }
    }

    fn skip_white_space(&mut self) {
        let len = self.run(|byte| byte.is_ascii_whitespace());
        self.take(len);
    }

    fn run(&self, is_wanted: impl Fn(u8) -> bool) -> usize {
        self.rest().bytes().take_while(|byte| is_wanted(*byte)).count()
    }

    fn take(&mut self, len: usize) -> &'a str {
        let taken = &self.rest()[..len];
        self.at += len;
        taken
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn wants(&self, expected: Expected) -> WhereError {
        WhereError { at: self.at, expected }
    }
}

/// The length of the JSON string at the front of `text`, with its quotes.
fn string_len(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    let end = text.bytes().skip(1).position(|byte| {
        let ends = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        ends
    });
    end.map(|end| end + 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::AttributesBuf;

    fn attributes() -> AttributesBuf {
        let mut attributes = AttributesBuf::default();
        for (name, value) in [
            ("battery_pct", AttributeValue::Number("19.50")),
            ("big", AttributeValue::Number("9007199254740993")),
            ("digits", AttributeValue::Text("80")),
            ("note", AttributeValue::Text("grüß \"Gott\"")),
        ] {
            attributes.set(name, value).unwrap();
        }
        attributes
    }

    fn check(clause: &str, is_match: bool) {
        let parsed = WhereClause::parse(clause).unwrap();
        assert_eq!(parsed.matches(attributes().borrow()), is_match, "{clause}");
        assert_eq!(WhereClause::parse(&parsed.to_string()), Ok(parsed), "{clause}");
    }

    #[test]
    fn comparisons_are_of_one_type_and_exact() {
        check("battery_pct = 19.5", true);
        check("battery_pct=1.95e1", true);
        check("battery_pct!=19.5", false);
        check(" battery_pct\t<\n20 ", true);
        check("battery_pct <= 19.5 and battery_pct >= 19.5", true);
        check("battery_pct > -3 and battery_pct > 19.5", false);
        check("big = 9007199254740993", true);
        check("big = 9007199254740992", false);
        check("big > 9007199254740992", true);
        check(r#"note = "gr\u00fc\u00df \"Gott\"""#, true);
        check(r#"note >= "grüß"and note < "h""#, true);
        check(r#"digits = "80""#, true);
        check("digits = 80", false);
        check("digits != 80", false);
        check(r#"battery_pct != "19.5""#, false);
        check("absent != 1", false);
        check(r#"absent = """#, false);
        check("battery_pct = 19.5 and absent = 1", false);
    }

    #[test]
    fn a_mistake_is_told_with_its_place() {
        let refused = |clause: &str| WhereClause::parse(clause).unwrap_err();
        for (clause, at, expected) in [
            ("", 0, Expected::Name),
            ("  ", 2, Expected::Name),
            ("Battery = 1", 0, Expected::Name),
            ("battery", 7, Expected::Operator),
            ("battery == 1", 9, Expected::Operand),
            ("battery <> 1", 9, Expected::Operand),
            ("battery ! 1", 8, Expected::Operator),
            ("battery = ", 10, Expected::Operand),
            ("battery = 01", 10, Expected::Operand),
            ("battery = true", 10, Expected::Operand),
            ("battery = 'x'", 10, Expected::Operand),
            ("battery = \"x", 10, Expected::Operand),
            ("battery = \"\\ud800\"", 10, Expected::Operand),
            ("battery = \"a\nb\"", 10, Expected::Operand),
            ("battery = 1 or note = 2", 12, Expected::And),
            ("battery = 1 and", 15, Expected::Name),
            ("battery = 1 andnote = 2", 12, Expected::And),
            ("battery = 1, note = 2", 11, Expected::And),
        ] {
            assert_eq!(refused(clause), WhereError { at, expected }, "{clause}");
        }
        let many = vec!["a = 1"; WHERE_COMPARISONS_MAX + 1].join(" and ");
        assert_eq!(refused(&many).expected, Expected::FewerComparisons);
        let long = format!("a = \"{}\"", "x".repeat(WHERE_LEN_MAX));
        assert_eq!(refused(&long), WhereError { at: WHERE_LEN_MAX, expected: Expected::End });
        assert_eq!(refused(&format!("{} = 1", "x".repeat(33))).expected, Expected::Name);
        assert_eq!(refused(&format!("x = {}", "1".repeat(65))).expected, Expected::Operand);
        assert_eq!(
            refused("battery = ").to_string(),
            "`where`: expected a number of at most 64 bytes or a string as in JSON at byte 10"
        );
    }
}
