//! The demo's clients on a map of text: what one server of the herd knows of all of them.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Color, Style};
use proxyherd_core::types::Body;

use super::{clients::KIWI, walker};
use crate::herd::Herd;

/// A character cell is about twice as high as it is wide.
const CELL_HEIGHT: usize = 2;
/// One colour for each server of the classic herd.
const COLOURS: [AnsiColor; 5] =
    [AnsiColor::Green, AnsiColor::Yellow, AnsiColor::Blue, AnsiColor::Magenta, AnsiColor::Cyan];

/// A client's cell on the map, and which server took its last report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Dot {
    row: usize,
    column: usize,
    server: usize,
    is_kiwi: bool,
}

/// How many columns a picture of so many rows has.
pub(super) fn width(height: usize) -> usize {
    height * CELL_HEIGHT
}

/// Draws all that `herd` knows in so many rows; `servers` are the herd's names.
pub(super) fn draw(herd: &Herd, servers: &[&str], height: usize) -> String {
    let mut dots = Vec::new();
    herd.map().for_each(|held| {
        let Body::Location { coordinates, .. } = held.record.body else { return };
        let at = (coordinates.latitude().degrees(), coordinates.longitude().degrees());
        let server = servers.iter().position(|name| *name == held.origin.server.as_str());
        if let (Some((row, column)), Some(server)) = (cell(at, height), server) {
            dots.push(Dot { row, column, server, is_kiwi: held.record.key == KIWI.as_bytes() });
        }
    });
    print(&dots, height)
}

/// The row and column of a point, unless it is off the map.
fn cell((latitude, longitude): (f64, f64), height: usize) -> Option<(usize, usize)> {
    let (north, east) = walker::fraction_of_reach(latitude, longitude);
    let place = |fraction: f64, cells: usize| {
        (0.0..1.0).contains(&fraction).then(|| ((fraction * cells as f64) as usize).min(cells - 1))
    };
    Some((place(1.0 - north, height)?, place(east, width(height))?))
}

fn print(dots: &[Dot], height: usize) -> String {
    let mut cells = vec![vec![None::<Dot>; width(height)]; height];
    for dot in dots {
        let cell = &mut cells[dot.row][dot.column];
        // Kiwi is who one looks for, so nobody stands in front of it.
        if !cell.is_some_and(|before| before.is_kiwi) {
            *cell = Some(*dot);
        }
    }
    let faint = Style::new().dimmed();
    let mut text = String::new();
    for row in cells {
        let _ = write!(text, "  {faint}│{faint:#}");
        for cell in row {
            let Some(dot) = cell else {
                text.push(' ');
                continue;
            };
            let style = colour(dot.server);
            let sign = if dot.is_kiwi { 'K' } else { '●' };
            let _ = write!(text, "{style}{sign}{style:#}");
        }
        let _ = writeln!(text, "{faint}│{faint:#}");
    }
    text
}

/// How a server is shown.
pub(super) fn colour(server: usize) -> Style {
    Style::new().fg_color(Some(Color::Ansi(COLOURS[server % COLOURS.len()])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_centre_is_in_the_middle_north_is_up_and_what_is_far_is_not_shown() {
        let (latitude, longitude) = walker::CENTRE;
        assert_eq!(cell(walker::CENTRE, 10), Some((5, 10)));
        let (row, column) = cell((latitude + 0.03, longitude - 0.03), 10).unwrap();
        assert!(row < 5 && column < 10);
        assert_eq!(cell((latitude + 1.0, longitude), 10), None);
        assert_eq!(cell((latitude, longitude + 1.0), 10), None);
    }

    #[test]
    fn kiwi_is_seen_whoever_stands_at_the_same_place() {
        let kiwi = Dot { row: 1, column: 2, server: 0, is_kiwi: true };
        let other = Dot { is_kiwi: false, server: 3, ..kiwi };
        for dots in [[kiwi, other], [other, kiwi]] {
            let text = anstream::adapter::strip_str(&print(&dots, 3)).to_string();
            assert_eq!(text, "  │      │\n  │  K   │\n  │      │\n");
        }
    }
}
