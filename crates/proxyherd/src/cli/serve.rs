//! `proxyherd serve`: one server of the herd, in the foreground.

use std::{ffi::OsStr, io, io::Write as _};

use anyhow::Context as _;
use proxyherd_config::config::{Config, Overrides, ServerConfig};
use proxyherd_log::hear_crates;
use tokio::{runtime::Runtime, task::spawn_blocking};

use super::{ConfigArgs, ConfigurationError, SetArgs, UsageError, heading, signals::SignalRequests};
use crate::service_manager::ServiceManager;
use proxyherd_server::{
    admission::descriptors,
    server::{Rereads, Server, StartError},
};

const AFTER_HELP: &str = concat!(
    heading!("Examples"),
    "  proxyherd serve --name Riley
  proxyherd serve --config /etc/herd.toml --name Riley --set log.level=debug
  PROXYHERD_NAME=Riley PROXYHERD_LOG_FORMAT=json proxyherd serve

",
    heading!("Exit codes"),
    "  0   the server was asked to end, and has ended
  1   the server could not run
  2   the command line is wrong
  78  the configuration is wrong
",
);

/// Start one server of the herd, in the foreground
///
/// When every listener is up, the server prints one line that starts with `ready`. At SIGTERM or Ctrl-C the server
/// finishes the replies that it has begun, and ends within 10 seconds. The server reads the configuration again when
/// the file changes, and at SIGHUP. Then servers and links are added and removed, and no client is dropped. A file with
/// mistakes changes nothing, and the log says why. If the file no longer names this server, the server ends after a few
/// seconds, as at SIGTERM. With `removed = "stay"` in the file, the server continues. SIGUSR1 reopens the log file, for
/// logrotate. Under systemd (`Type=notify`, `WatchdogSec=`), the server tells the service manager that it is ready,
/// that it lives, and that it stops.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) config: ConfigArgs,

    /// The name of this server in the file
    #[arg(long, short, value_name = "SERVER", env = "PROXYHERD_NAME")]
    pub(super) name: String,

    #[command(flatten)]
    pub(super) set: SetArgs,
}

/// The runtime and the signal handlers. Both are set up before anything else, so that no early signal is lost.
pub(super) struct ServeSetup {
    runtime: Runtime,
    asked: SignalRequests,
}

impl ServeSetup {
    /// Sets up the runtime and the signal handlers if `command` is `serve`. This happens before the command line is
    /// parsed, because without handlers a signal would end the process.
    pub(super) fn of(command: Option<&OsStr>) -> Option<anyhow::Result<ServeSetup>> {
        command.is_some_and(|command| command == "serve").then(ServeSetup::new)
    }

    fn new() -> anyhow::Result<ServeSetup> {
        let runtime = super::runtime()?;
        let asked = SignalRequests::on(&runtime).context("the operating system gave no signals")?;
        Ok(ServeSetup { runtime, asked })
    }
}

/// Runs the server until it is asked to end.
pub(super) fn run(args: &Args, beginning: Option<anyhow::Result<ServeSetup>>) -> anyhow::Result<()> {
    let ServeSetup { runtime, asked } = beginning.unwrap_or_else(ServeSetup::new)?;
    let overrides = Overrides::from_process(args.set.set.iter().cloned());
    let config = super::load_with(&args.config, &overrides)?;
    let name = named(&config, &args.name)?.name.clone();
    descriptors::raise_limit();
    hear_crates();
    super::block_on_with(runtime, serve(config, overrides, name.as_str(), asked))
}

async fn serve(
    config: Config,
    overrides: Overrides,
    name: &str,
    asked: SignalRequests,
) -> anyhow::Result<()> {
    let manager = ServiceManager::connect();
    let observer = manager.clone();
    let started = tokio::select! {
        started = Server::start_observed(&config, name, move |progress| observer.starting(progress)) => started,
        () = asked.to_end.cancelled() => return Ok(()),
    };
    let server = started.map_err(|error| match error {
        StartError::Credentials(_) | StartError::Places(_) => ConfigurationError(error.to_string()).into(),
        StartError::Journal(why) if why.is_of_configuration() => ConfigurationError(why.to_string()).into(),
        _ => anyhow::Error::from(error),
    })?;
    let rereads = Rereads::default();
    let removed = server.follow(config, overrides, rereads.clone());
    // If nobody reads the output, writing may block. So the server does not wait for the write.
    let ready = format!("ready: {name} takes {}", server.addresses());
    drop(spawn_blocking(move || say(&ready)));
    manager.ready(server.herd());
    loop {
        tokio::select! {
            () = asked.to_end.cancelled() => break,
            () = removed.cancelled() => break,
            () = asked.to_reopen_log.notified() => server.herd().log().reopen(),
            () = asked.to_read_files.notified() => {
                manager.reloading();
                rereads.ask();
            }
            () = rereads.done() => manager.reloaded(),
        }
    }
    manager.stopping();
    server.stop().await;
    Ok(())
}

/// Prints a line. A failure is ignored, because the server works without its output.
fn say(line: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// The server with that name. An unknown name is a usage error.
pub(super) fn named<'c>(config: &'c Config, name: &str) -> Result<&'c ServerConfig, UsageError> {
    config.server(name).ok_or_else(|| {
        let hint = match config.nearest_server(name) {
            Some(near) => format!("did you mean {}?", near.name),
            None => {
                let names: Vec<&str> = config.servers.iter().map(|server| server.name.as_str()).collect();
                format!("it has {}", names.join(", "))
            }
        };
        UsageError(format!("{} has no server {name:?}; {hint}", config.path.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_not_in_the_herd_is_answered_with_the_nearest_or_all() {
        let config = Config::classic();
        assert_eq!(named(&config, "Riley").unwrap().name.as_str(), "Riley");
        let near = named(&config, "riley").unwrap_err().to_string();
        assert_eq!(near, "herd.toml has no server \"riley\"; did you mean Riley?");
        let all = named(&config, "Q").unwrap_err().to_string();
        assert!(all.ends_with("it has Riley, Jaquez, Juzang, Campbell, Bernard"), "{all}");
    }
}
