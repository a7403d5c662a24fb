//! Draws the model into a frame of ratatui. A small window leaves out columns, then the tables without the focus.

use ratatui::{
    Frame,
    layout::Rect,
    style::{Color, Modifier, Style},
    text::{Line, Span},
};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::{
    model::Model,
    rows::{self, Cell, Row, Tone},
    view::{Panel, View},
};
use crate::{amounts::short, window::wrapped};

/// A body with fewer lines than this shows the table with the focus alone.
const BODY_LEN_MIN: u16 = 16;
/// The least number of lines for the two lowest tables.
const LOWEST_LEN_MIN: u16 = 5;
/// A sparkline narrower than this is left out.
const SPARKLINE_MIN: usize = 6;
const SPARKLINE_MAX: usize = 60;

const HELP: [&str; 14] = [
    "Tab, Shift-Tab   the next table, the table before",
    "Up, Down, j, k   move in the table; PgUp, PgDn, Home, End move further",
    "s, S             sort by the next column, by the column before",
    "r                reverse the order",
    "?                this help",
    "q, Esc, Ctrl-C   quit",
    "",
    "ACCEPT/S  accepted reports in a second; the line beside it shows their history",
    "HITS      the part of the latest questions about places that the cache answered",
    "TREE      tree: changes take this link at once; lazy: only if they are missing",
    "THERE/S   records in a second from the first server to the second; BACK/S: back",
    "LAG       how long something has been waiting to be sent",
    "CLOCK     how far the second server's clock is ahead of the first server's",
    "AWAY      no answer since that time; the list of changes says why",
];

/// How the screen may look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Looks {
    pub(super) has_colors: bool,
    pub(super) is_ascii: bool,
}

impl Looks {
    fn style(self, tone: Tone) -> Style {
        let color = |color: Color| if self.has_colors { Style::new().fg(color) } else { Style::new() };
        match tone {
            Tone::Plain => Style::new(),
            Tone::Strong => Style::new().add_modifier(Modifier::BOLD),
            Tone::Faint => Style::new().add_modifier(Modifier::DIM),
            Tone::Good => color(Color::Green),
            Tone::Doubtful => color(Color::Yellow),
            Tone::Bad => color(Color::LightRed).add_modifier(Modifier::BOLD),
        }
    }
}

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, model: &Model, view: &mut View, looks: Looks) {
    let area = frame.area();
    if area.height < 3 || area.width < 10 {
        return;
    }
    header(frame, Rect { height: 1, ..area }, model, looks);
    footer(frame, Rect { y: area.bottom() - 1, height: 1, ..area }, looks);
    let body = Rect { y: area.y + 1, height: area.height - 2, ..area };
    if view.has_help {
        let lines = HELP.iter().flat_map(|line| wrapped(line, usize::from(body.width), 10));
        lines.take(body.height.into()).enumerate().for_each(|(at, line)| {
            put(frame, Rect { y: body.y + at as u16, height: 1, ..body }, &[Span::raw(line)]);
        });
        return;
    }
    for (panel, area) in layout(body, model, view) {
        match panel {
            Panel::Changes => changes(frame, area, model, view, looks),
            _ => table(frame, area, model, view, panel, looks),
        }
    }
}

/// The areas of the tables.
fn layout(body: Rect, model: &Model, view: &View) -> Vec<(Panel, Rect)> {
    if body.height < BODY_LEN_MIN {
        return vec![(view.focus, body)];
    }
    let wanted = |rows: usize| u16::try_from(rows + 2).unwrap_or(u16::MAX);
    let upper = body.height - LOWEST_LEN_MIN;
    let links_wanted = wanted(model.link_names().len());
    let servers = wanted(model.servers.len()).min(upper - (upper / 2).min(links_wanted));
    let links = links_wanted.min(upper - servers);
    let lowest = body.height - servers - links;
    let peers_width = if body.width >= 110 { body.width * 2 / 5 } else { (body.width / 2).min(34) };
    let at = |y: u16, height: u16| Rect { y: body.y + y, height, ..body };
    let low = at(servers + links, lowest);
    vec![
        (Panel::Servers, at(0, servers)),
        (Panel::Links, at(servers, links)),
        (Panel::Peers, Rect { width: peers_width - 2, ..low }),
        (Panel::Changes, Rect { x: low.x + peers_width, width: low.width - peers_width, ..low }),
    ]
}

fn put(frame: &mut Frame<'_>, area: Rect, spans: &[Span<'_>]) {
    frame.buffer_mut().set_line(area.x, area.y, &Line::from(spans.to_vec()), area.width);
}

fn header(frame: &mut Frame<'_>, area: Rect, model: &Model, looks: Looks) {
    let (up, all) = (model.up_count(), model.servers.len());
    let tone = if up == all { Tone::Good } else { Tone::Bad };
    let rate = rows::rate(model.accepted_rate());
    let clock = format!(" {} UTC", model.now.clock());
    let numbers = format!("  {} records  {rate} reports/s ", short(model.records()));
    let spans = [
        Span::styled(fitted(&model.herd, 24), looks.style(Tone::Strong)),
        Span::raw("  "),
        Span::styled(format!("{up} of {all} up"), looks.style(tone)),
        Span::raw(numbers),
    ];
    let used: usize = spans.iter().map(|span| span.content.width()).sum::<usize>() + clock.width();
    put(frame, area, &spans);
    let width = usize::from(area.width);
    if used <= width {
        let at = area.width - clock.width() as u16;
        put(frame, Rect { x: area.x + at, width: clock.width() as u16, ..area }, &[Span::raw(clock)]);
    }
    let rest = width.saturating_sub(used).min(SPARKLINE_MAX);
    if rest >= SPARKLINE_MIN {
        let x = spans.iter().map(|span| span.content.width() as u16).sum::<u16>();
        let line = model.accepted.sparkline(rest, looks.is_ascii);
        put(frame, Rect { x: area.x + x, width: rest as u16, ..area }, &[Span::raw(line)]);
    }
}

fn footer(frame: &mut Frame<'_>, area: Rect, looks: Looks) {
    let keys = "q quit   ? help   Tab next table   s sort   r reverse   arrows scroll";
    put(frame, area, &[Span::styled(keys, looks.style(Tone::Faint))]);
}

/// The line above a table, with the table's name.
fn title(frame: &mut Frame<'_>, area: Rect, name: &str, is_focus: bool, looks: Looks) {
    let (mark, dash) = if looks.is_ascii { (">", "-") } else { ("▶", "─") };
    let begin = if is_focus { mark } else { dash };
    let text = format!("{begin} {name} ");
    let rest = usize::from(area.width).saturating_sub(text.width());
    let tone = if is_focus { Tone::Strong } else { Tone::Plain };
    put(
        frame,
        area,
        &[Span::styled(text, looks.style(tone)), Span::styled(dash.repeat(rest), looks.style(Tone::Faint))],
    );
}

/// The rows of a table that are shown: the cursor's row is always among them.
fn shown(cursor: usize, count: usize, room: usize) -> std::ops::Range<usize> {
    let first = cursor.saturating_sub(room / 2).min(count.saturating_sub(room));
    first..count.min(first + room)
}

fn table(frame: &mut Frame<'_>, area: Rect, model: &Model, view: &mut View, panel: Panel, looks: Looks) {
    let mut rows = match panel {
        Panel::Servers => rows::servers(model),
        Panel::Links => rows::links(model),
        Panel::Peers | Panel::Changes => rows::peers(model),
    };
    view.bound(panel, rows.len());
    let (choice, is_focus) = (*view.table(panel), view.focus == panel);
    if let Some(column) = choice.column {
        rows::sort(&mut rows, column, choice.is_descending);
    } else if choice.is_descending {
        rows.reverse();
    }
    let name = match panel {
        Panel::Servers => "Servers",
        Panel::Links => "Links",
        Panel::Peers | Panel::Changes => "Slowest peers",
    };
    let room = usize::from(area.height.saturating_sub(2));
    let range = shown(choice.cursor, rows.len(), room);
    let hidden = rows.len() - range.len();
    let name =
        if hidden > 0 { format!("{name} ({} of {})", range.len(), rows.len()) } else { name.to_owned() };
    title(frame, Rect { height: 1, ..area }, &name, is_focus, looks);
    if area.height < 2 {
        return;
    }
    let columns = Columns::fit(panel, &rows, usize::from(area.width));
    let heads = columns.heads(choice.column, choice.is_descending, looks);
    put(frame, Rect { y: area.y + 1, height: 1, ..area }, &heads);
    for (line, at) in range.enumerate() {
        let area = Rect { y: area.y + 2 + line as u16, height: 1, ..area };
        put(frame, area, &columns.spans(&rows[at], looks));
        if is_focus && at == choice.cursor {
            frame.buffer_mut().set_style(area, Style::new().add_modifier(Modifier::REVERSED));
        }
    }
}

/// The columns that a window has room for.
struct Columns {
    panel: Panel,
    /// Number and width of each column.
    shown: Vec<(usize, usize)>,
    sparkline: usize,
}

impl Columns {
    fn fit(panel: Panel, rows: &[Row], width: usize) -> Columns {
        let all = panel.columns();
        let cell_width = |at: usize| rows.iter().map(|row| row.cells[at].text.width()).max().unwrap_or(0);
        // The mark of the sorted column takes one character.
        let mut shown: Vec<(usize, usize)> = all
            .iter()
            .enumerate()
            .map(|(at, column)| (at, cell_width(at).max(column.name.len() + 1)))
            .collect();
        let total = |shown: &[(usize, usize)]| shown.iter().map(|(_, width)| width + 1).sum::<usize>();
        while total(&shown) > width + 1 {
            let spare = shown.iter().enumerate().filter(|(_, (at, _))| all[*at].rank > 0);
            let Some(spare) = spare.max_by_key(|(_, (at, _))| all[*at].rank).map(|(place, _)| place) else {
                break;
            };
            shown.remove(spare);
        }
        let rest = width.saturating_sub(total(&shown)).min(SPARKLINE_MAX);
        let has_history = rows.iter().any(|row| row.history.is_some());
        let sparkline = if has_history && rest >= SPARKLINE_MIN { rest } else { 0 };
        Columns { panel, shown, sparkline }
    }

    fn heads(&self, sorted: Option<usize>, is_descending: bool, looks: Looks) -> Vec<Span<'static>> {
        let mark = match (looks.is_ascii, is_descending) {
            (true, true) => "v",
            (true, false) => "^",
            (false, true) => "▼",
            (false, false) => "▲",
        };
        let head = |&(at, width): &(usize, usize)| {
            let column = self.panel.columns()[at];
            let name = format!("{}{}", column.name, if sorted == Some(at) { mark } else { "" });
            let tone = if sorted == Some(at) { Tone::Strong } else { Tone::Faint };
            Span::styled(aligned(&name, width, column.is_right) + " ", looks.style(tone))
        };
        self.shown.iter().map(head).collect()
    }

    fn spans(&self, row: &Row, looks: Looks) -> Vec<Span<'static>> {
        let cell = |&(at, width): &(usize, usize)| {
            let Cell { text, tone, .. } = &row.cells[at];
            Span::styled(aligned(text, width, self.panel.columns()[at].is_right) + " ", looks.style(*tone))
        };
        let mut spans: Vec<_> = self.shown.iter().map(cell).collect();
        if let Some(history) = row.history.as_ref().filter(|_| self.sparkline > 0) {
            spans.push(Span::raw(history.sparkline(self.sparkline, looks.is_ascii)));
        }
        spans
    }
}

fn aligned(text: &str, width: usize, is_right: bool) -> String {
    let space = " ".repeat(width.saturating_sub(text.width()));
    if is_right { format!("{space}{text}") } else { format!("{text}{space}") }
}

/// The beginning of a text, as far as it fits into `width` columns.
fn fitted(text: &str, width: usize) -> String {
    let mut used = 0;
    let fits = |character: &char| {
        used += character.width().unwrap_or(0);
        used <= width
    };
    text.chars().take_while(fits).collect()
}

/// What needs attention now, and below it what has changed, the newest first.
fn changes(frame: &mut Frame<'_>, area: Rect, model: &Model, view: &mut View, looks: Looks) {
    let is_focus = view.focus == Panel::Changes;
    title(frame, Rect { height: 1, ..area }, "Troubles, and changes (UTC)", is_focus, looks);
    let width = usize::from(area.width);
    let mut lines: Vec<(String, Tone)> = Vec::new();
    for trouble in model.troubles() {
        lines.extend(
            wrapped(&format!("! {trouble}"), width, 2).into_iter().map(|line| (line, Tone::Doubtful)),
        );
    }
    for change in model.changes.iter().rev() {
        let tone = if change.is_good { Tone::Good } else { Tone::Bad };
        let text = format!("{} {}", change.clock, change.text);
        lines.extend(wrapped(&text, width, 9).into_iter().map(|line| (line, tone)));
    }
    if lines.is_empty() {
        lines.push(("nothing has changed yet".to_owned(), Tone::Faint));
    }
    let room = usize::from(area.height.saturating_sub(1));
    // Here the cursor is the first line that is shown.
    view.bound(Panel::Changes, lines.len().saturating_sub(room) + 1);
    let first = view.table(Panel::Changes).cursor;
    for (at, (line, tone)) in lines.into_iter().skip(first).take(room).enumerate() {
        let area = Rect { y: area.y + 1 + at as u16, height: 1, ..area };
        put(frame, area, &[Span::styled(line, looks.style(tone))]);
    }
}
