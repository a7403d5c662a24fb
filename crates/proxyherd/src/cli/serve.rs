//! `proxyherd serve`: one server of the herd, in the foreground.

use std::pin::pin;

use super::{ConfigArgs, ConfigurationError, SetArgs, UsageError, heading, signals};
use crate::{
    admission::descriptors,
    config::{Config, Overrides, Server as ServerConfig},
    server::{Server, StartError},
};

const AFTER_HELP: &str = concat!(
    heading!("Examples"),
    "  proxyherd serve --name Riley
  proxyherd serve --config /etc/herd.toml --name Riley --set log.level=debug
  PROXYHERD_NAME=Riley PROXYHERD_LOG_FORMAT=json proxyherd serve

",
    heading!("Exit codes"),
    "  0   it was asked to end
  1   it could not run
  2   the command line makes no sense
  78  the configuration is wrong
",
);

/// Start one server of the herd, in the foreground
///
/// When every listener is up it prints one line that starts with `ready`. SIGTERM or Ctrl-C lets the clients that
/// are being answered finish, and ends it within 10 seconds. When the file changes, or at SIGHUP, it is read again:
/// servers and links come and go, and no client is dropped; a file that is wrong changes nothing, and the log says why.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) config: ConfigArgs,

    /// Which of the file's servers this is
    #[arg(long, short, value_name = "SERVER", env = "PROXYHERD_NAME")]
    pub(super) name: String,

    #[command(flatten)]
    pub(super) set: SetArgs,
}

/// Runs the server until it is asked to end.
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let overrides = Overrides::from_process(args.set.set.iter().cloned());
    let config = super::load_with(&args.config, &overrides)?;
    let name = named(&config, &args.name)?.name.clone();
    descriptors::raise_limit();
    super::block_on(serve(config, overrides, name.as_str()))
}

async fn serve(config: Config, overrides: Overrides, name: &str) -> anyhow::Result<()> {
    let mut asked_to_end = pin!(signals::asked_to_end()?);
    let hangups = signals::hangups()?;
    let started = tokio::select! {
        started = Server::start(&config, name) => started,
        () = &mut asked_to_end => return Ok(()),
    };
    let server = started.map_err(|error| match error {
        StartError::Credentials(_) | StartError::Places(_) => ConfigurationError(error.to_string()).into(),
        _ => anyhow::Error::from(error),
    })?;
    server.follow(config, overrides, hangups);
    println!("ready: {name} takes clients at {}", server.addresses().line);
    asked_to_end.await;
    signals::end_at_once_when_asked_again()?;
    server.stop().await;
    Ok(())
}

/// The server of that name; a name that is none is a mistake of whoever typed it.
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
