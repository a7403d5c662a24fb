//! Chooses the text format of `/metrics` by the request's header Accept, and converts OpenMetrics to the older format.
//!
//! Prometheus names OpenMetrics in Accept. A request that does not name OpenMetrics gets text format 0.0.4. Older
//! scrapers and `promtool check metrics` read no other format, and browsers display this format. Prometheus documents
//! both formats: <https://prometheus.io/docs/instrumenting/exposition_formats/>. Everything here is pure.

use axum::http::HeaderMap;

use super::media::MediaRange;

/// A text format for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ExpositionFormat {
    OpenMetrics,
    Text004,
}

impl ExpositionFormat {
    /// The format that a request with these headers prefers (RFC 9110, section 12.5.1).
    pub(super) fn accepted(headers: &HeaderMap) -> ExpositionFormat {
        let (mut openmetrics, mut text) = (0.0_f32, 0.0_f32);
        for range in MediaRange::all(headers) {
            match (range.kind, range.version) {
                ("application/openmetrics-text", None | Some("1.0.0")) => {
                    openmetrics = openmetrics.max(range.quality);
                }
                ("text/plain", None | Some("0.0.4")) => text = text.max(range.quality),
                _ => {}
            }
        }
        if openmetrics > 0.0 && openmetrics >= text {
            ExpositionFormat::OpenMetrics
        } else {
            ExpositionFormat::Text004
        }
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            ExpositionFormat::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            ExpositionFormat::Text004 => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// Converts OpenMetrics, in which all metrics are counters, gauges and histograms, to text format 0.0.4.
///
/// In text format 0.0.4 the name of a counter ends in `_total`, as the names of its samples do. This format has no UNIT
/// and EOF lines.
pub(super) fn text_004(openmetrics: &str) -> String {
    let mut text = String::with_capacity(openmetrics.len());
    // HELP comes before TYPE, but the metric's name depends on the type.
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
    use axum::http::{HeaderValue, header};

    use super::*;

    fn check(accept: &[&'static str], expected: ExpositionFormat) {
        let values = accept.iter().map(|value| (header::ACCEPT, HeaderValue::from_static(value)));
        assert_eq!(ExpositionFormat::accepted(&values.collect()), expected, "{accept:?}");
    }

    #[test]
    fn openmetrics_is_chosen_where_accept_names_and_prefers_it() {
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
            check(accept, ExpositionFormat::OpenMetrics);
        }
    }

    #[test]
    fn all_other_requests_get_text_004() {
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
            check(accept, ExpositionFormat::Text004);
        }
    }

    #[test]
    fn counters_are_named_as_their_samples_and_unit_and_eof_lines_are_omitted() {
        let openmetrics = "# HELP a Reports, by # TYPE.\n# TYPE a counter\na_total{x=\"# EOF\"} 1\na_total{x=\"y\"} 2\n\
                           # HELP b_seconds Lag.\n# TYPE b_seconds gauge\n# UNIT b_seconds seconds\n\
                           b_seconds 0.5\n# HELP c None.\n# TYPE c gauge\n# EOF\n";
        let expected = "# HELP a_total Reports, by # TYPE.\n# TYPE a_total counter\na_total{x=\"# EOF\"} 1\n\
                        a_total{x=\"y\"} 2\n# HELP b_seconds Lag.\n# TYPE b_seconds gauge\nb_seconds 0.5\n\
                        # HELP c None.\n# TYPE c gauge\n";
        assert_eq!(text_004(openmetrics), expected);
    }
}
