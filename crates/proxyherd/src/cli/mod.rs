//! The command line: commands and their arguments, help texts, and exit codes.
//!
//! Each command has one file, with its arguments and a `run`. The work is done in other modules. The file of a command
//! calls these modules, and turns the result into text and an exit code.

mod check;
mod client;
mod completions;
mod data;
mod demo;
mod health;
mod init;
mod man;
mod outcome;
mod places;
mod serve;
mod signals;
mod status;
mod token;
mod top;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser, Subcommand};
use proxyherd_commands::{
    command_token::{CommandToken, InTheClear},
    usage_error::UsageError,
};
use proxyherd_config::config::{Config, LoadError, Overrides};
use tokio::runtime::Runtime;

/// A heading of a help text, styled as clap's own headings. Without colors clap removes the style.
macro_rules! heading {
    ($text:literal) => {
        concat!("\x1b[1m\x1b[4m", $text, ":\x1b[0m\n")
    };
}
use heading;

const AFTER_HELP: &str = concat!(
    heading!("Examples"),
    "  proxyherd demo                                    a herd to try
  proxyherd client                                  talk to a running herd
  proxyherd init && proxyherd serve --name Riley    a herd of your own

",
    heading!("Environment"),
    "  PROXYHERD_CONFIG           stands in for --config
  PROXYHERD_NAME             stands in for --name
  PROXYHERD_TOKEN            a token for client, status, top and token
  PROXYHERD_<SECTION>_<KEY>  sets a value, such as PROXYHERD_LOG_LEVEL=debug
  NO_COLOR                   no colors, not even on a terminal

",
    heading!("Exit codes"),
    "  0   the command has succeeded
  1   something failed while running
  2   the command line is wrong
  78  the configuration is wrong; nothing was started
",
);

/// A herd of application servers for clients that move
///
/// Clients tell any server where they are, and ask any server where a client is, who is near, and which places are
/// near: over HTTP, or by lines of text (IAMAT, WHATSAT). The servers send each other all reports, so every server can
/// answer for all clients. Tokens say who may do what.
#[derive(Debug, Parser)]
#[command(name = "proxyherd", version, after_help = AFTER_HELP, max_term_width = 110)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Args),
    Serve(serve::Args),
    Init(init::Args),
    Check(check::Args),
    Client(client::Args),
    Status(status::Args),
    Top(top::Args),
    Health(health::Args),
    Token(token::Args),
    Places(places::Args),
    Data(data::Args),
    Completions(completions::Args),
    Man(man::Args),
}

/// The configuration, for the commands that need one.
#[derive(Debug, clap::Args)]
struct ConfigArgs {
    /// The file that describes the herd
    #[arg(long, short, value_name = "FILE", env = "PROXYHERD_CONFIG", default_value = ConfigArgs::USUAL)]
    config: PathBuf,
}

impl ConfigArgs {
    /// The name of the file if the command line names no file.
    const USUAL: &str = "herd.toml";
}

/// The herd, for the commands that talk to a running herd.
#[derive(Debug, clap::Args)]
struct HerdArgs {
    /// The file that describes the herd; by default herd.toml if it exists here, and otherwise the herd of `proxyherd
    /// demo`
    #[arg(long, short, value_name = "FILE", env = "PROXYHERD_CONFIG")]
    config: Option<PathBuf>,
}

impl HerdArgs {
    /// The herd of the named file. If no file is named, the herd of herd.toml in the current directory. Without such a
    /// file, the classic herd.
    fn herd(&self) -> Result<Config, LoadError> {
        match self.path() {
            Some(path) => load(&ConfigArgs { config: path.to_owned() }, &[]),
            None => Ok(Config::classic()),
        }
    }

    /// Whether no file is named and the current directory has no herd.toml.
    fn is_classic(&self) -> bool {
        self.path().is_none()
    }

    fn path(&self) -> Option<&Path> {
        let usual = Path::new(ConfigArgs::USUAL);
        self.config.as_deref().or_else(|| usual.exists().then_some(usual))
    }
}

/// Settings of the configuration on the command line.
#[derive(Debug, clap::Args)]
struct SetArgs {
    /// Set one value of [herd], [places], [tls], [access], [limits], [reports] or [log], such as log.level=debug;
    /// repeatable
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

/// Which token is shown, and to which servers it may be shown, for the commands that show one.
#[derive(Debug, clap::Args)]
struct TokenArgs {
    /// A file with the token to show to the servers, in place of the token in PROXYHERD_TOKEN or operator.token
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// Show the token even to a server that neither has TLS nor is on loopback. Anybody on the way can then read the
    /// token
    #[arg(long)]
    insecure_token: bool,
}

impl TokenArgs {
    /// The token that the command line or the environment names.
    fn given(&self) -> anyhow::Result<Option<CommandToken>> {
        match &self.token_file {
            Some(path) => {
                Ok(Some(CommandToken::of_file(path).map_err(|error| UsageError(error.to_string()))?))
            }
            None => CommandToken::of_environment().map_err(|error| UsageError(error.to_string()).into()),
        }
    }

    /// The token that the command line or the environment names, or else the operator's token of a herd that uses
    /// tokens.
    fn given_or_operators(&self, config: &Config) -> anyhow::Result<Option<CommandToken>> {
        if let Some(token) = self.given()? {
            return Ok(Some(token));
        }
        CommandToken::of_operator_if_on(config).map_err(|error| ConfigurationError(error.to_string()).into())
    }

    /// An error, unless the token may be shown to servers. `check` has the rule.
    fn check(
        &self,
        token: Option<&CommandToken>,
        check: impl FnOnce(&CommandToken) -> Result<(), InTheClear>,
    ) -> anyhow::Result<()> {
        let token = token.filter(|_| !self.insecure_token);
        token.map_or(Ok(()), check).map_err(|error| UsageError(error.to_string()).into())
    }
}

/// A mistake in the configuration or in a file that it names. The program ends with code 78.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct ConfigurationError(String);

/// Carries out the command line, and returns the exit code.
pub fn run() -> ExitCode {
    let beginning = serve::ServeSetup::of(std::env::args_os().nth(1).as_deref());
    let done = match CommandLine::parse().command {
        Command::Demo(args) => demo::run(&args),
        Command::Serve(args) => serve::run(&args, beginning),
        Command::Init(args) => init::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Client(args) => client::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Top(args) => top::run(&args),
        Command::Health(args) => health::run(&args),
        Command::Token(args) => token::run(&args),
        Command::Places(args) => places::run(&args),
        Command::Data(args) => data::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => outcome::report(&error),
    }
}

/// Runs a command's future on a runtime with all processors.
fn block_on(done: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    block_on_with(runtime()?, done)
}

fn runtime() -> anyhow::Result<Runtime> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("the operating system gave no threads")
}

fn block_on_with(runtime: Runtime, done: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let outcome = runtime.block_on(done);
    // The process ends without waiting for names that are being resolved, or for a disk that hangs.
    runtime.shutdown_background();
    outcome
}

/// The command line's definition, for completions and manual pages.
fn command() -> clap::Command {
    CommandLine::command()
}

/// Reads the configuration, with the settings of the command line and the environment, and shows its warnings.
fn load(config: &ConfigArgs, sets: &[String]) -> Result<Config, LoadError> {
    load_with(config, &Overrides::from_process(sets.iter().cloned()))
}

fn load_with(config: &ConfigArgs, overrides: &Overrides) -> Result<Config, LoadError> {
    let config = Config::load(&config.config, overrides)?;
    outcome::show(&config.warnings);
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_contradicts_itself_nowhere() {
        command().debug_assert();
    }

    #[test]
    fn every_command_and_argument_has_a_help_text() {
        for command in command().get_subcommands() {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "{} {}", command.get_name(), argument.get_id());
            }
        }
    }

    /// The program, followed by each command and its subcommands.
    fn all(command: &clap::Command) -> Vec<clap::Command> {
        let below = command.get_subcommands().flat_map(all);
        std::iter::once(command.clone()).chain(below).collect()
    }

    #[test]
    fn a_help_text_is_broken_into_lines_once() {
        let mut command = command();
        command.build();
        for command in all(&command) {
            let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let mut lines = text.lines().peekable();
            while let Some(line) = lines.next() {
                // On a narrow terminal a longer line is broken, and its rest becomes a line of its own.
                let is_whole = line.len() <= 78 || lines.peek().is_none_or(|next| next.is_empty());
                assert!(is_whole, "{}: {line}", command.get_name());
            }
        }
    }

    #[test]
    fn serve_takes_its_file_its_name_and_any_number_of_settings() {
        let typed =
            ["proxyherd", "serve", "--config", "x.toml", "--name", "Riley", "--set", "a.b=c", "--set", "d"];
        let line = CommandLine::try_parse_from(typed).unwrap();
        let Command::Serve(args) = line.command else { panic!("not serve: {line:?}") };
        assert_eq!((args.config.config, args.name.as_str()), (PathBuf::from("x.toml"), "Riley"));
        assert_eq!(args.set.set, ["a.b=c", "d"]);
    }

    #[test]
    fn what_makes_no_sense_is_a_usage_error() {
        for typed in [
            &["proxyherd"] as &[&str],
            &["proxyherd", "serv"],
            &["proxyherd", "serve"],
            &["proxyherd", "client", "127.0.0.1"],
            &["proxyherd", "demo", "--clients", "-1"],
            &["proxyherd", "completions", "tcl"],
        ] {
            let error = CommandLine::try_parse_from(typed).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{typed:?}");
        }
        let error = CommandLine::try_parse_from(["proxyherd", "client", "::1"]).unwrap_err().to_string();
        assert!(error.contains("write an IPv6 address in brackets"), "{error}");
    }

    #[test]
    fn the_configuration_is_read_for_addresses_with_tls_alone() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("herd.toml");
        let text = "[herd]\ntls = \"off\"\n[tls]\ncert = \"door.pem\"\nkey = \"door.key\"\n\
                    [[server]]\nname = \"a\"\nlisten = \"tls://127.0.0.1:7\"\n";
        std::fs::write(&file, text).unwrap();
        let meant = |address: &str| {
            let typed = ["proxyherd", "client", address, "--config", file.to_str().unwrap()];
            let line = CommandLine::try_parse_from(typed).unwrap();
            let Command::Client(args) = line.command else { panic!("not client: {line:?}") };
            client::target(&args)
        };
        let certificate = |address| meant(address).unwrap().certificate;
        assert_eq!(certificate("tls://localhost:8"), Some(dir.path().join("door.pem")));
        assert_eq!(certificate("localhost:8"), None);
        std::fs::remove_file(&file).unwrap();
        assert!(meant("localhost:8").is_ok() && meant("tls://localhost:8").is_err());
    }

    #[test]
    fn a_client_without_addresses_talks_to_the_herd_of_the_configuration_or_the_classic_one() {
        let meant = |line: &[&str]| {
            let line = CommandLine::try_parse_from([&["proxyherd", "client"], line].concat()).unwrap();
            let Command::Client(args) = line.command else { panic!("not client: {line:?}") };
            let client::ClientTarget { doors, silence_max, .. } = client::target(&args).unwrap();
            (doors.iter().map(ToString::to_string).collect::<Vec<_>>(), silence_max.as_secs())
        };
        let (classic, silence_s) = meant(&[]);
        assert_eq!((classic.len(), classic[0].as_str(), silence_s), (5, "127.0.0.1:12000", 15));
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("herd.toml");
        let text = "[herd]\ntls = \"off\"\n[places]\ndeadline_ms = 20000\n[[server]]\nname = \"a\"\n\
                    listen = \"127.0.0.1:7\"\n";
        std::fs::write(&file, text).unwrap();
        let file = file.to_str().unwrap();
        assert_eq!(meant(&["--config", file]), (vec!["127.0.0.1:7".to_owned()], 30));
        assert_eq!(meant(&["--config", file, "--patience-s", "3"]).1, 3);
        std::fs::write(file, text.replace("\"127.0.0.1:7\"", "[\"[::1]:7\", \"127.0.0.1:7\"]")).unwrap();
        assert_eq!(meant(&["--config", file]).0, ["[::1]:7"], "the first address of each server");
        assert_eq!(meant(&["tls://localhost:8", "[::1]:9"]).0, ["tls://localhost:8", "[::1]:9"]);
        assert_eq!(meant(&["localhost:8", "--config", file]), (vec!["localhost:8".to_owned()], 15));
    }
}
