//! The demo's clients. Most clients speak the line protocol over TCP, as any client does, and change servers on their
//! way. Reporters and some couriers tell more than their positions: their speed, their heading, their battery, and a
//! reporter's note. The line protocol has no field for these attributes, so such clients call a server's handle as a
//! door does. If there are very many clients, those beyond the first [`SOCKETS_MAX`] do this, too, and take no sockets.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use proxyherd_config::{clock, door_kind::DoorKind};
use proxyherd_core::replica::Offer;
use proxyherd_core::types::{AttributeValue, AttributesBuf, ClientId, Coordinates, Report, Stamp, Timestamp};
use proxyherd_log::{LogLevel, Subject};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::sleep,
};

use super::walker::{self, Walker};
use proxyherd_server::{
    caller::{Caller, Rights},
    herd::Herd,
};

/// The client whose name the classic examples use.
pub(super) const KIWI: &str = "kiwi.cs.ucla.edu";
/// One in this many clients is a reporter.
const REPORTERS: usize = 6;
/// One in this many clients is a courier that reports attributes.
const COURIERS_WITH_ATTRIBUTES: usize = 4;
/// Maximum number of clients that may have a connection. Further clients call a server's handle.
const SOCKETS_MAX: usize = 2_000;
/// Number of clients that start in a second. So many clients do not all report at the same moment.
const STARTS_PER_S: f64 = 2_000.0;
/// The part of its battery that a client uses in a second, percent. An empty battery is replaced.
const BATTERY_USE: f64 = 0.02;
/// The caller as which such clients call the herd.
const REPORTER: Caller = Caller {
    address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
    door: DoorKind::Http,
    rights: Rights::ALL,
};
/// The mean time between two reports of one client, seconds. The time varies by half.
const PACE_S: f64 = 1.5;

const NOTES: [&str; 8] = [
    "traffic is light on Sunset",
    "crowd gathering at the plaza",
    "rain has stopped",
    "road closed ahead",
    "fire engines passing",
    "mayor speaks at noon",
    "power is back",
    "long queue at the stadium",
];

/// The handles of the running servers, for clients that call them directly.
pub(super) struct RunningHerds(Mutex<Vec<Option<Arc<Herd>>>>);

impl RunningHerds {
    /// Takes the handle of each server. The handle is `None` if the server does not run.
    pub(super) fn new(herds: Vec<Option<Arc<Herd>>>) -> RunningHerds {
        RunningHerds(Mutex::new(herds))
    }

    /// The handles of the running servers.
    pub(super) fn herds(&self) -> Vec<Arc<Herd>> {
        self.0.lock().iter().flatten().map(Arc::clone).collect()
    }

    /// Notes that a server was started or stopped.
    pub(super) fn set(&self, index: usize, herd: Option<Arc<Herd>>) {
        self.0.lock()[index] = herd;
    }
}

/// One client of the demo.
pub(super) struct DemoClient {
    name: String,
    walker: Walker,
    way: ReportWay,
    /// Percent.
    battery: f64,
    /// Time before the first report.
    starts_after: Duration,
}

/// How a client reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReportWay {
    /// Over TCP, as a line.
    Line,
    /// Through a server's handle, with attributes.
    Attributes,
    /// The same, with a note.
    Note,
}

/// The clients. The first one is always kiwi, on foot. The others are couriers (who drive), pedestrians and reporters.
pub(super) fn cast(count: usize) -> Vec<DemoClient> {
    let reach_m = walker::reach_m(count);
    (0..count).map(|index| DemoClient::number(index, reach_m)).collect()
}

impl DemoClient {
    fn number(index: usize, reach_m: f64) -> DemoClient {
        let mut chance = chance;
        let (name, walker) = match index {
            0 => (KIWI.to_owned(), Walker::on_foot(reach_m, &mut chance).starting_at_center()),
            _ if index % REPORTERS == 1 => {
                (format!("reporter-{index:02}"), Walker::on_foot(reach_m, &mut chance))
            }
            _ if index.is_multiple_of(2) => {
                (format!("courier-{index:02}"), Walker::driving(reach_m, &mut chance))
            }
            _ => (format!("phone-{index:02}"), Walker::on_foot(reach_m, &mut chance)),
        };
        let way = match index {
            _ if index % REPORTERS == 1 => ReportWay::Note,
            1.. if index.is_multiple_of(COURIERS_WITH_ATTRIBUTES) || index >= SOCKETS_MAX => {
                ReportWay::Attributes
            }
            _ => ReportWay::Line,
        };
        let starts_after = Duration::from_secs_f64(index as f64 / STARTS_PER_S);
        DemoClient { name, walker, way, battery: 20.0 + 80.0 * chance(), starts_after }
    }

    /// Walks and reports for ever.
    pub(super) async fn run(self, running: Arc<RunningHerds>, addresses: Arc<[SocketAddr]>) {
        sleep(self.starts_after).await;
        match self.way {
            ReportWay::Line => self.report_positions(&addresses).await,
            ReportWay::Attributes | ReportWay::Note => self.report_attributes(&running).await,
        }
    }

    async fn report_positions(mut self, addresses: &[SocketAddr]) {
        let mut server = choose(addresses.len());
        loop {
            // If the server does not run or stops during the visit, the client tries another server.
            let _ = self.visit(addresses[server]).await;
            self.pause().await;
            server = (server + 1 + choose(addresses.len() - 1)) % addresses.len();
        }
    }

    /// Sends some reports to one server.
    async fn visit(&mut self, server: SocketAddr) -> std::io::Result<()> {
        let mut stream = BufReader::new(TcpStream::connect(server).await?);
        let mut reply = String::new();
        for _ in 0..5 + choose(15) {
            let (coordinates, timestamp) = (self.walker.coordinates(), now());
            let line = format!("IAMAT {} {coordinates} {timestamp}\n", self.name);
            stream.write_all(line.as_bytes()).await?;
            reply.clear();
            if stream.read_line(&mut reply).await? == 0 {
                break;
            }
            self.pause().await;
        }
        Ok(())
    }

    async fn report_attributes(mut self, running: &RunningHerds) {
        loop {
            let herds = running.herds();
            if herds.is_empty() {
                self.pause().await;
                continue;
            }
            let herd = &herds[choose(herds.len())];
            self.report_to(herd, &self.attributes());
            drop(herds);
            self.pause().await;
        }
    }

    fn attributes(&self) -> AttributesBuf {
        let mut attributes = AttributesBuf::default();
        let numbers = [
            ("battery_pct", format!("{:.0}", self.battery)),
            ("heading_deg", format!("{:.0}", self.walker.heading().round() % 360.0)),
            ("speed_mps", format!("{:.1}", self.walker.speed())),
        ];
        for (name, number) in &numbers {
            attributes.set(name, AttributeValue::Number(number)).expect("the numbers are short");
        }
        if self.way == ReportWay::Note {
            let note = AttributeValue::Text(NOTES[choose(NOTES.len())]);
            attributes.set("note", note).expect("the notes above are short");
        }
        attributes
    }

    fn report_to(&self, herd: &Herd, attributes: &AttributesBuf) {
        let coordinates = self.walker.coordinates();
        let report = Report {
            client: ClientId::new(self.name.as_bytes()).expect("the demo's names are client IDs"),
            coordinates: Coordinates::parse(coordinates.as_bytes()).expect("walkers stay on Earth"),
            stamp: Stamp::Server,
            attributes: attributes.borrow(),
        };
        let mut offers = [Offer::new(report)];
        let taken = herd.report(&REPORTER, clock::now_ns(), &mut offers);
        herd.wake(taken.expect("a client of the demo may report"));
        let (name, attributes) = (&self.name, attributes.borrow());
        let message = format_args!("{name} reports {coordinates} {attributes:?}");
        let level = if self.way == ReportWay::Note { LogLevel::Info } else { LogLevel::Debug };
        herd.log().event(level, Subject::Server, message);
    }

    async fn pause(&mut self) {
        let seconds = PACE_S * (0.5 + chance());
        sleep(Duration::from_secs_f64(seconds)).await;
        self.walker.step(seconds, &mut chance);
        self.battery -= BATTERY_USE * seconds;
        if self.battery <= 0.0 {
            self.battery = 100.0;
        }
    }
}

fn now() -> Timestamp {
    Timestamp::from_nanos(clock::now_ns()).expect("seconds have ten digits until 2286")
}

/// A random number in 0..1.
fn chance() -> f64 {
    clock::random() as f64 / u64::MAX as f64
}

/// A random number below `count`.
fn choose(count: usize) -> usize {
    ((chance() * count as f64) as usize).min(count - 1)
}
