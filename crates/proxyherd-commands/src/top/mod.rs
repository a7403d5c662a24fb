//! `proxyherd top`: shows a herd on a terminal, and keeps it up to date: servers, links, rates and what has changed.
//!
//! [`run`] asks each server for its status, again and again, by the code that `proxyherd status` uses, and draws until
//! the person quits or a signal ends the process. Each server is asked by a task of its own, so a server that does not
//! answer delays no other. All histories and lists are bounded.
//!
//! Floors, lowest first: `history`; `model`; `rows`; `view`; `screen`, `terminal`.

mod history;
mod model;
mod rows;
mod screen;
mod terminal;
#[cfg(test)]
mod tests;
mod view;

use std::{
    io,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use proxyherd_config::clock;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use self::{
    model::{Model, Moment},
    screen::Looks,
    terminal::FullScreen,
    view::{Action, View},
};
use crate::herd_snapshot::{Asker, StatusAnswer, Target};

/// Number of answers and of keys that wait to be handled. Whoever brings more waits.
const WAITING_MAX: usize = 64;
/// Time between two drawings that no key has caused.
const REDRAW: Duration = Duration::from_millis(100);
/// Time that a process may take to stop after Ctrl-Z.
const STOP_MAX: Duration = Duration::from_millis(100);
/// Rows that a page key moves the cursor.
const PAGE: isize = 10;

/// What `top` shows, and how.
pub struct TopSettings {
    /// The herd's id. Empty: the first server to answer tells it.
    pub herd: String,
    /// The servers to ask.
    pub targets: Vec<Target>,
    /// Asks them.
    pub asker: Asker,
    /// Time between two questions to one server.
    pub every: Duration,
    /// Whether colors are wanted.
    pub has_colors: bool,
    /// Whether the screen has ASCII characters only.
    pub is_ascii: bool,
}

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KeyMeaning {
    Act(Action),
    Suspend,
    Redraw,
}

/// Shows the herd until the person quits, or a signal asks the process to end.
pub async fn run(settings: TopSettings) -> anyhow::Result<()> {
    let (mut ends, mut resumed) = (Ends::new()?, resumed()?);
    let started = Instant::now();
    let now = || Moment { at_s: started.elapsed().as_secs_f64(), unix_s: clock::now_ns() / 1_000_000_000 };
    let looks = Looks { has_colors: settings.has_colors, is_ascii: settings.is_ascii };
    let mut model = Model::new(&settings.herd, &settings.targets, now());
    let mut view = View::new();
    let mut screen = FullScreen::open().context("cannot use the terminal")?;
    let mut keys = keys()?;
    let (mut tasks, mut answers) = ask_all(&settings);
    let mut ticks = interval(settings.every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut redraws = interval(REDRAW);
    redraws.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_old = true;
    loop {
        tokio::select! {
            () = ends.next() => return Ok(()),
            _ = resumed.recv() => {
                screen.resume()?;
                is_old = true;
            }
            event = keys.recv() => match event.as_ref().map(meaning) {
                None => bail!("the terminal is gone"),
                Some(Some(KeyMeaning::Act(action))) => {
                    if !view.act(action) {
                        return Ok(());
                    }
                    screen.draw(|frame| screen::draw(frame, &model, &mut view, looks))?;
                }
                Some(Some(KeyMeaning::Suspend)) => {
                    screen.suspend()?;
                    let _ = tokio::time::timeout(STOP_MAX, resumed.recv()).await;
                    screen.resume()?;
                    is_old = true;
                }
                Some(Some(KeyMeaning::Redraw)) => {
                    screen.clear()?;
                    is_old = true;
                }
                Some(None) => is_old = true,
            },
            Some((place, answer)) = answers.recv() => {
                model.take(place, answer, now());
                is_old = true;
            }
            _ = ticks.tick() => {
                model.tick(now());
                is_old = true;
            }
            _ = redraws.tick(), if is_old => {
                screen.draw(|frame| screen::draw(frame, &model, &mut view, looks))?;
                is_old = false;
            }
            // The tasks never end by themselves.
            Some(Err(error)) = tasks.join_next() => bail!("asking the servers failed: {error}"),
        }
    }
}

/// Asks each server in a task of its own. Dropping the tasks ends them.
fn ask_all(settings: &TopSettings) -> (JoinSet<()>, mpsc::Receiver<(usize, StatusAnswer)>) {
    let (sender, answers) = mpsc::channel(WAITING_MAX);
    let mut tasks = JoinSet::new();
    for (place, target) in settings.targets.iter().cloned().enumerate() {
        let (asker, sender, every) = (settings.asker.clone(), sender.clone(), settings.every);
        tasks.spawn(async move {
            let mut times = interval(every);
            times.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                times.tick().await;
                let answer = asker.ask(&target).await;
                if sender.send((place, answer)).await.is_err() {
                    return;
                }
            }
        });
    }
    (tasks, answers)
}

/// The signals that end `top`.
struct Ends([Signal; 3]);

impl Ends {
    fn new() -> io::Result<Ends> {
        let kinds = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()];
        let [terminate, interrupt, hangup] = kinds.map(signal);
        Ok(Ends([terminate?, interrupt?, hangup?]))
    }

    async fn next(&mut self) {
        let Ends([terminate, interrupt, hangup]) = self;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

/// The signal that tells that the process goes on after it was stopped.
fn resumed() -> io::Result<Signal> {
    signal(SignalKind::from_raw(rustix::process::Signal::CONT.as_raw()))
}

/// The keys and changes of the window's size, which a thread reads. The thread ends with the process, because a read
/// from a terminal cannot be interrupted.
fn keys() -> io::Result<mpsc::Receiver<Event>> {
    let (sender, keys) = mpsc::channel(WAITING_MAX);
    let read = move || {
        while let Ok(event) = event::read() {
            if sender.blocking_send(event).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new().name("keys".to_owned()).spawn(read)?;
    Ok(keys)
}

/// `None`: the key has no meaning.
fn meaning(event: &Event) -> Option<KeyMeaning> {
    let &Event::Key(KeyEvent { code, modifiers, kind, .. }) = event else { return None };
    if kind == KeyEventKind::Release {
        return None;
    }
    if modifiers.contains(KeyModifiers::CONTROL) {
        return match code {
            KeyCode::Char('c') => Some(KeyMeaning::Act(Action::Quit)),
            KeyCode::Char('z') => Some(KeyMeaning::Suspend),
            KeyCode::Char('l') => Some(KeyMeaning::Redraw),
            _ => None,
        };
    }
    Some(KeyMeaning::Act(match code {
        KeyCode::Char('q') => Action::Quit,
        KeyCode::Esc => Action::Back,
        KeyCode::Char('?' | 'h') => Action::Help,
        KeyCode::Tab => Action::NextPanel,
        KeyCode::BackTab => Action::PanelBefore,
        KeyCode::Up | KeyCode::Char('k') => Action::Move(-1),
        KeyCode::Down | KeyCode::Char('j') => Action::Move(1),
        KeyCode::PageUp => Action::Move(-PAGE),
        KeyCode::PageDown => Action::Move(PAGE),
        KeyCode::Home => Action::Move(isize::MIN),
        KeyCode::End => Action::Move(isize::MAX),
        KeyCode::Char('s') | KeyCode::Right => Action::NextColumn,
        KeyCode::Char('S') | KeyCode::Left => Action::ColumnBefore,
        KeyCode::Char('r') => Action::Reverse,
        _ => return None,
    }))
}
