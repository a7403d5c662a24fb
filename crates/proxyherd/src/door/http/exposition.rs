//! Chooses the text format of `/metrics` by the request's `Accept`, and converts OpenMetrics to the older format. Pure.
//!
//! Prometheus asks for OpenMetrics by name. A request that does not name it gets text format 0.0.4: older scrapers and
//! `promtool check metrics` read nothing else, and browsers show it. Prometheus' documentation of both formats: <https://prometheus.io/docs/instrumenting/exposition_formats/>.

use axum::http::{HeaderMap, header};

/// A text format for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    OpenMetrics,
    Text004,
}

/// One of the formats in `Accept`.
struct Accepted<'a> {
    /// Without parameters, such as `text/plain`.
    kind: &'a str,
    version: Option<&'a str>,
    /// From 0, not at all, to 1.
    quality: f32,
}

impl Format {
    /// The format that a request with these headers prefers (RFC 9110, section 12.5.1).
    pub(super) fn wanted(headers: &HeaderMap) -> Format {
        let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let (mut openmetrics, mut text) = (0.0_f32, 0.0_f32);
        for accepted in values.flat_map(|value| value.split(',')).map(Accepted::read) {
            match (accepted.kind, accepted.version) {
                ("application/openmetrics-text", None | Some("1.0.0")) => {
                    openmetrics = openmetrics.max(accepted.quality);
                }
                ("text/plain", None | Some("0.0.4")) => text = text.max(accepted.quality),
                _ => {}
            }
        }
        if openmetrics > 0.0 && openmetrics >= text { Format::OpenMetrics } else { Format::Text004 }
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Format::Text004 => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

impl<'a> Accepted<'a> {
    fn read(text: &'a str) -> Accepted<'a> {
        let mut parts = text.split(';').map(str::trim);
        let mut accepted = Accepted { kind: parts.next().unwrap_or_default(), version: None, quality: 1.0 };
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            match name {
                "version" => accepted.version = Some(value.trim_matches('"')),
                "q" => accepted.quality = value.parse().unwrap_or(0.0),
                _ => {}
            }
        }
        accepted
    }
}

/// Converts OpenMetrics, in which all metrics are counters and gauges, to text format 0.0.4.
///
/// In that format the name of a counter ends in `_total`, like its samples. It has no units and no mark at the end.
pub(super) fn text_004(openmetrics: &str) -> String {
    let mut text = String::with_capacity(openmetrics.len());
    // The help of a metric comes before its type, and only the type says which name the metric gets.
    let mut help = None;
    for line in openmetrics.lines() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("HELP"), Some(_), said) => help = said,
            (Some("#"), Some("TYPE"), Some(name), Some(kind)) => {
                let suffix = if kind == "counter" { "_total" } else { "" };
                if let Some(help) = help.take() {
                    text += &format!("# HELP {name}{suffix} {help}\n");
                }
                text += &format!("# TYPE {name}{suffix} {kind}\n");
            }
            (Some("#"), Some("UNIT" | "EOF"), ..) => {}
            _ => {
                text += line;
                text.push('\n');
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn check(accept: &[&'static str], expected: Format) {
        let values = accept.iter().map(|value| (header::ACCEPT, HeaderValue::from_static(value)));
        assert_eq!(Format::wanted(&values.collect()), expected, "{accept:?}");
    }

    #[test]
    fn openmetrics_is_for_who_names_it_and_likes_it_best() {
        for accept in [
            &["application/openmetrics-text"][..],
            &["application/openmetrics-text; version=1.0.0; charset=utf-8"],
            &["application/openmetrics-text;version=\"1.0.0\";q=0.5,text/plain;q=0.5"],
            &["text/plain;q=0.1", "application/openmetrics-text;q=0.2"],
            // Prometheus 2, and Prometheus 3 with and without native histograms.
            &[
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
               text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            ],
            &["application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
               application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,\
               text/plain;version=0.0.4;q=0.2,*/*;q=0.1"],
            &[
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,\
               application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
               text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            ],
        ] {
            check(accept, Format::OpenMetrics);
        }
    }

    #[test]
    fn everybody_else_gets_text() {
        for accept in [
            &[][..],
            &[""],
            &["*/*"],
            &["text/plain"],
            &["text/plain; version=0.0.4"],
            &["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"],
            &["application/openmetrics-text;q=0.3,text/plain;version=0.0.4;q=0.7"],
            &["application/openmetrics-text;q=0"],
            &["application/openmetrics-text;q=x"],
            &["application/openmetrics-text;version=2.0.0"],
            &["application/json"],
        ] {
            check(accept, Format::Text004);
        }
    }

    #[test]
    fn counters_are_called_as_their_samples_are_and_units_and_the_end_are_left_out() {
        let openmetrics = "# HELP a Reports, by # TYPE.\n# TYPE a counter\na_total{x=\"# EOF\"} 1\na_total{x=\"y\"} 2\n\
                           # HELP b_seconds Lag.\n# TYPE b_seconds gauge\n# UNIT b_seconds seconds\n\
                           b_seconds 0.5\n# HELP c None.\n# TYPE c gauge\n# EOF\n";
        let expected = "# HELP a_total Reports, by # TYPE.\n# TYPE a_total counter\na_total{x=\"# EOF\"} 1\n\
                        a_total{x=\"y\"} 2\n# HELP b_seconds Lag.\n# TYPE b_seconds gauge\nb_seconds 0.5\n\
                        # HELP c None.\n# TYPE c gauge\n";
        assert_eq!(text_004(openmetrics), expected);
    }
}
