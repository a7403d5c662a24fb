//! A reader who runs a herd: Riley, Jaquez and Juzang, with certificates, tokens, a journal, and doors with TLS.
//!
//! `systemctl` in the texts is a script that stands in for systemd (`systemctl.sh`). So the texts can show the commands
//! that an operator types. The files of the herd are in the folder in which lines are typed, which stands in for
//! /etc/proxyherd, too. `herd.example.org` is Riley.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{OpenOptionsExt as _, symlink},
    path::Path,
};

use super::Shell;
use crate::harness::{Addresses, Herd, NAMES, OPERATOR_TOKEN, PATIENCE, Plan, Process, free_ports};

/// The servers of the herd. The texts name no others where they show a herd of one's own.
const SERVERS: [&str; 3] = [NAMES[0], NAMES[1], NAMES[2]];

/// Makes the certificate of the doors.
const CERTIFICATE: &str = "mkdir tls && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
    -days 90 -keyout tls/privkey.pem -out tls/fullchain.pem -subj /CN=herd.example.org \
    -addext subjectAltName=DNS:herd.example.org,IP:127.0.0.1";

/// A running herd, and the shell of its operator.
pub(super) struct Owner {
    herd: Herd,
    shell: Shell,
}

impl Owner {
    pub(super) fn new() -> Owner {
        let plan =
            Plan::classic().without_server("Campbell").without_server("Bernard").with_phones().encrypted();
        let plan = plan.with_link("Jaquez", "Juzang").with_tokens().herd("journal = true");
        let herd = plan.prepare();
        let dir = herd.dir();
        symlink(env!("CARGO_BIN_EXE_proxyherd"), dir.join("proxyherd")).unwrap();
        write(&dir.join("systemctl"), include_str!("systemctl.sh"), 0o700);
        write(&dir.join("operator.token"), &format!("{OPERATOR_TOKEN}\n"), 0o600);
        let made = Process::bash(dir, CERTIFICATE).wait(PATIENCE);
        assert_eq!(made.code, 0, "{made:?}");
        let [http, phones] = with_tls(&herd);
        // curl finds the host of the texts at these ports, and trusts its certificate.
        let connect = format!(
            "connect-to = herd.example.org:443:{http}\nconnect-to = herd.example.org:5055:{phones}\n"
        );
        write(
            &dir.join(".curlrc"),
            &format!("{connect}cacert = {}/tls/fullchain.pem\n", dir.display()),
            0o600,
        );

        let mut addresses = Vec::new();
        for (index, name) in SERVERS.iter().enumerate() {
            let Addresses { line, http, .. } = herd.at(name);
            addresses.push((format!("127.0.0.1:{}", 12000 + index), line.to_string()));
            addresses.push((format!("127.0.0.1:{}", 8000 + index), http.to_string()));
        }
        let shell = Shell::new(dir, &addresses).with("/etc/proxyherd", dir.to_str().unwrap());
        let owner = Owner { herd, shell };
        let units = SERVERS.map(|name| format!("proxyherd@{name}")).join(" ");
        let started = Process::bash(owner.herd.dir(), &format!("./systemctl start {units}")).wait(PATIENCE);
        assert_eq!(started.code, 0, "{started:?}");
        owner
    }

    pub(super) fn shell(&self) -> &Shell {
        &self.shell
    }
}

impl Drop for Owner {
    /// The servers are children of shells that have ended.
    fn drop(&mut self) {
        let _ = Process::bash(self.herd.dir(), "kill -KILL $(cat *.pid)").wait(PATIENCE);
    }
}

/// Writes a file with this mode.
fn write(path: &Path, text: &str, mode: u32) {
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(mode).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// Gives Riley doors with TLS, and returns the addresses of `http` and `phones` with TLS.
fn with_tls(herd: &Herd) -> [String; 2] {
    let [http, phones] = [free_ports(1)[0], free_ports(1)[0]].map(|port| format!("127.0.0.1:{port}"));
    let at = herd.at("Riley");
    let text = herd.text();
    let text = text
        .replace(&format!("http = \"{}\"", at.http), &format!("http = [\"{}\", \"tls://{http}\"]", at.http));
    let text = text.replace(&format!("phones = \"{}\"", at.phones), &format!("phones = \"tls://{phones}\""));
    let tls = "[tls]\ncert = \"tls/fullchain.pem\"\nkey = \"tls/privkey.pem\"\n\n";
    let text = text.replacen("[limits]\n", &format!("{tls}[limits]\n"), 1);
    herd.write_file("herd.toml", &text);
    [http, phones]
}
