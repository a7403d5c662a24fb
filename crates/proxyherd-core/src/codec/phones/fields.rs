//! The fields of a format that become attributes.
//!
//! A format has a table of [`Field`]s. [`Found`] gathers the values while the body is read, and writes them as
//! attributes in the table's order, so the room is for the first fields of the table if there is too little room for
//! all. The last value of a field counts. If several fields become one attribute, the first of them in the table that
//! has a value counts.

use std::{borrow::Cow, io::Write};

use super::object;
use crate::{
    codec::json::members::{self, Scalar},
    types::{AttributeValue, AttributesBuf},
};

/// Kilometers an hour in meters a second.
const KM_PER_HOUR: f64 = 1.0 / 3.6;
/// Knots in meters a second.
const KNOTS: f64 = 1852.0 / 3600.0;
/// Elements of a list that becomes an attribute.
const LIST_LEN_MAX: usize = 16;
/// Decimals of a value that was converted to another unit.
const DECIMALS: usize = 3;

/// A field that becomes an attribute.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    /// The object that has the field, or an empty text for the outermost one.
    object: &'static str,
    name: &'static str,
    attribute: &'static str,
    meaning: Meaning,
}

impl Field {
    pub(super) const fn new(name: &'static str, attribute: &'static str, meaning: Meaning) -> Field {
        Field { object: "", name, attribute, meaning }
    }

    pub(super) const fn within(
        object: &'static str,
        name: &'static str,
        attribute: &'static str,
        meaning: Meaning,
    ) -> Field {
        Field { object, name, attribute, meaning }
    }
}

/// What a value means, and the values that are known.
#[derive(Clone, Copy, Debug)]
pub(super) enum Meaning {
    /// A number from `min` to `max`, after it was multiplied by `factor`.
    Number { factor: f64, min: f64, max: f64 },
    /// A text that is not empty.
    Text,
    /// `true` or `false`, which become texts.
    Flag,
    /// A list of texts, which become one text with commas.
    List,
    /// The state of the battery: a word, or the number that OwnTracks gives it.
    BatteryState,
    /// Whether the battery is being charged.
    Charging,
    /// The letter that OwnTracks gives a connection.
    Connection,
}

impl Meaning {
    /// Meters. Phones give 0, or a negative number, to a position of unknown accuracy.
    pub(super) const ACCURACY_M: Meaning = Meaning::number(1.0, f64::MIN_POSITIVE, 1e9);
    /// Meters a second. A negative number is unknown.
    pub(super) const SPEED_MPS: Meaning = Meaning::number(1.0, 0.0, 1e9);
    /// Kilometers an hour.
    pub(super) const SPEED_KMH: Meaning = Meaning::number(KM_PER_HOUR, 0.0, 1e9);
    /// Knots.
    pub(super) const SPEED_KNOTS: Meaning = Meaning::number(KNOTS, 0.0, 1e9);
    /// Degrees. A negative number is unknown.
    pub(super) const HEADING_DEG: Meaning = Meaning::number(1.0, 0.0, 360.0);
    /// Meters above sea level.
    pub(super) const ALTITUDE_M: Meaning = Meaning::number(1.0, -1e9, 1e9);
    /// Percent. A negative number is unknown.
    pub(super) const BATTERY_PCT: Meaning = Meaning::number(1.0, 0.0, 100.0);
    /// A part of 1.
    pub(super) const BATTERY_LEVEL: Meaning = Meaning::number(100.0, 0.0, 100.0);
    /// A number that is not negative.
    pub(super) const POSITIVE: Meaning = Meaning::number(1.0, 0.0, 1e15);

    const fn number(factor: f64, min: f64, max: f64) -> Meaning {
        Meaning::Number { factor, min, max }
    }

    /// Sets the attribute, unless the value is unknown or does not fit.
    fn put(self, name: &str, value: &Value<'_>, attributes: &mut AttributesBuf) -> Option<()> {
        let text = match self {
            Meaning::Number { factor, min, max } => {
                return put_number(name, &value.number()?, factor, min..=max, attributes);
            }
            Meaning::Text => value.text()?,
            Meaning::Flag => if value.flag()? { "true" } else { "false" }.into(),
            Meaning::List => value.list()?.into(),
            Meaning::BatteryState => battery_state(&value.text()?)?.into(),
            Meaning::Charging => if value.flag()? { "charging" } else { "unplugged" }.into(),
            Meaning::Connection => connection(&value.text()?)?.into(),
        };
        attributes.set(name, AttributeValue::Text(&text)).ok()
    }
}

/// Sets a number. It keeps its digits if its unit is the attribute's.
fn put_number(
    name: &str,
    digits: &str,
    factor: f64,
    range: std::ops::RangeInclusive<f64>,
    attributes: &mut AttributesBuf,
) -> Option<()> {
    let value = digits.parse::<f64>().ok()? * factor;
    if !range.contains(&value) {
        return None;
    }
    if factor == 1.0 {
        return attributes.set(name, AttributeValue::Number(digits)).ok();
    }
    // A number in the range has at most 16 digits in front of the point.
    let mut buffer = [0; 32];
    let mut rest = &mut buffer[..];
    write!(rest, "{value:.DECIMALS$}").ok()?;
    let len = 32 - rest.len();
    let text = std::str::from_utf8(&buffer[..len]).ok()?;
    let text = text.trim_end_matches('0').trim_end_matches('.');
    attributes.set(name, AttributeValue::Number(text)).ok()
}

fn battery_state(text: &str) -> Option<&'static str> {
    match text {
        "1" | "unplugged" => Some("unplugged"),
        "2" | "charging" => Some("charging"),
        "3" | "full" => Some("full"),
        _ => None,
    }
}

fn connection(letter: &str) -> Option<&'static str> {
    match letter {
        "w" => Some("wifi"),
        "m" => Some("mobile"),
        "o" => Some("offline"),
        _ => None,
    }
}

/// The value of a field.
#[derive(Clone, Debug)]
pub(super) enum Value<'t> {
    /// The text of a JSON value.
    Json(&'t str),
    /// The text of a form's field.
    Text(Cow<'t, str>),
}

impl Value<'_> {
    fn number(&self) -> Option<Cow<'_, str>> {
        match self {
            Value::Json(json) => object::json_number(json),
            Value::Text(text) => object::text_number(text),
        }
    }

    fn text(&self) -> Option<Cow<'_, str>> {
        match self {
            Value::Json(json) => object::text(json),
            Value::Text(text) => (!text.is_empty()).then_some(Cow::Borrowed(&**text)),
        }
    }

    fn flag(&self) -> Option<bool> {
        let text = match self {
            Value::Json(json @ ("true" | "false")) => Cow::Borrowed(*json),
            value => value.text()?,
        };
        match &*text {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        }
    }

    /// The texts of a list, with commas between them. `None` if the list is empty, too long, or has other elements.
    fn list(&self) -> Option<String> {
        let Value::Json(json) = self else { return None };
        let mut all = String::new();
        for element in members::elements(json.as_bytes(), LIST_LEN_MAX).ok()? {
            let Some(Scalar::Text(text)) = members::scalar(element.get()) else { return None };
            if !all.is_empty() {
                all.push(',');
            }
            all.push_str(&text);
        }
        (!all.is_empty()).then_some(all)
    }
}

/// The values of a format's fields that have been found so far.
#[derive(Debug)]
pub(super) struct Found<'t, const N: usize> {
    fields: &'static [Field; N],
    values: [Option<Value<'t>>; N],
}

impl<'t, const N: usize> Found<'t, N> {
    pub(super) fn new(fields: &'static [Field; N]) -> Found<'t, N> {
        Found { fields, values: [const { None }; N] }
    }

    /// Takes a member of the outermost object.
    pub(super) fn take(&mut self, name: &str, json: &'t str) {
        self.take_within("", name, json);
    }

    /// Takes a member of an object.
    pub(super) fn take_within(&mut self, object: &str, name: &str, json: &'t str) {
        if let Some(place) = self.place(object, name) {
            self.values[place] = Some(Value::Json(json));
        }
    }

    /// The place of the field with this name, for the value of a form.
    pub(super) fn place(&self, object: &str, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name && field.object == object)
    }

    /// Sets the value at a place that [`Found::place`] has returned.
    pub(super) fn set(&mut self, place: usize, value: Value<'t>) {
        self.values[place] = Some(value);
    }

    /// Writes the attributes over what the buffer holds.
    pub(super) fn write(&self, attributes: &mut AttributesBuf) {
        attributes.clear();
        for (field, value) in self.fields.iter().zip(&self.values) {
            if let Some(value) = value
                && !attributes.contains(field.attribute)
            {
                // A value that is unknown or does not fit is left out.
                let _ = field.meaning.put(field.attribute, value, attributes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static FIELDS: [Field; 11] = [
        Field::new("acc", "accuracy_m", Meaning::ACCURACY_M),
        Field::new("kmh", "speed_mps", Meaning::SPEED_KMH),
        Field::new("kn", "speed_mps", Meaning::SPEED_KNOTS),
        Field::new("level", "battery_pct", Meaning::BATTERY_LEVEL),
        Field::new("note", "note", Meaning::Text),
        Field::within("a", "note", "inner", Meaning::Text),
        Field::new("flag", "flag", Meaning::Flag),
        Field::new("list", "list", Meaning::List),
        Field::new("bs", "battery_state", Meaning::BatteryState),
        Field::new("charging", "battery_state", Meaning::Charging),
        Field::new("conn", "connection", Meaning::Connection),
    ];

    fn check(members: &[(&str, &str)], expected: &str) {
        let mut found = Found::new(&FIELDS);
        for (name, json) in members {
            match name.split_once('.') {
                Some((object, name)) => found.take_within(object, name, json),
                None => found.take(name, json),
            }
        }
        let mut attributes = AttributesBuf::default();
        attributes.set("earlier", AttributeValue::Text("x")).unwrap();
        found.write(&mut attributes);
        assert_eq!(format!("{:?}", attributes.borrow()), expected, "{members:?}");
    }

    #[test]
    fn values_have_the_units_of_their_attributes() {
        check(&[("acc", "5.50")], r#"{"accuracy_m": Number("5.50")}"#);
        check(&[("acc", r#""05.5""#)], r#"{"accuracy_m": Number("5.5")}"#);
        check(&[("kmh", "50")], r#"{"speed_mps": Number("13.889")}"#);
        check(&[("kmh", "36.0")], r#"{"speed_mps": Number("10")}"#);
        check(&[("kmh", "0")], r#"{"speed_mps": Number("0")}"#);
        check(&[("kn", "10")], r#"{"speed_mps": Number("5.144")}"#);
        check(&[("level", "0.85")], r#"{"battery_pct": Number("85")}"#);
        check(&[("list", r#"["a","b\""]"#)], r#"{"list": Text("a,b\"")}"#);
        check(&[("flag", "true")], r#"{"flag": Text("true")}"#);
        check(&[("flag", r#""0""#)], r#"{"flag": Text("false")}"#);
        check(&[("bs", "3"), ("charging", "true")], r#"{"battery_state": Text("full")}"#);
        check(&[("bs", "0"), ("charging", "false")], r#"{"battery_state": Text("unplugged")}"#);
        check(&[("conn", r#""m""#)], r#"{"connection": Text("mobile")}"#);
        check(&[("note", "7"), ("a.note", r#""in""#)], r#"{"inner": Text("in"), "note": Text("7")}"#);
    }

    #[test]
    fn what_is_unknown_or_unreadable_is_left_out() {
        for (name, json) in [
            ("acc", "0"),
            ("acc", "-1"),
            ("acc", "1e999"),
            ("acc", "null"),
            ("acc", "{}"),
            ("acc", r#""NaN""#),
            ("kmh", "-1"),
            ("level", "-1"),
            ("level", "85"),
            ("note", r#""""#),
            ("note", "null"),
            ("note", "[]"),
            ("flag", r#""yes""#),
            ("list", "[]"),
            ("list", "[1]"),
            ("list", r#""a""#),
            ("bs", r#""unknown""#),
            ("conn", r#""x""#),
            ("unheard_of", "1"),
        ] {
            check(&[(name, json)], "{}");
        }
        check(&[("list", &format!("[{}]", ["\"a\""; 17].join(",")))], "{}");
    }

    #[test]
    fn the_first_fields_of_the_table_have_the_room() {
        let long = format!("\"{}\"", "x".repeat(480));
        check(
            &[("conn", r#""w""#), ("note", &long), ("flag", "true"), ("acc", "5"), ("note", r#""short""#)],
            r#"{"accuracy_m": Number("5"), "connection": Text("wifi"), "flag": Text("true"), "note": Text("short")}"#,
        );
        let mut found = Found::new(&FIELDS);
        for (name, json) in [("conn", r#""w""#), ("note", &*long), ("flag", "true"), ("acc", "5")] {
            found.take(name, json);
        }
        let mut attributes = AttributesBuf::default();
        found.write(&mut attributes);
        let names: Vec<_> = attributes.borrow().iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["accuracy_m", "note"]);
    }
}
