//! How a command ends: messages on standard error, and an exit code.

use std::{io, io::Write as _, path::Path, process::ExitCode};

use anstyle::{AnsiColor, Style};
use proxyherd_config::{
    config::{Diagnostic, Diagnostics, LoadError},
    credentials::Finding,
};
use proxyherd_log::refusal;

use super::{ConfigArgs, ConfigurationError, UsageError};

/// Something failed while running.
const FAILED: u8 = 1;
/// The command line is wrong. Clap ends with the same code.
const USAGE: u8 = 2;
/// The configuration is wrong: EX_CONFIG of sysexits.h.
const CONFIGURATION: u8 = 78;

/// The width to which lines are cut if standard error is not a terminal, columns.
const WIDTH: usize = 120;

const ERROR: Style = AnsiColor::BrightRed.on_default().bold();
const WARNING: Style = AnsiColor::BrightYellow.on_default().bold();
const BOLD: Style = Style::new().bold();

/// Prints what went wrong, and returns the exit code.
pub(super) fn report(error: &anyhow::Error) -> ExitCode {
    // If the reader has closed standard output (`proxyherd man | head`), the reader needs no more output. This is no
    // failure.
    if error.chain().any(is_broken_pipe) {
        return ExitCode::SUCCESS;
    }
    match error.downcast_ref::<LoadError>() {
        Some(LoadError::Wrong(diagnostics)) => {
            show(diagnostics.iter());
            show_count(diagnostics);
        }
        Some(LoadError::Unreadable { path, source }) => {
            show_error(&format!("{error:#}"), &unreadable(path, source));
        }
        None => show_error(&said(error), ""),
    }
    ExitCode::from(code(error))
}

/// The error in words. Errors of files already name the file. Only the error of a full standard output has no context,
/// so this function adds it.
fn said(error: &anyhow::Error) -> String {
    let is_bare = error.chain().count() == 1;
    match error.downcast_ref::<io::Error>() {
        Some(full) if is_bare && full.kind() == io::ErrorKind::StorageFull => {
            format!("cannot print to standard output: {full}")
        }
        _ => format!("{error:#}"),
    }
}

/// Advice for a configuration that cannot be read.
fn unreadable(path: &Path, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "`proxyherd init` writes one; --config FILE names another".to_owned(),
        io::ErrorKind::IsADirectory => {
            format!("name the file in it: --config {}", path.join(ConfigArgs::USUAL).display())
        }
        _ => refusal::advice(path, error, "or name another file with --config FILE"),
    }
}

fn code(error: &anyhow::Error) -> u8 {
    if error.is::<LoadError>() || error.is::<ConfigurationError>() {
        CONFIGURATION
    } else if error.is::<UsageError>() {
        USAGE
    } else {
        FAILED
    }
}

fn is_broken_pipe(cause: &(dyn std::error::Error + 'static)) -> bool {
    cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Prints errors and warnings about a configuration.
pub(super) fn show<'d>(diagnostics: impl IntoIterator<Item = &'d Diagnostic>) {
    let width = terminal_size::terminal_size_of(io::stderr()).map_or(WIDTH, |(width, _)| width.0.into());
    let mut err = anstream::stderr().lock();
    for diagnostic in diagnostics {
        // A failure is ignored: if standard error is closed, nobody reads the message.
        let _ = write!(err, "{}", diagnostic.render(width));
    }
}

/// Prints findings about the files that a configuration names. Returns the number of errors among the findings.
pub(super) fn show_findings(findings: &[Finding]) -> usize {
    let mut errors = 0;
    for finding in findings {
        match finding {
            Finding::Error(said) => {
                errors += 1;
                show_error(said, "");
            }
            Finding::Warning(said) => {
                let _ = writeln!(anstream::stderr(), "{WARNING}warning{WARNING:#}{BOLD}:{BOLD:#} {said}");
            }
        }
    }
    errors
}

fn show_count(diagnostics: &Diagnostics) {
    let path = diagnostics.path().display();
    let errors = counted(diagnostics.error_count(), "error");
    let warnings = match diagnostics.warning_count() {
        0 => String::new(),
        count => format!(" and {}", counted(count, "warning")),
    };
    let _ = writeln!(anstream::stderr(), "{path}: {ERROR}{errors}{ERROR:#}{warnings}");
}

fn show_error(message: &str, help: &str) {
    let mut err = anstream::stderr().lock();
    let _ = writeln!(err, "{ERROR}error{ERROR:#}{BOLD}:{BOLD:#} {message}");
    if !help.is_empty() {
        let _ = writeln!(err, "  {BOLD}help{BOLD:#}: {help}");
    }
}

/// `1 error`, `2 errors`
pub(super) fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proxyherd_config::config::{Config, Overrides};

    use super::*;

    #[test]
    fn each_kind_of_error_has_its_exit_code() {
        let wrong = Config::read("", Path::new("herd.toml"), &Overrides::none()).unwrap_err();
        assert_eq!(code(&LoadError::Wrong(wrong).into()), 78);
        let missing = Config::load(Path::new("/nonexistent/herd.toml"), &Overrides::none()).unwrap_err();
        assert_eq!(code(&missing.into()), 78);
        assert_eq!(code(&ConfigurationError("no certificate".into()).into()), 78);
        assert_eq!(code(&UsageError("no such server".into()).into()), 2);
        assert_eq!(code(&anyhow::anyhow!("the port is taken")), 1);
    }

    #[test]
    fn a_configuration_that_cannot_be_read_has_a_hint_that_fits() {
        let hint = |path: &Path, kind: io::ErrorKind| unreadable(path, &kind.into());
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(hint(&file, io::ErrorKind::NotFound).contains("proxyherd init"));
        let said = hint(dir.path(), io::ErrorKind::IsADirectory);
        assert_eq!(said, format!("name the file in it: --config {}/herd.toml", dir.path().display()));
        let said = hint(&file, io::ErrorKind::PermissionDenied);
        assert!(said.contains("belongs to") && !said.contains("init"), "{said}");
        let said = hint(&file.join("herd.toml"), io::ErrorKind::NotADirectory);
        assert!(said.starts_with(&format!("{} is not a directory", file.display())), "{said}");
    }

    #[test]
    fn a_reader_that_has_gone_is_no_failure() {
        let error = anyhow::Error::from(io::Error::from(io::ErrorKind::BrokenPipe)).context("writing");
        assert_eq!(report(&error), ExitCode::SUCCESS);
    }

    #[test]
    fn an_output_that_is_full_is_told_as_that() {
        let full = || anyhow::Error::from(io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!(said(&full()), "cannot print to standard output: no storage space");
        assert_eq!(
            said(&full().context("cannot write herd.toml")),
            "cannot write herd.toml: no storage space"
        );
    }
}
