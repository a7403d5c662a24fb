//! `proxyherd man`: writes the manual pages.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::{Arg, ArgAction};
use clap_mangen::{
    Man,
    roff::{Inline, Roff, bold, italic, roman},
};

use super::heading;

const AFTER_HELP: &str = concat!(
    heading!("Examples"),
    "  proxyherd man | man -l -
  proxyherd man ~/.local/share/man/man1
",
);

/// Write the manual pages
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// The directory into which to write a page for each command; without DIR, the main page goes to standard output
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// The sections of help texts that clap does not know, in the order of man-pages(7): the heading in the help text, and
/// the heading in the page.
const SECTIONS: [(&str, &str); 10] = [
    ("What is imported", "WHAT IS IMPORTED"),
    ("What to type", "WHAT TO TYPE"),
    ("At the prompt", "AT THE PROMPT"),
    ("Keys", "KEYS"),
    ("Scopes", "SCOPES"),
    ("JSON", "JSON"),
    ("Exit codes", "EXIT STATUS"),
    ("Environment", "ENVIRONMENT"),
    ("Files", "FILES"),
    ("Examples", "EXAMPLES"),
];

/// A line of a help text that is longer than this is a paragraph. The manual page breaks such a line itself.
const LINE_LEN_MAX: usize = 78;

/// Writes the pages.
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    match &args.dir {
        Some(dir) => write_all(dir),
        None => print_main(),
    }
}

fn write_all(dir: &Path) -> anyhow::Result<()> {
    let cannot = || format!("cannot write manual pages into {}", dir.display());
    fs::create_dir_all(dir).with_context(cannot)?;
    let pages = pages();
    for page in &pages {
        fs::write(dir.join(format!("{}.1", page.name())), page.text(&pages)?).with_context(cannot)?;
    }
    writeln!(io::stdout(), "Wrote {} manual pages into {}", pages.len(), dir.display())?;
    Ok(())
}

fn print_main() -> anyhow::Result<()> {
    let pages = pages();
    if let Some(main) = pages.first() {
        io::stdout().write_all(&main.text(&pages)?)?;
    }
    Ok(())
}

/// The page of one command.
struct Page(clap::Command);

/// The main page, followed by a page for each command and each subcommand.
fn pages() -> Vec<Page> {
    let mut main = super::command().disable_help_subcommand(true);
    // Building gives the commands their full names, such as `proxyherd-serve`.
    main.build();
    let mut pages = Vec::new();
    gather(main, &mut pages);
    pages
}

fn gather(command: clap::Command, pages: &mut Vec<Page>) {
    let below: Vec<clap::Command> = command.get_subcommands().cloned().collect();
    pages.push(Page(command));
    below.into_iter().for_each(|command| gather(command, pages));
}

impl Page {
    /// `proxyherd-places-import`
    fn name(&self) -> &str {
        self.0.get_display_name().unwrap_or_else(|| self.0.get_name())
    }

    /// `all` are all pages.
    fn text(&self, all: &[Page]) -> io::Result<Vec<u8>> {
        let program = concat!("proxyherd ", env!("CARGO_PKG_VERSION"));
        let man = Man::new(self.0.clone()).source(program).manual("Proxyherd manual");
        let mut text = Vec::new();
        man.render_title(&mut text)?;
        man.render_name_section(&mut text)?;
        self.render_synopsis(&mut text)?;
        man.render_description_section(&mut text)?;
        man.render_options_section(&mut text)?;
        if self.0.has_subcommands() {
            man.render_subcommands_section(&mut text)?;
        }
        self.render_rest(&self.others(all), &mut text)?;
        Ok(text)
    }

    /// Renders the synopsis with the values of options, and `...` after what can be repeated.
    fn render_synopsis(&self, text: &mut Vec<u8>) -> io::Result<()> {
        let command = &self.0;
        let mut line = vec![bold(command.get_bin_name().unwrap_or_else(|| command.get_name()))];
        let arguments: Vec<&Arg> =
            command.get_arguments().filter(|argument| !argument.is_hide_set()).collect();
        let (positionals, options): (Vec<&Arg>, Vec<&Arg>) =
            arguments.into_iter().partition(|argument| argument.is_positional());
        for argument in options.into_iter().chain(positionals) {
            let (before, after) = if argument.is_required_set() { (" ", "") } else { (" [", "]") };
            line.push(roman(before));
            line.extend(synopsis(argument));
            line.push(roman(after));
            if can_be_repeated(argument) {
                line.push(roman("..."));
            }
        }
        if command.has_subcommands() {
            line.extend([roman(" "), italic("COMMAND")]);
        }
        let mut page = Roff::new();
        page.control("SH", ["SYNOPSIS"]).text(line);
        page.to_writer(text)
    }

    /// Renders the sections of the help text other than options and commands, and the references to further reading.
    fn render_rest(&self, others: &[&str], text: &mut Vec<u8>) -> io::Result<()> {
        let mut page = Roff::new();
        let help = self.0.get_after_help().map(ToString::to_string).unwrap_or_default();
        for (heading, name) in SECTIONS {
            if let Some(body) = body(&help, heading) {
                page.control("SH", [name]);
                render_body(&body, &mut page);
            }
        }
        let mut others = others.iter().flat_map(|other| [roman(", "), bold(*other), roman("(1)")]);
        // The first comma is left out.
        if others.next().is_some() {
            page.control("SH", ["SEE ALSO"]).text(others.collect::<Vec<_>>());
        }
        page.to_writer(text)
    }

    /// The pages to which this page refers: those of the commands above it, below it and beside it. The main page
    /// refers to none here, because it has a section with its commands.
    fn others<'p>(&self, pages: &'p [Page]) -> Vec<&'p str> {
        let (name, main) = (self.name(), "proxyherd");
        if name == main {
            return Vec::new();
        }
        let command = name.split('-').take(2).collect::<Vec<_>>().join("-");
        let is_of_command = |other: &str| other == command || other.starts_with(&format!("{command}-"));
        let others = pages.iter().map(Page::name).filter(|other| *other == main || is_of_command(other));
        others.filter(|other| *other != name).collect()
    }
}

/// An argument without the brackets around it: `-c|--config FILE`.
fn synopsis(argument: &Arg) -> Vec<Inline> {
    let names = argument.get_value_names().unwrap_or_default();
    let values = names.iter().map(clap::builder::Str::as_str).collect::<Vec<_>>().join(" ");
    if argument.is_positional() {
        return vec![italic(values)];
    }
    let short = argument.get_short().map(|short| format!("-{short}"));
    let long = argument.get_long().map(|long| format!("--{long}"));
    let mut parts = Vec::new();
    for name in short.into_iter().chain(long) {
        if !parts.is_empty() {
            parts.push(roman("|"));
        }
        parts.push(bold(name));
    }
    if argument.get_action().takes_values() {
        parts.extend([roman(" "), italic(values)]);
    }
    parts
}

/// Whether an argument may be given several times, or takes several values.
fn can_be_repeated(argument: &Arg) -> bool {
    matches!(argument.get_action(), ArgAction::Append | ArgAction::Count)
}

/// The lines below a heading.
fn body<'h>(help: &'h str, heading: &str) -> Option<Vec<&'h str>> {
    let is_heading = |line: &str| !line.starts_with(' ') && line.ends_with(':');
    let mut lines = help.lines().skip_while(|line| line.strip_suffix(':') != Some(heading));
    lines.next()?;
    let mut body: Vec<&str> = lines.take_while(|line| !is_heading(line)).map(str::trim_end).collect();
    while body.pop_if(|line| line.is_empty()).is_some() {}
    Some(body)
}

/// Appends the lines. Running text is filled, and other lines stay as they are.
fn render_body(body: &[&str], page: &mut Roff) {
    for paragraph in body.split(|line| line.is_empty()) {
        page.control("PP", []);
        if paragraph.iter().any(|line| line.len() > LINE_LEN_MAX) {
            page.text([roman(paragraph.join(" ").trim())]);
            continue;
        }
        page.control("nf", []);
        for line in paragraph {
            page.text([roman(line.strip_prefix("  ").unwrap_or(line))]);
        }
        page.control("fi", []);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headings(page: &str) -> Vec<&str> {
        page.lines().filter_map(|line| line.strip_prefix(".SH ")).map(|name| name.trim_matches('"')).collect()
    }

    #[test]
    fn each_command_has_a_page_and_each_page_its_sections() {
        let dir = tempfile::tempdir().unwrap();
        write_all(&dir.path().join("man1")).unwrap();
        let read = |name: &str| fs::read_to_string(dir.path().join(format!("man1/{name}.1"))).unwrap();
        let names = pages().into_iter().map(|page| page.name().to_owned());
        for name in names.chain(["proxyherd-places-near".to_owned(), "proxyherd-places-import".to_owned()]) {
            let page = read(&name);
            assert!(!page.contains('\x1b') && !page.contains("EXTRA"), "{page}");
            let headings = headings(&page);
            assert_eq!(headings[..4], ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS"], "{name}");
            let last = if name == "proxyherd" { "EXAMPLES" } else { "SEE ALSO" };
            assert_eq!(headings.last(), Some(&last), "{name}");
        }
        let synopsis = |name: &str| {
            let page = read(name).replace("\\-", "-");
            let (_, rest) = page.split_once(".SH SYNOPSIS\n").unwrap();
            let line = rest.lines().next().unwrap().to_owned();
            ["\\fB", "\\fI", "\\fR"].iter().fold(line, |line, font| line.replace(font, ""))
        };
        assert!(
            synopsis("proxyherd-token-create").contains(" --scope SCOPE... "),
            "{}",
            synopsis("proxyherd-token-create")
        );
        assert!(
            synopsis("proxyherd-client")
                .contains(" [-c|--config FILE] [--token-file FILE] [--insecure-token] ")
        );
        assert!(synopsis("proxyherd-client").ends_with(" [ADDR]..."), "{}", synopsis("proxyherd-client"));
        assert!(synopsis("proxyherd-token").ends_with(" COMMAND"));
        let create = read("proxyherd-token-create");
        for other in
            ["proxyherd", "proxyherd\\-token", "proxyherd\\-token\\-list", "proxyherd\\-token\\-revoke"]
        {
            assert!(create.contains(&format!("\\fB{other}\\fR(1)")), "{create}");
        }
        let sections = ["SUBCOMMANDS", "EXIT STATUS", "ENVIRONMENT", "EXAMPLES"];
        assert_eq!(headings(&read("proxyherd"))[4..], sections);
        assert_eq!(
            headings(&read("proxyherd-status"))[4..],
            ["JSON", "EXIT STATUS", "ENVIRONMENT", "EXAMPLES", "SEE ALSO"]
        );
        assert_eq!(headings(&read("proxyherd-init"))[4..], ["FILES", "EXAMPLES", "SEE ALSO"]);
    }

    #[test]
    fn no_section_of_a_help_text_is_missing_in_its_page() {
        for page in pages() {
            let help = page.0.get_after_help().map(ToString::to_string).unwrap_or_default();
            let found = help.lines().filter(|line| !line.starts_with(' ') && line.ends_with(':')).count();
            let known = SECTIONS.iter().filter(|(heading, _)| body(&help, heading).is_some()).count();
            assert_eq!(found, known, "{}", page.name());
        }
    }
}
