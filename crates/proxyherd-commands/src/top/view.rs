//! What the person has chosen: the table with the focus, how each table is sorted, and how far it is scrolled.

use super::rows::{Column, LINK_COLUMNS, PEER_COLUMNS, SERVER_COLUMNS};

/// A part of the screen that can have the focus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Panel {
    Servers,
    Links,
    Peers,
    Changes,
}

impl Panel {
    pub(super) const ALL: [Panel; 4] = [Panel::Servers, Panel::Links, Panel::Peers, Panel::Changes];

    pub(super) fn columns(self) -> &'static [Column] {
        match self {
            Panel::Servers => &SERVER_COLUMNS,
            Panel::Links => &LINK_COLUMNS,
            Panel::Peers => &PEER_COLUMNS,
            Panel::Changes => &[],
        }
    }
}

/// What the person wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    NextPanel,
    PanelBefore,
    /// Moves the cursor by this number of rows.
    Move(isize),
    NextColumn,
    ColumnBefore,
    Reverse,
    Help,
    /// Leaves the help, or else `top`.
    Back,
    Quit,
}

/// How one table is sorted and scrolled.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TableView {
    /// The column by which the table is sorted. `None`: the table's own order.
    pub(super) column: Option<usize>,
    pub(super) is_descending: bool,
    pub(super) cursor: usize,
}

/// The whole choice.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub(super) focus: Panel,
    pub(super) has_help: bool,
    tables: [TableView; Panel::ALL.len()],
}

impl View {
    pub(super) fn new() -> View {
        View { focus: Panel::Servers, has_help: false, tables: [TableView::default(); Panel::ALL.len()] }
    }

    pub(super) fn table(&self, panel: Panel) -> &TableView {
        &self.tables[panel as usize]
    }

    /// Carries out an action. Returns whether `top` goes on.
    pub(super) fn act(&mut self, action: Action) -> bool {
        let panels = Panel::ALL.len();
        let columns = self.focus.columns().len();
        let table = &mut self.tables[self.focus as usize];
        match action {
            Action::Quit => return false,
            Action::Back if !self.has_help => return false,
            Action::Back => self.has_help = false,
            Action::Help => self.has_help = !self.has_help,
            Action::NextPanel => self.focus = Panel::ALL[(self.focus as usize + 1) % panels],
            Action::PanelBefore => self.focus = Panel::ALL[(self.focus as usize + panels - 1) % panels],
            Action::Move(by) => table.cursor = table.cursor.saturating_add_signed(by),
            Action::NextColumn if columns > 0 => {
                table.column = Some(table.column.map_or(0, |column| (column + 1) % columns));
            }
            Action::ColumnBefore if columns > 0 => {
                table.column =
                    Some(table.column.map_or(columns - 1, |column| (column + columns - 1) % columns));
            }
            Action::NextColumn | Action::ColumnBefore => {}
            Action::Reverse => table.is_descending = !table.is_descending,
        }
        true
    }

    /// Keeps a cursor within a table of this number of rows.
    pub(super) fn bound(&mut self, panel: Panel, rows: usize) {
        let cursor = &mut self.tables[panel as usize].cursor;
        *cursor = (*cursor).min(rows.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tab_goes_around_and_back_leaves_the_help_first() {
        let mut view = View::new();
        for panel in [Panel::Links, Panel::Peers, Panel::Changes, Panel::Servers] {
            assert!(view.act(Action::NextPanel));
            assert_eq!(view.focus, panel);
        }
        view.act(Action::PanelBefore);
        assert_eq!(view.focus, Panel::Changes);
        view.act(Action::Help);
        assert!(view.act(Action::Back) && !view.has_help);
        assert!(!view.act(Action::Back));
        assert!(!view.act(Action::Quit));
    }

    #[test]
    fn each_table_has_its_own_order_and_a_cursor_within_its_rows() {
        let mut view = View::new();
        view.act(Action::NextColumn);
        view.act(Action::Reverse);
        view.act(Action::Move(7));
        view.bound(Panel::Servers, 5);
        let TableView { column, is_descending, cursor } = *view.table(Panel::Servers);
        assert_eq!((column, is_descending, cursor), (Some(0), true, 4));
        view.act(Action::Move(-9));
        view.act(Action::ColumnBefore);
        let servers = view.table(Panel::Servers);
        assert_eq!((servers.column, servers.cursor), (Some(SERVER_COLUMNS.len() - 1), 0));
        assert_eq!(view.table(Panel::Links).column, None);
    }
}
