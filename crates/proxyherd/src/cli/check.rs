//! `proxyherd check`: finds mistakes in a configuration, and in the certificates, keys and files that it names.

use std::{io::Write as _, iter::once, path::Path};

use anstyle::{AnsiColor, Style};
use proxyherd_config::{
    clock,
    config::{Config, ServerConfig, Tls, Tokens},
    credentials::{CredentialsError, Finding, Reread as _, audit, audit_operator_token, date, expiry},
};
use proxyherd_core::types::ServerName;
use proxyherd_log::{ServerLog, refusal};

use super::{
    ConfigArgs, ConfigurationError, SetArgs, heading,
    outcome::{self, counted},
    serve,
};
use proxyherd_server::{door::entrance::DoorTls, listen, places, server::open_tls};

const AFTER_HELP: &str = concat!(
    heading!("Examples"),
    "  proxyherd check
  proxyherd check --config /etc/herd.toml --set log.level=debug
  proxyherd check --name Riley    on Riley's machine: can it start here?

",
    heading!("Exit codes"),
    "  0   a herd can run with the configuration
  2   the command line is wrong
  78  the configuration is wrong
",
);

const FINE: Style = AnsiColor::BrightGreen.on_default().bold();

/// Say what is wrong with a configuration, by key and line
///
/// The command reports all mistakes, not only the first one. Like `serve`, it applies PROXYHERD_* variables and --set
/// first. It also checks the certificates on this machine, including those that `[tls]` names, and operator.token if
/// that file is beside the configuration. With --name, it checks
/// whether that server can start on this machine. It then checks the server's certificate and key, the keys and files
/// of its providers of places, its addresses (each is opened for a moment), its log and its data.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,

    /// The server of the file that will run here
    #[arg(long, short, value_name = "SERVER", env = "PROXYHERD_NAME")]
    name: Option<String>,

    #[command(flatten)]
    set: SetArgs,
}

/// Checks the configuration and the files that it names. Changes nothing.
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let config = super::load(&args.config, &args.set.set)?;
    let name = args.name.as_deref().map(|name| serve::named(&config, name)).transpose()?;
    let mut findings = check_certificates(&config, name.map(|server| &server.name));
    let doors = check_tls(&config, name, clock::now_s());
    findings.extend(doors.findings);
    findings.extend(check_operator_token(&config));
    if let Some(server) = name {
        findings.extend(check_places(&config));
        findings.extend(check_addresses(server));
        findings.extend(check_files(&config, server));
    }
    let errors = outcome::show_findings(&findings);
    if errors > 0 {
        let message = format!("{}: {} in what it names", config.path.display(), counted(errors, "error"));
        return Err(ConfigurationError(message).into());
    }
    let warnings = config.warnings.len() + findings.len();
    // A warning may be about an address that the server needs.
    let startable = name.filter(|_| warnings == 0).map(|server| &server.name);
    let summary = summary(&config, doors.not_after_s, startable, warnings);
    writeln!(anstream::stdout(), "{}: {FINE}fine{FINE:#}, {summary}", config.path.display())?;
    Ok(())
}

/// Checks certificates. Servers without a `peer` address need none.
fn check_certificates(config: &Config, insisted: Option<&ServerName>) -> Vec<Finding> {
    let servers: Vec<_> = config.servers.iter().filter(|server| server.peer.is_some()).collect();
    let names: Vec<&ServerName> = servers.iter().map(|server| &server.name).collect();
    match &config.herd.tls {
        Tls::Certs(dir) if !names.is_empty() => audit(dir, &names, insisted, clock::now_s()),
        _ => Vec::new(),
    }
}

/// Checks operator.token, if it is beside the configuration.
fn check_operator_token(config: &Config) -> Vec<Finding> {
    let access = &config.access;
    audit_operator_token(&config.path, access.operator_token_sha256, access.tokens == Tokens::On)
}

/// The result of checking the doors' certificate.
#[derive(Default)]
struct CheckedTls {
    findings: Vec<Finding>,
    /// The time at which the certificate expires. `None` if the certificate could not be read.
    not_after_s: Option<i64>,
}

/// Reads the files that `[tls]` names, if a door of `insisted` speaks TLS. Without `insisted`, it reads them if a door
/// of any server speaks TLS. In this case missing files are only a warning, because they may be on the servers'
/// machines.
fn check_tls(config: &Config, insisted: Option<&ServerConfig>, now_s: i64) -> CheckedTls {
    let mut servers =
        config.servers.iter().filter(|server| insisted.is_none_or(|one| one.name == server.name));
    let Some(server) = servers.find(|server| server.doors.iter().any(|door| door.tls)) else {
        return CheckedTls::default();
    };
    let (findings, not_after_s) = match open_tls(config, server) {
        Ok(Some(tls)) => (soon(config, &tls, now_s).into_iter().collect(), Some(tls.in_use().not_after_s())),
        Ok(None) => (Vec::new(), None),
        Err(error @ CredentialsError::Missing { .. }) if insisted.is_none() => {
            let where_else = "; on the machine of a server, `check --name` requires the file";
            (vec![Finding::Warning(format!("{error}{where_else}"))], None)
        }
        Err(error) => (vec![Finding::Error(error.to_string())], None),
    };
    CheckedTls { findings, not_after_s }
}

/// A finding if the doors' certificate expires soon or has expired.
fn soon(config: &Config, tls: &DoorTls, now_s: i64) -> Option<Finding> {
    let path = config.tls.as_ref().map_or(Path::new(""), |files| &files.cert);
    expiry(path, tls.in_use().not_after_s(), now_s, "put a new certificate there, with its key")
}

/// Checks the keys and indexes of the providers of places. No server starts without them.
fn check_places(config: &Config) -> impl Iterator<Item = Finding> {
    let settings = &config.places;
    let names = once(settings.provider).chain(settings.fallback.iter().copied());
    names
        .filter_map(move |name| places::check(name, settings).err())
        .map(|error| Finding::Error(error.to_string()))
}

/// Checks the addresses. An address in use is a warning, because the server itself may be running.
fn check_addresses(server: &ServerConfig) -> impl Iterator<Item = Finding> {
    let doors = server.doors.iter().map(|door| (&door.address, door.kind.key()));
    let addresses = doors.chain(server.peer.iter().map(|peer| (peer, "peer")));
    addresses.filter_map(|(address, key)| {
        let error = listen::check(address, key, server.name.as_str()).err()?;
        let told = error.to_string();
        Some(if error.is_in_use() { Finding::Warning(told) } else { Finding::Error(told) })
    })
}

/// Checks that the server can write its log. If there is a places budget or a journal, the server must also be able to
/// write into its own directory of `data`.
fn check_files(config: &Config, server: &ServerConfig) -> impl Iterator<Item = Finding> {
    let log = ServerLog::check(&config.log, &server.name).err().map(|error| error.to_string());
    let has_budget = config.places_budget.per_day > 0 || config.places_budget.per_month > 0;
    let needs_data = has_budget || server.durability.journal;
    let data = config.herd.data.join(server.name.as_str());
    let refused = needs_data.then(|| refusal::check_writable(&data).err()).flatten();
    let data = refused.map(|error| {
        let advice = refusal::advice(&data, &error, "or set `data` in [herd] to another directory");
        format!("cannot write into {}: {error}; {advice}", data.display())
    });
    log.into_iter().chain(data).map(Finding::Error)
}

fn summary(
    config: &Config,
    doors_not_after_s: Option<i64>,
    startable: Option<&ServerName>,
    warnings: usize,
) -> String {
    let ends: usize = config.servers.iter().map(|server| config.links_of(&server.name).len()).sum();
    let doors = doors_not_after_s.map(date);
    let doors =
        doors.map_or(String::new(), |date| format!("; the certificate of the doors expires on {date}"));
    let can_start = startable.map_or(String::new(), |server| format!("; {server} can start here"));
    let warnings = match warnings {
        0 => String::new(),
        count => format!("; {}", counted(count, "warning")),
    };
    format!(
        "herd {:?} of {} and {}{doors}{can_start}{warnings}",
        config.herd.id,
        counted(config.servers.len(), "server"),
        counted(ends / 2, "link")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_counts_each_link_once() {
        assert_eq!(summary(&Config::classic(), None, None, 0), "herd \"herd\" of 5 servers and 6 links");
    }

    #[test]
    fn the_summary_names_the_server_that_can_start_here() {
        let config = Config::classic();
        let said = summary(&config, None, Some(&config.servers[0].name), 0);
        assert_eq!(said, "herd \"herd\" of 5 servers and 6 links; Riley can start here");
    }
}
