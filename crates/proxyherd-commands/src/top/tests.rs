//! Tests of the model and of what is drawn, with answers of servers that a test makes up.

use proxyherd_config::{
    config::Config,
    server_status::{JournalStatus, LinkStatus, PlacesStatus, ReportStatus, Status},
};
use ratatui::{Terminal, backend::TestBackend, style::Color};

use super::{
    model::{Model, Moment, ReportRates, ServerState},
    screen::{self, Looks},
    view::{Action, View},
};
use crate::herd_snapshot::{StatusAnswer, Target};

fn at(at_s: f64) -> Moment {
    Moment { at_s, unix_s: 1_796_083_200 + at_s as u64 }
}

fn link(neighbor: &str, sent: u64, received: u64) -> LinkStatus {
    let json = format!(
        r#"{{"neighbor":"{neighbor}","address":"127.0.0.1:1","dials":true,"up":true,"eager":true,"times_up":1,
            "payloads_sent":{sent},"payloads_received":{received},"lag_s":0.0}}"#
    );
    serde_json::from_str(&json).unwrap()
}

fn status(server: &str, uptime_s: f64, accepted: u64, links: Vec<LinkStatus>) -> Status {
    let json = format!(
        r#"{{"server":"{server}","herd":"herd","version":"0.1.0","incarnation":"7","uptime_s":{uptime_s},
            "draining":false,"records":36,"connections":12,"reports":{{"accepted":0,"stale":6,"rejected":0}},
            "log_left_out":0,"links":[]}}"#
    );
    let status: Status = serde_json::from_str(&json).unwrap();
    Status { links, reports: ReportStatus { accepted, ..status.reports.clone() }, ..status }
}

fn up(status: Status) -> StatusAnswer {
    StatusAnswer::Up(Box::new(status))
}

fn silent() -> StatusAnswer {
    StatusAnswer::Silent("connection refused".to_owned())
}

fn model() -> Model {
    let config = Config::classic();
    Model::new(&config.herd.id, &Target::all(&config), at(0.0))
}

fn place(model: &Model, name: &str) -> usize {
    model.servers.iter().position(|server| server.name == name).unwrap()
}

fn texts(model: &Model) -> Vec<&str> {
    model.changes.iter().map(|change| change.text.as_str()).collect()
}

/// A herd of two servers that answer, and three that are not there.
fn running() -> Model {
    let mut model = model();
    let (riley, jaquez) = (place(&model, "Riley"), place(&model, "Jaquez"));
    for second in 0_u8..5 {
        let (now, count) = (f64::from(second), u64::from(second));
        let places = Some(PlacesStatus { hit: 3 * count, fetched: count, ..PlacesStatus::default() });
        let journal = Some(JournalStatus { state: "running".to_owned(), ..JournalStatus::default() });
        let told = status("Riley", 100.0 + now, 1000 * count, vec![link("Jaquez", 500 * count, 20 * count)]);
        model.take(riley, up(Status { places, journal, ..told }), at(now));
        let told = status("Jaquez", 50.0 + now, 10 * count, vec![link("Riley", 20 * count, 500 * count)]);
        model.take(jaquez, up(told), at(now));
        (0..5)
            .filter(|at| ![riley, jaquez].contains(at))
            .for_each(|other| model.take(other, silent(), at(now)));
        model.tick(at(now));
    }
    model
}

fn drawn_with(
    model: &Model,
    view: &mut View,
    (width, height): (u16, u16),
    looks: Looks,
) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| screen::draw(frame, model, view, looks)).unwrap();
    terminal
}

fn drawn(model: &Model, view: &mut View, size: (u16, u16)) -> String {
    let looks = Looks { has_colors: true, is_ascii: false };
    let terminal = drawn_with(model, view, size, looks);
    let buffer = terminal.backend().buffer();
    let line = |y| (0..size.0).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
    (0..size.1).map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn rates_are_differences_by_the_servers_own_clock() {
    let mut model = model();
    model.take(0, up(status("Riley", 10.0, 100, vec![])), at(0.0));
    assert_eq!(model.servers[0].rates, None, "one answer has no rate");
    // The answer comes late, but the server's clock counts.
    model.take(0, up(status("Riley", 12.0, 300, vec![])), at(9.0));
    let expected = ReportRates { accepted: 100.0, stale: 0.0, rejected: 0.0 };
    assert_eq!(model.servers[0].rates, Some(expected));
}

#[test]
fn a_restarted_server_has_no_negative_rate() {
    let mut model = model();
    model.take(0, up(status("Riley", 10.0, 100, vec![link("Jaquez", 50, 50)])), at(0.0));
    let again = Status { incarnation: 8, ..status("Riley", 0.5, 3, vec![link("Jaquez", 1, 1)]) };
    model.take(0, up(again.clone()), at(1.0));
    assert_eq!((model.servers[0].rates, model.link_of("Riley", "Jaquez").unwrap().1.sent), (None, None));
    assert_eq!(texts(&model), ["Riley was started again"]);
    let reports = ReportStatus { accepted: 13, ..again.reports.clone() };
    model.take(0, up(Status { uptime_s: 1.5, reports, ..again }), at(2.0));
    assert_eq!(model.servers[0].rates.unwrap().accepted, 10.0);
    // A count that shrinks within one life is no rate either.
    let wrong = Status { incarnation: 8, ..status("Riley", 2.5, 1, vec![]) };
    model.take(0, up(wrong), at(3.0));
    assert_eq!(model.servers[0].rates, None);
}

#[test]
fn a_server_that_does_not_answer_is_away_since_then_and_its_return_is_told() {
    let mut model = model();
    model.take(0, up(status("Riley", 10.0, 1, vec![])), at(0.0));
    model.take(0, silent(), at(60.0));
    model.take(0, silent(), at(61.0));
    assert_eq!(model.servers[0].state, ServerState::Away("connection refused".to_owned()));
    assert_eq!((model.servers[0].since.at_s, model.up_count()), (60.0, 0));
    model.take(0, up(status("Riley", 75.0, 1, vec![])), at(65.0));
    assert_eq!(texts(&model), ["Riley is away: connection refused", "Riley is back after 5s"]);
    assert_eq!(model.changes[0].clock, "00:01:00");
}

#[test]
fn the_first_answer_is_no_change() {
    let mut model = model();
    model.take(0, silent(), at(0.0));
    model.take(1, up(status("Jaquez", 1.0, 1, vec![link("Riley", 0, 0)])), at(0.0));
    assert!(model.changes.is_empty(), "{:?}", model.changes);
}

#[test]
fn a_link_is_down_if_one_end_says_so_and_the_change_is_told_once() {
    let mut model = running();
    let name = ["Jaquez".to_owned(), "Riley".to_owned()];
    assert_eq!(model.is_link_up(&name), Some(true));
    let trouble = Some("cut\u{1b}[2J".to_owned());
    let down = LinkStatus { up: false, trouble, ..link("Jaquez", 2000, 80) };
    let riley = place(&model, "Riley");
    for second in [5.0, 6.0] {
        model.take(riley, up(status("Riley", 100.0 + second, 5000, vec![down.clone()])), at(second));
    }
    assert_eq!(model.is_link_up(&name), Some(false));
    assert_eq!(texts(&model), [r"the link Jaquez - Riley is down: cut\x1b[2J"]);
    model.take(riley, silent(), at(7.0));
    let jaquez = place(&model, "Jaquez");
    model.take(jaquez, silent(), at(7.0));
    assert_eq!(model.is_link_up(&name), None, "nobody tells");
}

#[test]
fn a_server_at_a_url_gets_its_name_from_its_answer() {
    let mut model = Model::new("", &[Target::at("http://127.0.0.1:8000")], at(0.0));
    assert_eq!(model.servers[0].name, "http://127.0.0.1:8000");
    model.take(0, up(status("Riley", 1.0, 1, vec![])), at(0.0));
    assert_eq!((model.servers[0].name.as_str(), model.herd.as_str()), ("Riley", "herd"));
}

#[test]
fn changes_and_links_are_bounded() {
    let mut model = model();
    model.take(0, up(status("Riley", 1.0, 1, vec![])), at(0.0));
    for second in 0_u16..500 {
        let answer = if second % 2 == 0 { silent() } else { up(status("Riley", 1.0, 1, vec![])) };
        model.take(0, answer, at(second.into()));
    }
    assert_eq!(model.changes.len(), 200);
    let links = (0..1000).map(|at| link(&format!("server-{at}"), 0, 0)).collect();
    model.take(1, up(status("Jaquez", 1.0, 1, links)), at(1000.0));
    assert_eq!(model.link_names().len(), 64);
}

#[test]
fn the_whole_herd_is_on_an_ordinary_terminal() {
    let text = drawn(&running(), &mut View::new(), (80, 24));
    for expected in [
        "herd  2 of 5 up  36 records  1010 reports/s",
        "00:00:04 UTC",
        "▶ Servers ",
        "Riley ",
        "AWAY 4s",
        "─ Links ",
        "Jaquez - Riley",
        "─ Slowest peers ",
        "Jaquez > Riley",
        "! Juzang does not answer",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
}

#[test]
fn a_wide_terminal_has_every_column_and_the_history() {
    let text = drawn(&running(), &mut View::new(), (160, 45));
    let line = |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap();
    let words: Vec<&str> = line("Riley").split_whitespace().collect();
    assert_eq!(words[..10], ["Riley", "up", "1m", "44s", "36", "12", "1000", "0", "0", "running"], "{text}");
    assert_eq!(words[10..], ["75%", "████"], "{text}");
    let words: Vec<&str> = line("Jaquez - Riley").split_whitespace().collect();
    assert_eq!(words[3..], ["up", "tree", "20", "500", "0", "0", "1"], "{text}");
}

#[test]
fn a_small_terminal_shows_the_table_with_the_focus() {
    let model = running();
    let mut view = View::new();
    let text = drawn(&model, &mut view, (60, 15));
    assert!(text.contains("▶ Servers") && text.contains("AWAY 4s") && !text.contains("Links"), "{text}");
    view.act(Action::NextPanel);
    let text = drawn(&model, &mut view, (60, 15));
    assert!(
        text.contains("▶ Links") && text.contains("Jaquez - Riley") && !text.contains("Servers"),
        "{text}"
    );
    // No size makes drawing fail.
    for size in [(1, 1), (10, 3), (20, 5), (34, 16), (35, 18), (200, 4), (500, 200)] {
        for _ in 0..4 {
            view.act(Action::NextPanel);
            drawn(&model, &mut view, size);
        }
    }
}

#[test]
fn tables_are_sorted_by_the_column_that_was_chosen_and_unknown_values_come_last() {
    let model = running();
    let mut view = View::new();
    for _ in 0..6 {
        view.act(Action::NextColumn);
    }
    view.act(Action::Reverse);
    let text = drawn(&model, &mut view, (160, 45));
    assert!(text.contains("ACCEPT/S▼"), "{text}");
    let names: Vec<&str> = text.lines().skip(3).take(3).map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(names[..2], ["Riley", "Jaquez"], "{text}");
    view.act(Action::Reverse);
    let text = drawn(&model, &mut view, (160, 45));
    let names: Vec<&str> = text.lines().skip(3).take(3).map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(names[..2], ["Jaquez", "Riley"], "{text}");
}

#[test]
fn without_colors_and_with_ascii_the_screen_says_the_same() {
    let looks = Looks { has_colors: false, is_ascii: true };
    let terminal = drawn_with(&running(), &mut View::new(), (100, 30), looks);
    let cells = &terminal.backend().buffer().content;
    assert!(cells.iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset));
    let text: String = cells.iter().map(ratatui::buffer::Cell::symbol).collect();
    assert!(text.is_ascii() && text.contains("AWAY 4s") && text.contains("####"), "{text}");
}

#[test]
fn the_help_names_every_key_and_fits_a_small_terminal() {
    let mut view = View::new();
    view.act(Action::Help);
    let text = drawn(&running(), &mut view, (80, 24));
    for key in ["Tab", "Up, Down", "s, S", "r ", "q, Esc, Ctrl-C"] {
        assert!(text.contains(key), "{key}\n{text}");
    }
}

#[test]
fn text_of_an_answer_cannot_control_the_terminal() {
    let mut model = model();
    let evil = link("x\\u001b[31m", 0, 0);
    model.take(0, up(status("Riley", 1.0, 1, vec![evil])), at(0.0));
    let text = drawn(&model, &mut View::new(), (160, 45));
    assert!(text.contains(r"x\x1b[31m") && !text.contains('\u{1b}'), "{text}");
}
