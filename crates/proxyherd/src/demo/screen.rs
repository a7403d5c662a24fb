//! Prints the demo's output: first every address, with lines to paste into another terminal, and then the events.

use std::{
    collections::HashMap,
    io::{self, Write},
    time::Duration,
};

use anstyle::{AnsiColor, Style};
use proxyherd_config::{door_kind::DoorKind, server_status::Status};
use tokio::time::{MissedTickBehavior, interval};

use super::{
    Demo,
    commands::{CommandOutcome, obey},
    console::{Console, ConsoleInput},
    news::{self, News},
    servers::DemoEvent,
};
use proxyherd_server::herd::Internals;

/// Time between two sentences.
const PACE: Duration = Duration::from_secs(2);
/// Number of sentences between two summaries.
const SUM_UP_EVERY: u64 = 5;

const STRONG: Style = Style::new().bold();
const COMMAND: Style = AnsiColor::Cyan.on_default();
const FAINT: Style = Style::new().dimmed();
const NEWS: Style = AnsiColor::Yellow.on_default();

/// Prints the servers' addresses and logs, and the lines to try.
pub fn introduce(demo: &Demo) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    let count = demo.client_count();
    if let Some(http) = demo.places().find_map(|(_, addresses, _)| addresses.http()) {
        writeln!(out, "{STRONG}Open http://{http}/ in a browser{STRONG:#} to see the herd on a map.\n")?;
    }
    writeln!(
        out,
        "{STRONG}proxyherd demo{STRONG:#}: five servers on this machine, {count} clients around Los Angeles"
    )?;
    if !demo.has_classic_ports() {
        writeln!(
            out,
            "{FAINT}(on free ports instead of 12000 to 12004:\n `client` needs the addresses, and `status` can't see this \
             herd){FAINT:#}"
        )?;
    }
    writeln!(out)?;
    for (name, addresses, _) in demo.places() {
        let http = addresses.http().map_or(String::new(), |http| format!("http://{http}"));
        let line = addresses.line().to_string();
        let phones = addresses.of(DoorKind::Phones).next();
        let phones = phones.map_or(String::new(), |at| format!("  phones: {at}"));
        writeln!(out, "  {STRONG}{name:<9}{STRONG:#} {line:<16} {http}{phones}")?;
    }
    writeln!(out, "\nAny server answers for any client. To try, paste a line into another terminal:")?;
    for (purpose, commands) in to_try(demo) {
        writeln!(out, "\n  {FAINT}# {purpose}{FAINT:#}")?;
        for command in commands {
            writeln!(out, "  {COMMAND}{command}{COMMAND:#}")?;
        }
    }
    writeln!(
        out,
        "\nType {COMMAND}kill Riley{COMMAND:#} here to see the rest go on without it, and then \
         {COMMAND}start Riley{COMMAND:#}.\n{COMMAND}cut Bernard Juzang{COMMAND:#} cuts a link, and \
         {COMMAND}help{COMMAND:#} shows more.\nCtrl-C ends it all."
    )?;
    out.flush()
}

/// Lines to paste, each group with its purpose.
fn to_try(demo: &Demo) -> Vec<(String, Vec<String>)> {
    let servers: Vec<_> = demo.places().collect();
    let line = |index: usize| servers[index].1.line();
    let nc = |index: usize| format!("nc -N {} {}", line(index).ip(), line(index).port());
    let http_at = |index: usize| servers[index].1.http().map_or(String::new(), |http| http.to_string());
    let http = http_at(0);
    let phones = servers[0].1.of(DoorKind::Phones).next().map_or(String::new(), |at| at.to_string());
    let program = std::env::current_exe().map_or("proxyherd".to_owned(), |path| path.display().to_string());
    let here = "IAMAT me +34.0689-118.4451 $(date +%s.%N)";
    let mut to_try = vec![
        (
            "talk to the herd: type `WHATSAT kiwi.cs.ucla.edu 10 5`, or `help`".to_owned(),
            vec![format!("{program} client {} {}", line(2), line(3))],
        ),
        (
            "the same without a prompt".to_owned(),
            vec![format!("printf 'WHATSAT kiwi.cs.ucla.edu 10 5\\n' | {}", nc(1))],
        ),
        (
            "report to one server, and ask another".to_owned(),
            vec![
                format!("printf \"{here}\\n\" | {}", nc(0)),
                format!("printf 'WHATSAT me 10 5\\n' | {}", nc(4)),
            ],
        ),
        (format!("over HTTP; http://{http}/docs shows the API"), over_http(&http)),
        (
            "watch the couriers move, from another server".to_owned(),
            vec![format!("curl -N 'http://{}/v1/stream?ids=courier-*'", http_at(1))],
        ),
        (
            "a link that shows one courier for an hour: open its `url` in a browser".to_owned(),
            vec![format!(
                "curl --json '{{\"id\":\"courier-04\",\"expires_s\":3600}}' http://{http}/v1/shares"
            )],
        ),
        (
            format!("as phone apps report; they also take http://{http} for their server"),
            from_phones(&phones),
        ),
        (
            "a token for somebody else; the operator's token makes it".to_owned(),
            vec![format!(
                "PROXYHERD_TOKEN=$(cat {}) {program} token create --scope 'report:courier-*' --at http://{http}",
                demo.token_path().display()
            )],
        ),
        (
            "places around kiwi, as Google's clients ask for them".to_owned(),
            vec![format!(
                "curl 'http://{http}/maps/api/place/nearbysearch/json?client=kiwi.cs.ucla.edu&radius=2000'"
            )],
        ),
        ("follow a server's log".to_owned(), vec![format!("tail -F {}", servers[0].2.display())]),
        (
            "how a server is, and its metrics".to_owned(),
            vec![format!("curl http://{http}/v1/status http://{http}/metrics")],
        ),
    ];
    // If the demo uses other ports, `status` cannot find the demo.
    if demo.has_classic_ports() {
        to_try.insert(2, ("the herd as a table".to_owned(), vec![format!("{program} status")]));
    }
    to_try
}

/// Report, read, search for clients near a point, and report several clients at once.
fn over_http(http: &str) -> Vec<String> {
    vec![
        format!(
            "curl -X PUT --json '{{\"lat\":34.0689,\"lon\":-118.4451}}' http://{http}/v1/clients/me/location"
        ),
        format!("curl http://{http}/v1/clients/me"),
        format!("curl 'http://{http}/v1/clients?near=34.0689,-118.4451&limit=3'"),
        format!(
            "curl --json '[{{\"id\":\"a\",\"lat\":34.06,\"lon\":-118.44}},{{\"id\":\"b\",\"lat\":34.07,\"lon\":-118.45}}]' \
             http://{http}/v1/reports"
        ),
    ]
}

/// A report as OsmAnd, GPSLogger and Traccar Client send it, and one as OwnTracks sends it.
fn from_phones(phones: &str) -> Vec<String> {
    vec![
        format!("curl 'http://{phones}/?id=my-phone&lat=34.0689&lon=-118.4451'"),
        format!(
            "curl --json '{{\"_type\":\"location\",\"lat\":34.07,\"lon\":-118.44,\"tst\":'$(date +%s)'}}' \
             'http://{phones}/?u=jane&d=phone'"
        ),
    ]
}

/// Shows the events and carries out commands until the person quits. With `quiet`, the demo only answers commands.
pub async fn follow(demo: &mut Demo, quiet: bool) -> io::Result<()> {
    let mut console = Console::open()?;
    let mut show = ScreenState::default();
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            typed = console.typed() => {
                let outcome = match typed {
                    ConsoleInput::Line(line) => obey(&line, &demo.servers),
                    ConsoleInput::End => Some(CommandOutcome::Quit),
                };
                match outcome {
                    None | Some(CommandOutcome::Begun) => {}
                    Some(CommandOutcome::Say(text)) => console.say(&text),
                    Some(CommandOutcome::Quit) => {
                        console.close();
                        return Ok(());
                    }
                }
            }
            Some(event) = demo.events.recv() => {
                if let DemoEvent::Started(index, _) = event {
                    show.filling.push(index);
                }
                console.say(&styled(NEWS, &news::told(&event, &demo.servers)));
            }
            _ = pace.tick() => {
                for text in show.filled(demo) {
                    console.say(&styled(NEWS, &text));
                }
                if !quiet {
                    show.tick(demo).iter().for_each(|text| console.say(text));
                }
            }
        }
    }
}

/// The state of the screen: what was already shown, and the servers that are not complete yet.
#[derive(Default)]
struct ScreenState {
    news: News,
    ticks: u64,
    /// Number of reports that each server had taken at the last summary.
    reports: HashMap<String, u64>,
    /// The restarted servers that do not have all records yet.
    filling: Vec<usize>,
}

impl ScreenState {
    /// The lines to show now.
    fn tick(&mut self, demo: &Demo) -> Vec<String> {
        let herds = demo.herds();
        let herds: Vec<_> = herds.iter().map(AsRef::as_ref).collect();
        self.ticks += 1;
        let mut said: Vec<String> = self.news.next(&herds).into_iter().collect();
        if self.ticks.is_multiple_of(SUM_UP_EVERY) {
            let statuses: Vec<Status> = herds.iter().map(|herd| herd.present()).collect();
            let reports: u64 = statuses.iter().map(|status| self.new_reports(status)).sum();
            let rate = reports / (SUM_UP_EVERY * PACE.as_secs());
            said.push(styled(FAINT, &summary(&statuses, rate)));
        }
        said
    }

    /// Number of reports that a server has taken since the last summary. A server that was started again counts from
    /// zero.
    fn new_reports(&mut self, status: &Status) -> u64 {
        let now = status.reports.accepted;
        let before = self.reports.insert(status.server.clone(), now).unwrap_or(0);
        now.checked_sub(before).unwrap_or(now)
    }

    /// A line for each restarted server that now has all records.
    fn filled(&mut self, demo: &Demo) -> Vec<String> {
        let herds = demo.herds();
        let find = |index: usize| herds.iter().find(|herd| herd.name() == demo.servers.name(index));
        let mut said = Vec::new();
        self.filling.retain(|&index| match find(index) {
            Some(herd) if herd.replica().is_caught_up() => {
                said.push(format!("{} knows {} clients again", herd.name(), herd.replica().len()));
                false
            }
            is_there => is_there.is_some(),
        });
        said
    }
}

fn styled(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

fn summary(statuses: &[Status], rate: u64) -> String {
    let links = || statuses.iter().flat_map(|status| &status.links);
    let (links_up, link_count) = (links().filter(|link| link.up).count(), links().count());
    let records = || statuses.iter().map(|status| status.records);
    let known = match (records().min().unwrap_or(0), records().max().unwrap_or(0)) {
        (least, most) if least == most => format!("each knows {most} clients"),
        (least, most) => format!("they know {least} to {most} clients"),
    };
    let count = statuses.len();
    format!("{count} servers run, {known}; {rate} reports/s; {links_up} of {link_count} link ends are up")
}

/// Prints the last line of the demo.
pub fn farewell(demo: &Demo, quiet: bool) -> io::Result<()> {
    if quiet {
        return Ok(());
    }
    let logs = demo.servers.config().log.dir.display();
    let mut out = anstream::stdout().lock();
    writeln!(out, "\nThe herd has stopped; its logs stay in {logs}.")?;
    out.flush()
}
