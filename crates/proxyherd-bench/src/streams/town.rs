//! The town of the measurement: a grid of cells, the boxes that streams ask for, and the clients that move among the
//! cells.
//!
//! Each box covers 2 rows and 5 columns of cells, and begins one cell after the box before it. Clients stay away from
//! the town's edge. So each position is in exactly [`BOXES_OF_A_POSITION`] boxes, whatever the number of boxes. The
//! town knows the last report of each client, so it knows what the reader of each box must hold in the end.
//!
//! The town knows neither connections nor time.

use super::Dice;

/// Number of boxes that contain one position.
pub(super) const BOXES_OF_A_POSITION: u64 = (BOX_ROWS * BOX_COLUMNS) as u64;
/// Number of boxes in one row of boxes. The number of all boxes is a multiple of this.
pub(super) const BOXES_IN_A_ROW: u32 = 100;
const BOX_ROWS: u32 = 2;
const BOX_COLUMNS: u32 = 5;
/// The south-west corner of the town, hundredths of a degree. A cell is a hundredth of a degree wide.
const SOUTH: u32 = 48_00;
const WEST: u32 = 11_00;
/// One in this many reports comes from a neighboring cell.
const STEPS_PER_CELL: u32 = 4;

/// A cell. Row 0 is the southernmost row, and column 0 the westernmost column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cell {
    row: u32,
    column: u32,
}

/// One client: its cell, and the time of its last report.
#[derive(Clone, Copy, Debug)]
struct Client {
    cell: Cell,
    /// Nanoseconds of POSIX time. 0: it has not reported.
    reported_at: u64,
}

/// The boxes and the clients.
pub(super) struct Town {
    box_rows: u32,
    clients: Vec<Client>,
    dice: Dice,
}

/// A report of a client.
#[derive(Debug)]
pub(super) struct Move {
    pub(super) client: u32,
    /// The coordinates as the line protocol has them.
    pub(super) coordinates: String,
    /// Number of boxes that the client has left.
    pub(super) left: u64,
}

impl Town {
    /// A town of `boxes` boxes, and as many clients, which are spread evenly.
    pub(super) fn new(boxes: u32) -> Town {
        let box_rows = boxes / BOXES_IN_A_ROW;
        let mut town = Town { box_rows, clients: Vec::new(), dice: Dice(7) };
        let (rows, columns) = (town.rows(), town.columns());
        let cells = (rows.end - rows.start) * (columns.end - columns.start);
        let cell = |number: u32| {
            let width = columns.end - columns.start;
            Cell { row: rows.start + number / width, column: columns.start + number % width }
        };
        town.clients =
            (0..boxes).map(|number| Client { cell: cell(number % cells), reported_at: 0 }).collect();
        town
    }

    pub(super) fn boxes(&self) -> u32 {
        self.box_rows * BOXES_IN_A_ROW
    }

    pub(super) fn clients(&self) -> u32 {
        self.clients.len() as u32
    }

    /// A box as the API has it: south, west, north, east.
    pub(super) fn box_text(number: u32) -> String {
        let (row, column) = (number / BOXES_IN_A_ROW, number % BOXES_IN_A_ROW);
        let degrees = |hundredths: u32| format!("{}.{:02}", hundredths / 100, hundredths % 100);
        let (south, west) = (SOUTH + row, WEST + column);
        [south, west, south + BOX_ROWS, west + BOX_COLUMNS].map(degrees).join(",")
    }

    /// Moves a client, which reports at `unix_ns`.
    pub(super) fn step(&mut self, client: u32, unix_ns: u64) -> Move {
        let before = self.clients[client as usize].cell;
        let mut cell = before;
        if self.dice.below(STEPS_PER_CELL) == 0 {
            let (rows, columns) = (self.rows(), self.columns());
            match self.dice.below(4) {
                0 => cell.row = (cell.row + 1).min(rows.end - 1),
                1 => cell.row = (cell.row - 1).max(rows.start),
                2 => cell.column = (cell.column + 1).min(columns.end - 1),
                _ => cell.column = (cell.column - 1).max(columns.start),
            }
        }
        self.clients[client as usize] = Client { cell, reported_at: unix_ns };
        let left = boxes_of(before).filter(|&number| !contains(number, cell)).count() as u64;
        let mut degrees = |hundredths: u32| {
            // A position is never on the edge of a cell.
            let part = 2000 + self.dice.below(6000);
            format!("+{}.{:02}{part:04}", hundredths / 100, hundredths % 100)
        };
        let coordinates = degrees(SOUTH + cell.row) + &degrees(WEST + cell.column);
        Move { client, coordinates, left }
    }

    /// What the reader of each box must hold: the clients in the box, and the time of each one's last report, in the
    /// order of clients.
    pub(super) fn held(&self) -> Vec<Vec<(u32, u64)>> {
        let mut held = vec![Vec::new(); self.boxes() as usize];
        for (number, client) in (0..).zip(&self.clients).filter(|(_, client)| client.reported_at > 0) {
            boxes_of(client.cell).for_each(|of| held[of as usize].push((number, client.reported_at)));
        }
        held
    }

    /// The rows in which clients move. Each of these rows is in all boxes that it can be in.
    fn rows(&self) -> std::ops::Range<u32> {
        BOX_ROWS - 1..self.box_rows
    }

    fn columns(&self) -> std::ops::Range<u32> {
        BOX_COLUMNS - 1..BOXES_IN_A_ROW
    }
}

/// The boxes that contain a cell in which clients move.
fn boxes_of(cell: Cell) -> impl Iterator<Item = u32> {
    let rows = cell.row + 1 - BOX_ROWS..=cell.row;
    rows.flat_map(move |row| {
        (cell.column + 1 - BOX_COLUMNS..=cell.column).map(move |column| row * BOXES_IN_A_ROW + column)
    })
}

fn contains(number: u32, cell: Cell) -> bool {
    let (row, column) = (number / BOXES_IN_A_ROW, number % BOXES_IN_A_ROW);
    (row..row + BOX_ROWS).contains(&cell.row) && (column..column + BOX_COLUMNS).contains(&cell.column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_position_is_in_ten_boxes() {
        let mut town = Town::new(1000);
        for round in 1..50 {
            (0..town.clients()).for_each(|client| drop(town.step(client, round)));
            let held: usize = town.held().iter().map(Vec::len).sum();
            assert_eq!(held as u64, u64::from(town.clients()) * BOXES_OF_A_POSITION);
            for client in &town.clients {
                let of = (0..town.boxes()).filter(|&number| contains(number, client.cell));
                assert!(of.eq(boxes_of(client.cell)), "{client:?}");
            }
        }
    }

    #[test]
    fn a_position_is_in_the_boxes_that_hold_it() {
        let mut town = Town::new(1000);
        for client in 0..town.clients() {
            let Move { coordinates, .. } = town.step(client, 1);
            let (latitude, longitude): (f64, f64) =
                (coordinates[..10].parse().unwrap(), coordinates[10..].parse().unwrap());
            let is_in = |number| {
                let corner: Vec<f64> =
                    Town::box_text(number).split(',').map(|degrees| degrees.parse().unwrap()).collect();
                (corner[0]..corner[2]).contains(&latitude) && (corner[1]..corner[3]).contains(&longitude)
            };
            let cell = town.clients[client as usize].cell;
            assert!((0..town.boxes()).filter(|&number| is_in(number)).eq(boxes_of(cell)), "{coordinates}");
        }
    }

    #[test]
    fn a_client_that_stays_in_its_cell_leaves_no_box() {
        let mut town = Town::new(1000);
        let (mut stayed, mut left) = (0, 0);
        for _ in 0..1000 {
            let before = town.clients[500].cell;
            let found = town.step(500, 1);
            if town.clients[500].cell == before {
                assert_eq!(found.left, 0);
                stayed += 1;
            } else {
                assert!([2, 5].contains(&found.left), "{found:?}");
                left += 1;
            }
        }
        assert!(stayed > left && left > 100, "{stayed} and {left}");
    }
}
