//! The client's prompt: a person types lines and reads replies.
//!
//! Typed lines go to the server as they are. If the client changes a line, for example by adding a time, it shows the
//! line that it sends.

mod helper;
mod history;
mod show;
mod typed;
mod waiting;

use std::io::{self, Write as _};

use anstyle::{AnsiColor, Style};
use anyhow::Context as _;
use proxyherd_config::clock;
use proxyherd_core::{limits::LINE_LEN_MAX, types::Timestamp};
use rustyline::{Config, Editor, error::ReadlineError, history::FileHistory};

use self::{
    helper::LineHelper,
    history::HistoryFile,
    typed::{HELP, TypedLine},
    waiting::{PromptState, TypedAhead, connect},
};
use super::{FAINT, conversation::Conversation, tell};

const PROMPT: Style = AnsiColor::Cyan.on_default();

/// Reads lines and shows replies until the person quits.
pub(super) async fn run(mut conversation: Conversation) -> anyhow::Result<()> {
    conversation.connect().await?;
    let mut editor = editor().context("cannot use the terminal")?;
    let kept = HistoryFile::open(editor.history_mut(), tell);
    writeln!(
        anstream::stdout(),
        "{FAINT}Connected to {}. `help` shows what to type, Ctrl-D quits.{FAINT:#}",
        conversation.server()
    )?;
    let mut ahead = TypedAhead::default();
    loop {
        let typed = match ahead.take() {
            Some(typed) => typed,
            None => match read_line(&mut editor, &conversation)? {
                Some(typed) => typed,
                None => return Ok(()),
            },
        };
        if !typed::has_token(&typed) {
            editor.add_history_entry(typed.trim_end()).context("cannot remember the line")?;
            kept.write(editor.history_mut());
        }
        // A pasted text may have several lines.
        for line in typed.lines() {
            if answer(line, &mut conversation, &mut ahead).await? == PromptState::Quit {
                return Ok(());
            }
        }
    }
}

fn editor() -> Result<Editor<LineHelper, FileHistory>, ReadlineError> {
    let config = Config::builder()
        .max_history_size(history::LINES_MAX)?
        .history_ignore_space(true)
        .completion_type(rustyline::CompletionType::List)
        .build();
    let mut editor = Editor::with_config(config)?;
    editor.set_helper(Some(LineHelper));
    Ok(editor)
}

/// The next line that the person types. `None` at the end of the input.
fn read_line(
    editor: &mut Editor<LineHelper, FileHistory>,
    conversation: &Conversation,
) -> anyhow::Result<Option<String>> {
    let prompt = format!("{}> ", conversation.server());
    let styled = format!("{PROMPT}{prompt}{PROMPT:#}");
    loop {
        match editor.readline(&(&prompt, &styled)) {
            Ok(typed) => return Ok(Some(typed)),
            // Ctrl-C drops the line and keeps the prompt, as in a shell.
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => return Ok(None),
            // The terminal is not set to UTF-8. The editor loses the text before the bad byte, and the text after it
            // begins a new line.
            Err(ReadlineError::Io(error)) if error.kind() == io::ErrorKind::InvalidData => {
                writeln!(anstream::stdout())?;
                tell("the line was not UTF-8 and is dropped; set the terminal to UTF-8, or type ASCII");
            }
            Err(error) => return Err(error).context("cannot read from the terminal"),
        }
    }
}

async fn answer(
    line: &str,
    conversation: &mut Conversation,
    ahead: &mut TypedAhead,
) -> anyhow::Result<PromptState> {
    let now = Timestamp::from_nanos(clock::now_ns()).context("the clock is past the year 2286")?;
    match typed::read(line, now) {
        TypedLine::Nothing => {}
        TypedLine::AsIs => return ask(line, conversation, ahead).await,
        TypedLine::Instead(said) => {
            writeln!(anstream::stdout(), "{FAINT}{said}{FAINT:#}")?;
            return ask(&said, conversation, ahead).await;
        }
        TypedLine::Wrong(usage) => writeln!(anstream::stdout(), "{FAINT}{usage}{FAINT:#}")?,
        TypedLine::Help => write!(anstream::stdout(), "{HELP}")?,
        TypedLine::Quit => return Ok(PromptState::Quit),
    }
    Ok(PromptState::Open)
}

/// Sends one line and shows its reply. While no server answers, Ctrl-D still ends the prompt.
async fn ask(
    line: &str,
    conversation: &mut Conversation,
    ahead: &mut TypedAhead,
) -> anyhow::Result<PromptState> {
    let said = line.as_bytes();
    match said.get(..=LINE_LEN_MAX) {
        Some(start) => conversation.say_overlong(start),
        None => conversation.say(said),
    }
    while !conversation.is_answered() {
        if connect(conversation, ahead).await? == PromptState::Quit {
            return Ok(PromptState::Quit);
        }
        let reply = conversation.exchange().await;
        show(said, reply)?;
    }
    // After an overlong line the server closes the connection. The prompt must name the server of the next connection.
    connect(conversation, ahead).await
}

fn show(said: &[u8], reply: &[u8]) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    write!(out, "{}", show::reply(reply))?;
    if reply.starts_with(b"?") {
        writeln!(out, "{FAINT}  {}{FAINT:#}", typed::why_refused(said))?;
    }
    out.flush()
}
