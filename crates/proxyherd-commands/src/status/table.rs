//! A table for terminals: each column is as wide as its widest cell, and numbers are aligned to the right.

use std::fmt::Write as _;

use anstyle::Style;
use unicode_width::UnicodeWidthStr as _;

/// The space between two columns if there is enough room, characters.
const GAP: usize = 2;

/// How a column is aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alignment {
    /// The texts begin below each other.
    Left,
    /// The texts end below each other.
    Right,
}

/// One line of text with a style.
#[derive(Clone, Debug)]
pub struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// A cell with this text in this style.
    pub fn new(text: impl Into<String>, style: Style) -> Cell {
        Cell { text: text.into(), style }
    }

    /// A cell with this text in no style.
    pub fn plain(text: impl Into<String>) -> Cell {
        Cell::new(text, Style::new())
    }

    fn width(&self) -> usize {
        self.text.width()
    }
}

/// Rows below a heading. Each row has as many cells as the heading.
#[derive(Debug)]
pub struct Table {
    sides: Vec<Alignment>,
    rows: Vec<Vec<Cell>>,
    gap: usize,
}

impl Table {
    /// A table with these columns and no rows.
    pub fn new(head: &[(&str, Alignment)], style: Style) -> Table {
        let (names, sides): (Vec<_>, Vec<_>) =
            head.iter().map(|(name, side)| (Cell::new(*name, style), *side)).unzip();
        Table { sides, rows: vec![names], gap: GAP }
    }

    /// Adds a row.
    pub fn push(&mut self, row: Vec<Cell>) {
        assert_eq!(row.len(), self.sides.len(), "a row has a cell for each column");
        self.rows.push(row);
    }

    /// Makes the table fit `width` characters if possible: first moves the columns closer together, and then leaves out
    /// the columns of `spare` in their order.
    pub fn fit(&mut self, width: usize, spare: &[&str]) {
        if self.width() > width {
            self.gap = 1;
        }
        for name in spare {
            let column = self.rows[0].iter().position(|cell| cell.text == *name);
            if let Some(column) = column.filter(|_| self.width() > width) {
                self.sides.remove(column);
                self.rows.iter_mut().for_each(|row| drop(row.remove(column)));
            }
        }
    }

    fn widths(&self) -> Vec<usize> {
        let width = |column: usize| self.rows.iter().map(|row| row[column].width()).max().unwrap_or(0);
        (0..self.sides.len()).map(width).collect()
    }

    fn width(&self) -> usize {
        let widths = self.widths();
        widths.iter().sum::<usize>() + self.gap * widths.len().saturating_sub(1)
    }

    /// Appends the heading and the rows, one line each, without spaces at the end.
    pub fn write(&self, out: &mut String) {
        let widths = self.widths();
        for row in &self.rows {
            let mut owed = 0;
            for ((cell, side), width) in row.iter().zip(&self.sides).zip(&widths) {
                let space = width - cell.width();
                let (before, after) = if *side == Alignment::Right { (space, 0) } else { (0, space) };
                let style = cell.style;
                write!(out, "{:1$}{style}{2}{style:#}", "", owed + before, cell.text)
                    .expect("writing to a String does not fail");
                owed = after + self.gap;
            }
            out.push('\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use anstyle::AnsiColor;

    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_must_be_and_numbers_stand_to_the_right() {
        let mut table = Table::new(
            &[("NAME", Alignment::Left), ("N", Alignment::Right), ("WHY", Alignment::Left)],
            Style::new(),
        );
        table.push(vec![Cell::plain("Riley"), Cell::plain("7"), Cell::plain("")]);
        table.push(vec![Cell::plain("Be\u{301}"), Cell::plain("1234"), Cell::plain("x")]);
        table.push(vec![Cell::plain("東京"), Cell::plain("8"), Cell::plain("y")]);
        let mut text = String::new();
        table.write(&mut text);
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        assert_eq!(lines, ["NAME      N  WHY", "Riley     7", "Be\u{301}     1234  x", "東京      8  y"]);
    }

    #[test]
    fn colors_take_no_space() {
        let mut text = String::new();
        let red = AnsiColor::Red.on_default();
        let mut table = Table::new(&[("A", Alignment::Right), ("B", Alignment::Left)], Style::new());
        table.push(vec![Cell::new("xx", red), Cell::plain("y")]);
        table.write(&mut text);
        assert_eq!(text, format!(" A  B\n{red}xx{red:#}  y\n"));
    }

    #[test]
    fn a_table_that_is_too_wide_is_set_closer_and_then_loses_what_can_be_spared() {
        let shown = |width: usize| {
            let columns = ["NAME", "A", "BB", "C"].map(|name| (name, Alignment::Left));
            let mut table = Table::new(&columns, Style::new());
            table.push(["Riley", "1", "2", "3"].map(Cell::plain).to_vec());
            table.fit(width, &["BB", "A"]);
            let mut text = String::new();
            table.write(&mut text);
            text.lines().map(str::trim_end).collect::<Vec<_>>().join("|")
        };
        assert_eq!(shown(15), "NAME   A  BB  C|Riley  1  2   3");
        assert_eq!(shown(14), "NAME  A BB C|Riley 1 2  3");
        assert_eq!(shown(12), "NAME  A BB C|Riley 1 2  3");
        assert_eq!(shown(11), "NAME  A C|Riley 1 3");
        assert_eq!(shown(8), "NAME  C|Riley 3");
        assert_eq!(shown(1), "NAME  C|Riley 3");
    }
}
