//! Tests of the unit of systemd, with systemd's own checker.

use std::{fs, path::Path};

use super::{herd, text};
use crate::{
    harness::{Finished, PATIENCE, Process},
    outside::{is_installed, or_skip},
};

const UNIT: &str = "packaging/systemd/proxyherd@.service";
/// Maximum exposure that systemd may find in the unit, in tenths: from 0 (locked up) to 100. 20 is "OK".
const EXPOSURE_MAX: &str = "15";

/// The value of a key of the unit that it has once.
fn value(key: &str) -> String {
    let text = text(UNIT);
    let found: Vec<_> = text.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect();
    assert_eq!(found.len(), 1, "{key}: {found:?}");
    found[0].to_owned()
}

/// Has systemd look at the unit as Riley's. The programs of the unit are on this machine.
fn analyze(arguments: &[&str]) -> Option<Finished> {
    or_skip(is_installed("systemd-analyze"), "there is no systemd-analyze; ./test tools installs it")?;
    let dir = tempfile::tempdir().unwrap();
    let unit = text(UNIT).replace("/usr/bin/proxyherd", env!("CARGO_BIN_EXE_proxyherd"));
    fs::write(dir.path().join("proxyherd@Riley.service"), unit).unwrap();
    let line = [arguments, &["./proxyherd@Riley.service"]].concat();
    Some(Process::other(dir.path(), Path::new("systemd-analyze"), &line).wait(PATIENCE))
}

#[test]
fn systemd_finds_no_mistake_in_the_unit() {
    let Some(verified) = analyze(&["verify", "--man=no"]) else { return };
    assert_eq!((verified.code, verified.out + &verified.err), (0, String::new()));
}

#[test]
fn systemd_finds_the_unit_hardened() {
    let Some(found) =
        analyze(&["security", "--no-pager", "--offline=yes", &format!("--threshold={EXPOSURE_MAX}")])
    else {
        return;
    };
    assert_eq!(found.code, 0, "{}{}", found.out, found.err);
    assert!(found.out.contains("Overall exposure level"), "{}", found.out);
}

#[test]
fn the_unit_fits_the_program_and_the_configuration_of_the_package() {
    let command = value("ExecStart").replace("%i", "Riley");
    let words: Vec<String> = command.split(' ').map(str::to_owned).collect();
    assert_eq!(words[0], "/usr/bin/proxyherd");
    super::check_command(&words[1..]);
    assert_eq!(words[2..], ["--config", "/etc/proxyherd/herd.toml", "--name", "Riley"]);
    // `service_manager` tests what the server tells, and `stopping` that a stop takes at most ten seconds.
    assert_eq!(value("Type"), "notify");
    assert!(
        value("WatchdogSec").parse::<u32>().unwrap() >= 10,
        "the server's own watchdog takes five seconds"
    );
    assert!(value("TimeoutStopSec").parse::<u32>().unwrap() > 10);
    assert_eq!(value("RestartPreventExitStatus"), "2 78");
    let herd = herd("packaging/debian/herd.toml");
    for (dir, allowed) in
        [(&herd.herd.data, value("StateDirectory")), (&herd.log.dir, value("LogsDirectory"))]
    {
        assert_eq!(dir.file_name().unwrap().to_str(), Some(allowed.as_str()));
    }
    assert_eq!(herd.herd.data.parent(), Some(Path::new("/var/lib")));
    assert_eq!(herd.log.dir.parent(), Some(Path::new("/var/log")));
}
