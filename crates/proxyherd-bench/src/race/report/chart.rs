//! Draws charts as SVG: lines over an axis of numbers, and bars over an axis of names.
//!
//! A chart is readable in a light and in a dark page, because its colors follow the reader's setting (a media query of
//! CSS). The colors can be told apart by people who confuse red and green, and each line also has its name at its end.
//! The code that draws knows nothing of what was measured.

use std::fmt::Write as _;

use super::scale::{Scale, short};
use crate::stats::Spread;

const WIDTH: f64 = 820.0;
const HEIGHT: f64 = 420.0;
/// The area of the lines and bars: left, top, right, bottom.
const LEFT: f64 = 66.0;
const TOP: f64 = 60.0;
const RIGHT: f64 = 620.0;
const BOTTOM: f64 = 362.0;
/// Distance between two lines of text in the legend.
const LINE_HEIGHT: f64 = 18.0;
/// Number of colors. Further series use the colors again.
const COLORS: usize = 9;

const STYLE: &str = "\
text{font:13px system-ui,-apple-system,'Segoe UI',sans-serif;fill:#1f2328}\
.title{font-size:15px;font-weight:600}\
.soft{fill:#59636e}\
.grid{stroke:#d1d9e0;stroke-width:1}\
.axis{stroke:#59636e;stroke-width:1}\
.line{fill:none;stroke-width:2.2}\
.range{stroke-width:1.2;opacity:.65}\
.page{fill:#ffffff}\
.c0{--c:#0b62b8}.c1{--c:#6e7781}.c2{--c:#b35900}.c3{--c:#c2348f}.c4{--c:#0a7d55}\
.c5{--c:#b3261e}.c6{--c:#6941c6}.c7{--c:#1791a6}.c8{--c:#806a00}\
.line,.range{stroke:var(--c)}\
.fill{fill:var(--c)}\
@media(prefers-color-scheme:dark){\
text{fill:#f0f6fc}.soft{fill:#9ea7b3}.grid{stroke:#30363d}.axis{stroke:#9ea7b3}.page{fill:#0d1117}\
.c0{--c:#58a6ff}.c1{--c:#aeb6bf}.c2{--c:#f5a04a}.c3{--c:#f47ac1}.c4{--c:#3fcf98}\
.c5{--c:#ff7b72}.c6{--c:#b79bff}.c7{--c:#56d4e6}.c8{--c:#e3c04a}}";

/// A chart. Series are drawn in their order, and have their colors by their `color`.
pub(super) struct Chart {
    pub(super) title: String,
    /// What the y-axis shows, with its unit.
    pub(super) y_label: String,
    pub(super) is_log: bool,
    pub(super) x: ChartAxis,
    pub(super) series: Vec<Series>,
}

/// The x-axis of a chart.
pub(super) enum ChartAxis {
    /// Numbers: the chart has lines.
    Numbers { label: String, is_log: bool },
    /// Names, at the places 0, 1, 2 …: the chart has bars.
    Names(Vec<String>),
}

/// A line, or the bars of one color.
pub(super) struct Series {
    pub(super) label: String,
    pub(super) color: usize,
    /// Places on the x-axis, in order, with the values there.
    pub(super) points: Vec<(f64, Spread)>,
}

/// The chart as a document of SVG.
pub(super) fn render(chart: &Chart) -> String {
    let values = || {
        let points = chart.series.iter().flat_map(|series| &series.points);
        points.flat_map(|(_, spread)| [spread.low, spread.median, spread.high])
    };
    let y = if chart.is_log {
        Scale::log(values(), (BOTTOM, TOP))
    } else {
        Scale::linear(values(), (BOTTOM, TOP))
    };
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" \
         height=\"{HEIGHT}\" role=\"img\" aria-labelledby=\"t d\">\n<title id=\"t\">{0}</title>\n\
         <desc id=\"d\">{1}</desc>\n<style>{STYLE}</style>\n<rect class=\"page\" width=\"{WIDTH}\" \
         height=\"{HEIGHT}\"/>\n",
        escaped(&chart.title),
        escaped(&chart.y_label),
    );
    text(&mut svg, (12.0, 20.0), "start", "title", &chart.title);
    text(&mut svg, (12.0, 38.0), "start", "soft", &chart.y_label);
    for tick in y.ticks() {
        let at = y.at(tick);
        line(&mut svg, "grid", (LEFT, at), (RIGHT, at));
        text(&mut svg, (LEFT - 8.0, at + 4.5), "end", "soft", &short(tick));
    }
    line(&mut svg, "axis", (LEFT, BOTTOM), (RIGHT, BOTTOM));
    match &chart.x {
        ChartAxis::Numbers { label, is_log } => lines(&mut svg, chart, &y, label, *is_log),
        ChartAxis::Names(names) => bars(&mut svg, chart, &y, names),
    }
    svg.push_str("</svg>\n");
    svg
}

fn lines(svg: &mut String, chart: &Chart, y: &Scale, label: &str, is_log: bool) {
    let places = || chart.series.iter().flat_map(|series| series.points.iter().map(|(x, _)| *x));
    let pixels = (LEFT + 14.0, RIGHT - 8.0);
    let x = if is_log { Scale::log(places(), pixels) } else { Scale::linear(places(), pixels) };
    let mut ticks: Vec<f64> = places().collect();
    ticks.sort_by(f64::total_cmp);
    ticks.dedup();
    let mut last = f64::NEG_INFINITY;
    for tick in ticks {
        let at = x.at(tick);
        line(svg, "axis", (at, BOTTOM), (at, BOTTOM + 5.0));
        // Labels that would overlap are left out.
        if at - last >= 40.0 {
            text(svg, (at, BOTTOM + 20.0), "middle", "soft", &short(tick));
            last = at;
        }
    }
    text(svg, ((LEFT + RIGHT) / 2.0, BOTTOM + 44.0), "middle", "soft", label);
    for series in &chart.series {
        let color = series.color % COLORS;
        let points: Vec<String> = series
            .points
            .iter()
            .map(|(place, spread)| format!("{:.1},{:.1}", x.at(*place), y.at(spread.median)))
            .collect();
        let _ = writeln!(svg, "<polyline class=\"line c{color}\" points=\"{}\"/>", points.join(" "));
        for (place, spread) in &series.points {
            let at = x.at(*place);
            range(svg, color, at, y, spread);
            dot(svg, color, series.color, (at, y.at(spread.median)));
        }
    }
    let ends = chart.series.iter().filter_map(|series| {
        let (place, spread) = series.points.last()?;
        Some((series, (x.at(*place), y.at(spread.median))))
    });
    end_labels(svg, ends.collect());
}

/// The names of the lines, each beside the end of its line. Names that would overlap move down.
fn end_labels(svg: &mut String, mut ends: Vec<(&Series, (f64, f64))>) {
    ends.sort_by(|(_, one), (_, other)| one.1.total_cmp(&other.1));
    let heights = spaced(&ends.iter().map(|(_, end)| end.1).collect::<Vec<_>>());
    for ((series, end), height) in ends.iter().zip(heights) {
        let color = series.color % COLORS;
        let _ = writeln!(
            svg,
            "<path class=\"range c{color}\" fill=\"none\" d=\"M{:.1},{:.1}L{:.1},{height:.1}\"/>",
            end.0 + 6.0,
            end.1,
            RIGHT + 14.0
        );
        dot(svg, color, series.color, (RIGHT + 20.0, height));
        text(svg, (RIGHT + 30.0, height + 4.5), "start", "", &series.label);
    }
}

/// Heights at which labels do not overlap, near to the wanted heights, which must be in order.
fn spaced(wanted: &[f64]) -> Vec<f64> {
    let mut heights: Vec<f64> = Vec::with_capacity(wanted.len());
    for &height in wanted {
        let above = heights.last().map_or(f64::NEG_INFINITY, |above| above + LINE_HEIGHT);
        heights.push(height.max(above));
    }
    // What has moved below the chart moves up, together with what is above it.
    let mut below = BOTTOM + LINE_HEIGHT;
    for height in heights.iter_mut().rev() {
        *height = height.min(below - LINE_HEIGHT);
        below = *height;
    }
    heights
}

fn bars(svg: &mut String, chart: &Chart, y: &Scale, names: &[String]) {
    let group = (RIGHT - LEFT) / names.len().max(1) as f64;
    let bar = (group * 0.8 / chart.series.len().max(1) as f64).min(56.0);
    let ground = if chart.is_log { BOTTOM } else { y.at(0.0) };
    for (place, name) in names.iter().enumerate() {
        let middle = LEFT + group * (place as f64 + 0.5);
        text(svg, (middle, BOTTOM + 20.0), "middle", "soft", name);
        let first = middle - bar * chart.series.len() as f64 / 2.0;
        for (index, series) in chart.series.iter().enumerate() {
            let at_place = series.points.iter().find(|(x, _)| *x == place as f64);
            let Some((_, spread)) = at_place else { continue };
            let (left, top) = (first + bar * index as f64, y.at(spread.median));
            let _ = writeln!(
                svg,
                "<rect class=\"fill c{}\" x=\"{:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>",
                series.color % COLORS,
                left + 1.0,
                bar - 2.0,
                (ground - top).max(0.5)
            );
            range(svg, COLORS, left + bar / 2.0, y, spread);
            if bar >= 30.0 {
                text(svg, (left + bar / 2.0, y.at(spread.high) - 6.0), "middle", "", &short(spread.median));
            }
        }
    }
    for (index, series) in chart.series.iter().enumerate() {
        let height = TOP + 8.0 + LINE_HEIGHT * index as f64;
        let _ = writeln!(
            svg,
            "<rect class=\"fill c{}\" x=\"{}\" y=\"{:.1}\" width=\"11\" height=\"11\"/>",
            series.color % COLORS,
            RIGHT + 15.0,
            height - 6.0
        );
        text(svg, (RIGHT + 32.0, height + 4.5), "start", "", &series.label);
    }
}

/// The range of the rounds: a line from the lowest to the highest value. A color of `COLORS` is that of the axis.
fn range(svg: &mut String, color: usize, at: f64, y: &Scale, spread: &Spread) {
    let class = if color == COLORS { "axis".to_owned() } else { format!("range c{color}") };
    line(svg, &class, (at, y.at(spread.low)), (at, y.at(spread.high)));
}

/// A point of a line. Its shape changes with the series, so that colors are not the only difference.
fn dot(svg: &mut String, color: usize, series: usize, (x, y): (f64, f64)) {
    let _ = match series % 3 {
        0 => writeln!(svg, "<circle class=\"fill c{color}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/>"),
        1 => writeln!(
            svg,
            "<rect class=\"fill c{color}\" x=\"{:.1}\" y=\"{:.1}\" width=\"7\" height=\"7\"/>",
            x - 3.5,
            y - 3.5
        ),
        _ => writeln!(svg, "<path class=\"fill c{color}\" d=\"M{x:.1},{:.1}l4.8,8.2h-9.6z\"/>", y - 5.0),
    };
}

fn line(svg: &mut String, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
    let _ = writeln!(
        svg,
        "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
    );
}

fn text(svg: &mut String, (x, y): (f64, f64), anchor: &str, class: &str, text: &str) {
    let _ = writeln!(
        svg,
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>",
        escaped(text)
    );
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(median: f64) -> Spread {
        Spread { low: median / 1.1, median, high: median * 1.1 }
    }

    fn series(label: &str, color: usize, points: &[(f64, f64)]) -> Series {
        let points = points.iter().map(|&(x, median)| (x, spread(median))).collect();
        Series { label: label.to_owned(), color, points }
    }

    fn chart(x: ChartAxis, series: Vec<Series>) -> Chart {
        Chart {
            title: "a < b & c".to_owned(),
            y_label: "reports a second".to_owned(),
            is_log: true,
            x,
            series,
        }
    }

    fn numbers() -> ChartAxis {
        ChartAxis::Numbers { label: "depth".to_owned(), is_log: true }
    }

    /// All numbers of the attributes `names`.
    fn attributes(svg: &str, names: &[&str]) -> Vec<f64> {
        let of = |name: &str| -> Vec<f64> {
            let mark = format!(" {name}=\"");
            svg.split(&mark).skip(1).filter_map(|rest| rest.split('"').next()?.parse().ok()).collect()
        };
        names.iter().flat_map(|name| of(name)).collect()
    }

    /// Checks that tags are closed in order, and that everything is within the picture.
    fn check(svg: &str) {
        let mut open = Vec::new();
        for tag in svg.split('<').skip(1) {
            let (tag, _) = tag.split_once('>').expect("each tag ends");
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name), "{svg}");
            } else if !tag.ends_with('/') {
                open.push(tag.split(' ').next().unwrap());
            }
        }
        assert!(open.is_empty(), "{open:?}");
        for (names, most) in [(["x", "x1", "x2", "cx"], WIDTH), (["y", "y1", "y2", "cy"], HEIGHT)] {
            let places = attributes(svg, &names);
            assert!(places.iter().all(|place| (-1.0..=most).contains(place)), "{places:?}");
        }
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn a_line_chart_has_each_point_and_each_name() {
        let svg = render(&chart(
            numbers(),
            vec![
                series("proxyherd", 0, &[(1.0, 5e4), (16.0, 9e5), (128.0, 2.5e6)]),
                series("Node.js", 3, &[(1.0, 3e4), (128.0, 2e5)]),
            ],
        ));
        check(&svg);
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert_eq!(svg.matches("<circle").count(), 3 + 1 + 2 + 1, "points, and one more in each name");
        for label in
            ["proxyherd", "Node.js", "a &lt; b &amp; c", ">128<", ">16<", "prefers-color-scheme:dark"]
        {
            assert!(svg.contains(label), "{label}");
        }
    }

    #[test]
    fn higher_values_are_higher_in_the_picture() {
        let svg = render(&chart(numbers(), vec![series("one", 0, &[(1.0, 10.0), (2.0, 1000.0)])]));
        let heights = attributes(&svg, &["cy"]);
        assert!(heights[0] > heights[1] + 100.0, "{heights:?}");
    }

    #[test]
    fn a_bar_chart_has_a_bar_for_each_value_and_none_for_a_missing_one() {
        let names = ["one core", "two cores"].map(str::to_owned).to_vec();
        let svg = render(&chart(
            ChartAxis::Names(names),
            vec![series("proxyherd", 0, &[(0.0, 5.0), (1.0, 8.0)]), series("Java", 4, &[(1.0, 3.0)])],
        ));
        check(&svg);
        assert_eq!(svg.matches("<rect class=\"fill").count(), 3 + 2, "bars, and one in each name");
        assert!(svg.contains(">one core<") && svg.contains(">two cores<"));
    }

    #[test]
    fn charts_of_nothing_and_of_zeros_are_still_pictures() {
        let zero = Spread { low: 0.0, median: 0.0, high: 0.0 };
        for points in [vec![], vec![(0.0, zero)]] {
            for x in [numbers(), ChartAxis::Names(vec!["here".to_owned()])] {
                let series = Series { label: "one".to_owned(), color: 12, points: points.clone() };
                check(&render(&chart(x, vec![series])));
            }
        }
        check(&render(&chart(ChartAxis::Names(vec![]), vec![])));
    }

    #[test]
    fn names_beside_lines_do_not_overlap() {
        for wanted in [vec![50.0, 51.0, 52.0, 300.0], vec![355.0, 356.0, 357.0, 358.0], vec![]] {
            let heights = spaced(&wanted);
            assert_eq!(heights.len(), wanted.len());
            assert!(heights.windows(2).all(|pair| pair[1] - pair[0] >= LINE_HEIGHT - 1e-9), "{heights:?}");
            assert!(heights.iter().all(|height| *height <= BOTTOM), "{heights:?}");
        }
    }
}
