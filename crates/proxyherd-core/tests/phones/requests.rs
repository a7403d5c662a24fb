//! Requests of phone apps, as their published sources make them, and the reports that a server reads in them. Each
//! request names the repository and the files that make it. Tests of several crates include this file with `#[path]`.

/// A request of an app.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    /// The app, its version, and what is special about the request.
    pub(crate) app: &'static str,
    /// The repository and the files that make the request.
    pub(crate) source: &'static str,
    /// `GET` or `POST`.
    pub(crate) method: &'static str,
    /// The path, and the query.
    pub(crate) target: &'static str,
    /// Headers without those that every client sends. No header has a password or a token.
    pub(crate) headers: &'static [(&'static str, &'static str)],
    /// The body, which may be empty.
    pub(crate) body: &'static str,
    /// The reports that the request makes, in their order.
    pub(crate) reports: &'static [Report],
    /// A part of the message with which the request is refused. Empty: the request is taken.
    pub(crate) refused: &'static str,
}

/// A report as a server reads it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Report {
    /// The client's ID. Empty: the request has none, so the name of the token would be the ID.
    pub(crate) id: &'static str,
    /// Latitude and longitude as in the line protocol.
    pub(crate) coordinates: &'static str,
    /// The time as in the line protocol. Empty: the server's clock.
    pub(crate) time: &'static str,
    /// All attributes as a JSON object, sorted by name.
    pub(crate) attributes: &'static str,
}

const JSON: (&str, &str) = ("Content-Type", "application/json");
const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8");

/// A `POST` that is taken.
const POST: Request = Request {
    app: "",
    source: "",
    method: "POST",
    target: "/",
    headers: &[JSON],
    body: "",
    reports: &[],
    refused: "",
};

const OWNTRACKS_ANDROID: &str = "owntracks/android v2.6.0: project/app/src/main/java/org/owntracks/android/\
    model/messages/MessageLocation.kt, net/http/HttpMessageProcessorEndpoint.kt, services/LocationProcessor.kt";
const OWNTRACKS_ANDROID_HEADERS: &[(&str, &str)] = &[
    ("Content-Type", "application/json; charset=utf-8"),
    ("User-Agent", "Owntracks-Android/gms/420600000"),
    ("X-Limit-U", "jane"),
    ("X-Limit-D", "phone"),
];
const OWNTRACKS_IOS: &str =
    "owntracks/ios 26.3.1: OwnTracks/OwnTracks/OwnTracking.m, OwnTracks/OwnTracks/Connection.m";
const OVERLAND: &str = "aaronpk/Overland-iOS: README.md, GPSLogger/GLManager.m";
const TRACCAR_9: &str = "traccar/traccar-client v9.7.20: lib/preferences.dart, lib/geolocation_service.dart";
const TRACCAR_10: &str = "traccar/traccar-client v10.1.0: lib/preferences.dart, with traccar/traccar-client-sdk: \
    core/src/commonMain/kotlin/org/traccar/client/HttpUploader.kt";
const GPSLOGGER: &str = "mendhak/gpslogger v136: gpslogger/src/main/java/com/mendhak/gpslogger/senders/customurl/\
    CustomUrlManager.java, loggers/customurl/CustomUrlRequest.java, loggers/customurl/CustomUrlWorker.java";

/// All requests.
pub(crate) const REQUESTS: &[Request] = &[
    Request {
        app: "OwnTracks for Android 2.6.0 with extended data",
        source: OWNTRACKS_ANDROID,
        target: "/pub",
        headers: OWNTRACKS_ANDROID_HEADERS,
        body: r#"{"_type":"location","topic":"owntracks/jane/phone","qos":1,"retained":true,"created_at":1748779203,"_id":"5f3c9a1b","source":"fused","t":"u","batt":76,"bs":1,"acc":12,"vac":3,"lat":48.8583701,"lon":2.2944813,"alt":84,"vel":5,"cog":271,"tst":1748779200,"m":1,"conn":"w","inregions":["Home","Garage"],"BSSID":"00:11:22:33:44:55","SSID":"home","tid":"JJ"}"#,
        reports: &[Report {
            id: "jane/phone",
            coordinates: "+48.8583701+2.2944813",
            time: "1748779200",
            attributes: r#"{"accuracy_m":12,"altitude_m":84,"battery_pct":76,"battery_state":"unplugged","connection":"wifi","heading_deg":271,"regions":"Home,Garage","speed_mps":1.389,"tid":"JJ","trigger":"u","vertical_accuracy_m":3}"#,
        }],
        ..POST
    },
    Request {
        app: "OwnTracks for Android 2.6.0, a fix of the network without extended data",
        source: OWNTRACKS_ANDROID,
        target: "/pub?u=jane&d=tablet",
        headers: &[("Content-Type", "application/json; charset=utf-8")],
        body: r#"{"_type":"location","topic":"owntracks/user/a1b2c3","qos":1,"retained":true,"created_at":1748779300,"_id":"0a1b2c3d","lat":-33.8567844,"lon":151.2152967,"tst":1748779300,"inregions":[],"tid":"c3"}"#,
        reports: &[Report {
            id: "jane/tablet",
            coordinates: "-33.8567844+151.2152967",
            time: "1748779300",
            attributes: r#"{"tid":"c3"}"#,
        }],
        ..POST
    },
    Request {
        app: "OwnTracks for Android 2.6.0, a transition",
        source: "owntracks/android v2.6.0: project/app/src/main/java/org/owntracks/android/model/messages/\
            MessageTransition.kt",
        headers: OWNTRACKS_ANDROID_HEADERS,
        body: r#"{"_type":"transition","topic":"owntracks/jane/phone/event","qos":1,"_id":"77aa0011","event":"enter","desc":"Home","tid":"JJ","t":"l","tst":1748779210,"wtst":1748000000,"acc":12,"lon":2.2944813,"lat":48.8583701}"#,
        ..POST
    },
    Request {
        app: "OwnTracks for Android 2.6.0, its status",
        source: "owntracks/android v2.6.0: project/app/src/main/java/org/owntracks/android/model/messages/\
            MessageStatus.kt",
        headers: OWNTRACKS_ANDROID_HEADERS,
        body: r#"{"_type":"status","topic":"owntracks/jane/phone/status","qos":1,"_id":"01020304","android":{"wifi":1,"bo":1,"loc":2}}"#,
        ..POST
    },
    Request {
        app: "OwnTracks, the message without contents that clears a friend",
        source: "owntracks/booklet: docs/tech/http.md",
        headers: OWNTRACKS_ANDROID_HEADERS,
        ..POST
    },
    Request {
        app: "OwnTracks for Android 2.6.0 with an encryption key",
        source: "owntracks/android v2.6.0: project/app/src/main/java/org/owntracks/android/model/Parser.kt, \
            model/messages/MessageEncrypted.kt",
        headers: OWNTRACKS_ANDROID_HEADERS,
        body: r#"{"_type":"encrypted","_id":"ab12cd34","data":"c29tZXRoaW5nIHNlY3JldCwgYXMgYmFzZTY0"}"#,
        refused: "remove the encryption key in the app's preferences",
        ..POST
    },
    Request {
        app: "OwnTracks for iOS 26.3.1 with a point of interest, and no user or device",
        source: OWNTRACKS_IOS,
        target: "/",
        headers: &[JSON, ("X-Limit-U", "user"), ("X-Limit-D", "device")],
        body: r#"{"motionactivities":["automotive","stationary"],"m":2,"acc":5,"bs":2,"p":101.325,"vel":0,"vac":4,"topic":"owntracks\/user\/device","t":"u","conn":"m","tst":1748779500,"batt":100,"inregions":["Home"],"alt":35,"lon":-0.127758,"tid":"CE","_type":"location","lat":51.507351,"poi":"Trafalgar Square","tag":"tour","created_at":1748779502,"ssid":"home"}"#,
        reports: &[Report {
            id: "user/device",
            coordinates: "+51.507351-0.127758",
            time: "1748779500",
            attributes: r#"{"accuracy_m":5,"altitude_m":35,"battery_pct":100,"battery_state":"charging","connection":"mobile","motion":"automotive,stationary","note":"Trafalgar Square","regions":"Home","speed_mps":0,"tag":"tour","tid":"CE","trigger":"u","vertical_accuracy_m":4}"#,
        }],
        ..POST
    },
    Request {
        app: "OwnTracks for iOS 26.3.1, a waypoint",
        source: OWNTRACKS_IOS,
        headers: &[JSON, ("X-Limit-U", "jane"), ("X-Limit-D", "iphone")],
        body: r#"{"_type":"waypoint","desc":"Home","lat":51.5,"lon":-0.1,"rad":100,"tst":1700000000,"topic":"owntracks\/jane\/iphone\/waypoint"}"#,
        ..POST
    },
    Request {
        app: "Traccar Client 9.7.20 on Android",
        source: TRACCAR_9,
        body: r#"{"location":{"timestamp":"2025-06-01T12:10:00.123Z","coords":{"latitude":52.5200066,"longitude":13.4049540,"accuracy":14.2,"speed":3.61,"heading":182.4,"altitude":81.5},"is_moving":true,"odometer":1234.5,"event":"motionchange","battery":{"level":0.83,"is_charging":false},"activity":{"type":"on_foot"},"extras":{},"_":"&id=12345678&lat=52.5200066&lon=13.4049540&timestamp=2025-06-01T12:10:00.123Z&"},"device_id":"12345678"}"#,
        reports: &[Report {
            id: "12345678",
            coordinates: "+52.5200066+13.404954",
            time: "1748779800.123",
            attributes: r#"{"accuracy_m":14.2,"activity":"on_foot","altitude_m":81.5,"battery_pct":83,"battery_state":"unplugged","event":"motionchange","heading_deg":182.4,"moving":"true","odometer_m":1234.5,"speed_mps":3.61}"#,
        }],
        ..POST
    },
    Request {
        app: "Traccar Client 9.7.20 on iOS, a call for help while much is unknown",
        source: TRACCAR_9,
        body: r#"{"device_id":"12345678","location":{"timestamp":"2025-06-01T12:11:00.000Z","coords":{"latitude":52.52,"longitude":13.405,"accuracy":20,"speed":-1,"heading":-1,"altitude":0},"is_moving":false,"odometer":0,"event":"","battery":{"level":-1,"is_charging":true},"activity":{"type":"still"},"extras":{"alarm":"sos"},"_":"&id=12345678&lat=52.52&lon=13.405&timestamp=2025-06-01T12:11:00.000Z&"}}"#,
        reports: &[Report {
            id: "12345678",
            coordinates: "+52.52+13.405",
            time: "1748779860.000",
            attributes: r#"{"accuracy_m":20,"activity":"still","alarm":"sos","altitude_m":0,"battery_state":"charging","moving":"false","odometer_m":0}"#,
        }],
        ..POST
    },
    Request {
        app: "Traccar Client 10.1.0",
        source: TRACCAR_10,
        headers: &[FORM],
        body: "id=87654321&lat=40.6892494&lon=-74.0445004&timestamp=1748779900&accuracy=9.5&altitude=12.1\
            &speed=2.72&bearing=45.0&batt=55&charge=false",
        reports: &[Report {
            id: "87654321",
            coordinates: "+40.6892494-74.0445004",
            time: "1748779900",
            attributes: r#"{"accuracy_m":9.5,"altitude_m":12.1,"battery_pct":55,"battery_state":"unplugged","heading_deg":45.0,"speed_mps":1.399}"#,
        }],
        ..POST
    },
    Request {
        app: "Traccar Client 10.1.0, a heartbeat without a position",
        source: TRACCAR_10,
        headers: &[FORM],
        body: "id=87654321&timestamp=1748779960&batt=54&charge=true",
        ..POST
    },
    Request {
        app: "Traccar Client 8 for Android, whose POST has a query and no body",
        source: "traccar/traccar-client-android: app/src/main/java/org/traccar/client/ProtocolFormatter.kt, \
            Position.kt, RequestManager.kt",
        target: "/?id=24680246&timestamp=1748780000&lat=-22.951916&lon=-43.2104872&speed=5.831532&bearing=0.0\
            &altitude=709.0&accuracy=0.0&batt=41.0&charge=true&alarm=sos",
        headers: &[],
        reports: &[Report {
            id: "24680246",
            coordinates: "-22.951916-43.2104872",
            time: "1748780000",
            attributes: r#"{"alarm":"sos","altitude_m":709.0,"battery_pct":41.0,"battery_state":"charging","heading_deg":0.0,"speed_mps":3}"#,
        }],
        ..POST
    },
    Request {
        app: "OsmAnd with the address in book/src/phones/osmand.md",
        source: "osmandapp/OsmAnd: OsmAnd/src/net/osmand/plus/plugins/monitoring/LiveMonitoringHelper.java",
        method: "GET",
        target: "/?id=jane&lat=48.85837&lon=2.294481&timestamp=1748780100456&accuracy=4.5&altitude=84.2&speed_mps=1.25\
            &bearing=271.5",
        headers: &[],
        reports: &[Report {
            id: "jane",
            coordinates: "+48.85837+2.294481",
            time: "1748780100.456",
            attributes: r#"{"accuracy_m":4.5,"altitude_m":84.2,"heading_deg":271.5,"speed_mps":1.25}"#,
        }],
        ..POST
    },
    Request {
        app: "GPSLogger 136 with the URL in book/src/phones/gpslogger.md",
        source: GPSLOGGER,
        method: "GET",
        target: "/?id=jane&lat=35.6894875&lon=139.6917064&timestamp=1748780200&accuracy=3.9&speed_mps=0.0&bearing=0.0\
            &altitude=40.0&batt=91.0&charge=false&sat=17&hdop=0.7&note=on+my+way%21",
        headers: &[],
        reports: &[Report {
            id: "jane",
            coordinates: "+35.6894875+139.6917064",
            time: "1748780200",
            attributes: r#"{"accuracy_m":3.9,"altitude_m":40.0,"battery_pct":91.0,"battery_state":"unplugged","hdop":0.7,"heading_deg":0.0,"note":"on my way!","satellites":17,"speed_mps":0.0}"#,
        }],
        ..POST
    },
    Request {
        app: "GPSLogger 136 with the same in its body, which has no Content-Type",
        source: GPSLOGGER,
        headers: &[],
        body: "id=jane&lat=35.68&lon=139.69&timestamp=2025-06-01T21%3A17%3A00.000%2B09%3A00&accuracy=3.9&hdop=&note=",
        reports: &[Report {
            id: "jane",
            coordinates: "+35.68+139.69",
            time: "1748780220.000",
            attributes: r#"{"accuracy_m":3.9}"#,
        }],
        ..POST
    },
    Request {
        app: "Overland, a batch with a trip, a visit, an event of the app, and the newest position",
        source: OVERLAND,
        body: r#"{"locations":[{"type":"Feature","geometry":{"type":"Point","coordinates":[-122.6764816,45.5230622]},"properties":{"timestamp":"2025-06-01T12:20:00Z","altitude":15,"speed":4,"course":90,"horizontal_accuracy":30,"vertical_accuracy":5,"speed_accuracy":0.52,"course_accuracy":8.3,"motion":["driving","stationary"],"device_id":"jane-iphone","wifi":"","battery_state":"charging","battery_level":0.8,"trip_id":"2025-06-01T12:00:00Z"}},{"type":"Feature","geometry":{"type":"Point","coordinates":[-122.7,45.5]},"properties":{"timestamp":"2025-06-01T12:25:00Z","action":"visit","arrival_date":"2025-06-01T12:00:00Z","departure_date":null,"horizontal_accuracy":40,"device_id":"jane-iphone","battery_state":"charging","battery_level":0.8}},{"type":"Feature","properties":{"timestamp":"2025-06-01T12:26:00Z","action":"paused_location_updates","device_id":"jane-iphone"}},{"type":"Feature","geometry":{"type":"Point","coordinates":[-122.6764816,45.5231]},"properties":{"timestamp":"2025-06-01T12:27:00Z","type":"trip","mode":"car","distance":1200.5,"device_id":"jane-iphone"}},{"type":"Feature","geometry":{"type":"Point","coordinates":[-122.6764,45.5231]},"properties":{"timestamp":"2025-06-01T12:21:00Z","altitude":16,"speed":-1,"course":-1,"horizontal_accuracy":10,"vertical_accuracy":-1,"speed_accuracy":-1,"course_accuracy":-1,"motion":[],"device_id":"jane-iphone","battery_state":"unknown","battery_level":-1}}],"current":{"type":"Feature","geometry":{"type":"Point","coordinates":[-122.67,45.53]},"properties":{"timestamp":"2025-06-01T13:00:00Z","altitude":20,"speed":0,"course":0,"horizontal_accuracy":5,"vertical_accuracy":3,"speed_accuracy":0.1,"course_accuracy":1,"motion":["stationary"],"device_id":"jane-iphone","wifi":"home","battery_state":"full","battery_level":1}},"trip":{"mode":"car","start":"2025-06-01T12:00:00Z","distance":1200.5,"start_location":null,"current_location":null}}"#,
        reports: &[
            Report {
                id: "jane-iphone",
                coordinates: "+45.5230622-122.6764816",
                time: "1748780400",
                attributes: r#"{"accuracy_m":30,"altitude_m":15,"battery_pct":80,"battery_state":"charging","heading_accuracy_deg":8.3,"heading_deg":90,"motion":"driving,stationary","speed_accuracy_mps":0.52,"speed_mps":4,"vertical_accuracy_m":5}"#,
            },
            Report {
                id: "jane-iphone",
                coordinates: "+45.5231-122.6764",
                time: "1748780460",
                attributes: r#"{"accuracy_m":10,"altitude_m":16}"#,
            },
            Report {
                id: "jane-iphone",
                coordinates: "+45.53-122.67",
                time: "1748782800",
                attributes: r#"{"accuracy_m":5,"altitude_m":20,"battery_pct":100,"battery_state":"full","heading_accuracy_deg":1,"heading_deg":0,"motion":"stationary","speed_accuracy_mps":0.1,"speed_mps":0,"vertical_accuracy_m":3}"#,
            },
        ],
        ..POST
    },
    Request {
        app: "Overland without a device ID, in the form of its documentation",
        source: OVERLAND,
        body: r#"{"locations":[{"type":"Feature","geometry":{"type":"Point","coordinates":[-122.030581,37.331800]},"properties":{"timestamp":"2015-10-01T08:00:00-0700","altitude":0,"speed":4,"horizontal_accuracy":30,"vertical_accuracy":-1,"motion":["driving","stationary"],"pauses":false,"activity":"other_navigation","desired_accuracy":100,"deferred":1000,"significant_change":"disabled","locations_in_payload":1,"battery_state":"charging","battery_level":0.80,"device_id":"","wifi":""}}]}"#,
        reports: &[Report {
            id: "",
            coordinates: "+37.3318-122.030581",
            time: "1443711600",
            attributes: r#"{"accuracy_m":30,"altitude_m":0,"battery_pct":80,"battery_state":"charging","motion":"driving,stationary","speed_mps":4}"#,
        }],
        ..POST
    },
];
