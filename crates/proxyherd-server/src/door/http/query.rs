//! The query of a request to the API, parsed strictly. A parameter that is unknown, given twice or not readable is
//! refused with 422, because a filter that is silently ignored would answer another question. The module is pure.
//!
//! Queries are in the form that browsers and client libraries send (`application/x-www-form-urlencoded`), so `+` is a
//! space. Google's path has a parser of its own (`parameters`), which forgives what Google forgives.

use std::{fmt::Display, ops::RangeInclusive};

use axum::http::Uri;

use super::{
    limits::QUERY_LEN_MAX,
    parameters::{decode, number},
    problem::Problem,
};

/// The decoded parameters of one request, in their order.
#[derive(Debug)]
pub(super) struct Query {
    given: Vec<(&'static str, Vec<u8>)>,
}

impl Query {
    /// Parses the query of a URL. `known` are the names of the path's parameters. Those in `repeated` may be given
    /// several times.
    pub(super) fn of(uri: &Uri, known: &[&'static str], repeated: &[&'static str]) -> Result<Query, Problem> {
        let text = uri.query().unwrap_or_default();
        if text.len() > QUERY_LEN_MAX {
            let detail = format!("a query has at most {QUERY_LEN_MAX} bytes; this one has {}", text.len());
            return Err(Problem::invalid(detail));
        }
        let mut query = Query { given: Vec::new() };
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = query.admit(&decode(name).unwrap_or_default(), known, repeated)?;
            let Some(value) = decode(value) else {
                let detail = format!("`{name}` is not percent-encoded as a URL requires");
                return Err(Problem::invalid(detail));
            };
            query.given.push((name, value));
        }
        Ok(query)
    }

    /// Takes parameters that were decoded already. `known` and `repeated` as in [`Query::of`].
    pub(super) fn given<'p>(
        pairs: impl Iterator<Item = (&'p str, &'p [u8])>,
        known: &[&'static str],
        repeated: &[&'static str],
    ) -> Result<Query, Problem> {
        let mut query = Query { given: Vec::new() };
        for (name, value) in pairs {
            let name = query.admit(name.as_bytes(), known, repeated)?;
            query.given.push((name, value.to_vec()));
        }
        Ok(query)
    }

    /// The known name of one more parameter, unless it was given before and may not be repeated.
    fn admit(
        &self,
        name: &[u8],
        known: &[&'static str],
        repeated: &[&'static str],
    ) -> Result<&'static str, Problem> {
        let Some(&name) = known.iter().find(|known| known.as_bytes() == name) else {
            return Err(unknown(name, known));
        };
        if !repeated.contains(&name) && self.given.iter().any(|(earlier, _)| *earlier == name) {
            return Err(Problem::invalid(format!("`{name}` is given twice; give it once")));
        }
        Ok(name)
    }

    /// All values of a parameter.
    pub(super) fn all<'q>(&'q self, name: &'static str) -> impl Iterator<Item = &'q [u8]> {
        self.given.iter().filter(move |(given, _)| *given == name).map(|(_, value)| &**value)
    }

    /// The value of a parameter that is given once at most.
    pub(super) fn bytes(&self, name: &'static str) -> Option<&[u8]> {
        self.all(name).next()
    }

    /// The value as a text.
    pub(super) fn text(&self, name: &'static str) -> Result<Option<&str>, Problem> {
        let text = self.bytes(name).map(std::str::from_utf8).transpose();
        text.map_err(|_| Problem::invalid(format!("`{name}` is not UTF-8")))
    }

    /// The value as a decimal number within a range.
    pub(super) fn number(
        &self,
        name: &'static str,
        range: RangeInclusive<f64>,
    ) -> Result<Option<f64>, Problem> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let found = number(text).filter(|number| range.contains(number));
        found.map(Some).ok_or_else(|| out_of_range(name, "number", &range))
    }

    /// The value as a whole number within a range.
    pub(super) fn whole(
        &self,
        name: &'static str,
        range: RangeInclusive<usize>,
    ) -> Result<Option<usize>, Problem> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        // JSON Schema counts 7.0 as a whole number, so programs may send it.
        let found = number(text).filter(|number| number.fract() == 0.0 && *number >= 0.0);
        let found = found.map(|number| number as usize).filter(|number| range.contains(number));
        found.map(Some).ok_or_else(|| out_of_range(name, "whole number", &range))
    }

    /// The value as `N` decimal numbers with commas between them.
    pub(super) fn numbers<const N: usize>(&self, name: &'static str) -> Result<Option<[f64; N]>, Problem> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let found: Option<Vec<f64>> = text.split(',').map(|part| number(part.trim_ascii())).collect();
        let found = found.and_then(|numbers| numbers.try_into().ok());
        found.map(Some).ok_or_else(|| {
            Problem::invalid(format!("`{name}` takes {N} decimal numbers with commas between them"))
        })
    }
}

fn out_of_range<T: Display>(name: &str, kind: &str, range: &RangeInclusive<T>) -> Problem {
    let (least, greatest) = (range.start(), range.end());
    Problem::invalid(format!("`{name}` takes a {kind} from {least} to {greatest}"))
}

fn unknown(name: &[u8], known: &[&'static str]) -> Problem {
    let shown: String = String::from_utf8_lossy(name).chars().take(40).collect();
    let known = known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let hint = if known.is_empty() { "takes no parameters".to_owned() } else { format!("takes {known}") };
    Problem::invalid(format!("{shown:?} is no parameter of this path, which {hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Result<Query, Problem> {
        Query::of(&format!("/x?{text}").parse().unwrap(), &["ids", "limit", "near", "radius_m"], &["ids"])
    }

    /// Expects that the query is refused with this status code, and with a detail that contains `named`.
    fn refused<T>(found: Result<T, Problem>, status: u16, named: &str) {
        let problem = found.err().unwrap_or_else(|| panic!("no refusal with {named}"));
        assert_eq!(problem.status.as_u16(), status);
        assert!(problem.detail().contains(named), "{problem:?}");
    }

    #[test]
    fn parameters_are_decoded() {
        let given = query("ids=a&near=1.5,-2&ids=b%2F+c&&limit=7.0&radius_m=1e3").unwrap();
        assert_eq!(given.all("ids").collect::<Vec<_>>(), [&b"a"[..], b"b/ c"]);
        assert_eq!(given.numbers("near").unwrap(), Some([1.5, -2.0]));
        assert_eq!(given.whole("limit", 1..=9).unwrap(), Some(7));
        assert_eq!(given.number("radius_m", 0.0..=1e9).unwrap(), Some(1000.0));
        assert_eq!(query("").unwrap().text("limit").unwrap(), None);
    }

    #[test]
    fn what_is_not_understood_is_refused_by_its_name() {
        refused(query("limits=1"), 422, "\"limits\"");
        refused(query("=1"), 422, "\"\"");
        refused(query("limit=1&limit=1"), 422, "`limit`");
        refused(query("limit=%zz"), 422, "`limit`");
        refused(query(&format!("near={}", "1".repeat(QUERY_LEN_MAX))), 422, "bytes");
        for text in ["limit=0", "limit=10", "limit=", "limit", "limit=1.5", "limit=-1", "limit=1e99"] {
            refused(query(text).unwrap().whole("limit", 1..=9), 422, "`limit`");
        }
        for text in
            ["radius_m=-1", "radius_m=NaN", "radius_m=inf", "radius_m=1e999", "radius_m=", "radius_m=%ff"]
        {
            refused(query(text).unwrap().number("radius_m", 0.0..=1e9), 422, "`radius_m`");
        }
        for text in ["near=1", "near=1,2,3", "near=1,x", "near=", "near=1,"] {
            refused(query(text).unwrap().numbers::<2>("near"), 422, "`near`");
        }
    }
}
