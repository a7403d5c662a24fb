//! The runtimes that peers need: where they are on this machine, which versions they have, and how a peer's program is
//! started with them.
//!
//! The sources of the peers are part of this program, so the program needs no other files. They are written to a
//! directory that is removed when nothing uses it any more.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use super::Peer;

/// Names the Python to use. Default: `python3` on the PATH. So uvloop can be in an environment of its own.
const PYTHON_VARIABLE: &str = "PROXYHERD_BENCH_PYTHON";

/// The sources of the peers.
pub(super) const ASYNCIO_SOURCES: [&str; 1] = [include_str!("../../../../bench/peers/asyncio/herd.py")];
pub(super) const NODE_SOURCES: [&str; 1] = [include_str!("../../../../bench/peers/node/herd.mjs")];
pub(super) const JAVA_TEXTS: [&str; 5] =
    [JAVA_SOURCES[0].1, JAVA_SOURCES[1].1, JAVA_SOURCES[2].1, JAVA_SOURCES[3].1, JAVA_SOURCES[4].1];
const JAVA_SOURCES: [(&str, &str); 5] = [
    ("Herd.java", include_str!("../../../../bench/peers/java/Herd.java")),
    ("Client.java", include_str!("../../../../bench/peers/java/Client.java")),
    ("Link.java", include_str!("../../../../bench/peers/java/Link.java")),
    ("Loop.java", include_str!("../../../../bench/peers/java/Loop.java")),
    ("Table.java", include_str!("../../../../bench/peers/java/Table.java")),
];

/// Options of the Java virtual machine: the collector with the highest throughput, and a heap that need not grow under
/// the load of a measurement.
const JAVA_OPTIONS: [&str; 2] = ["-XX:+UseParallelGC", "-Xms128m"];

/// What is started.
pub(super) enum Program {
    /// proxyherd, at this path.
    Ours(PathBuf),
    /// This program again, as an echo server.
    Echo,
    Foreign(Foreign),
}

/// A program in another language.
#[derive(Clone)]
pub(super) struct Foreign {
    interpreter: PathBuf,
    arguments: Vec<String>,
    version: String,
    /// The directory with the program's files.
    home: Arc<TempDir>,
}

impl Program {
    pub(super) fn version(&self) -> Option<&str> {
        if let Program::Foreign(foreign) = self { Some(&foreign.version) } else { None }
    }

    pub(super) fn foreign(&self, peer: Peer) -> Result<&Foreign> {
        if let Program::Foreign(foreign) = self { Ok(foreign) } else { bail!("{peer} is not in bench/peers") }
    }
}

impl Foreign {
    /// The command that starts one server, without the server's arguments.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.interpreter);
        command.args(&self.arguments).current_dir(self.home.path());
        command
    }
}

/// A program, or the reason why this machine cannot run it.
type Found = Result<Program, String>;

/// Python with its own event loop.
pub(super) fn asyncio() -> Result<Found> {
    python(&[])
}

/// Python with uvloop.
pub(super) fn uvloop() -> Result<Found> {
    python(&["uvloop"])
}

fn python(modules: &[&str]) -> Result<Found> {
    let named = std::env::var(PYTHON_VARIABLE).unwrap_or_else(|_| "python3".to_owned());
    // The path that Python itself names, because `python3` may be a script that starts another program.
    let about = "import platform, sys; print(sys.executable); print('Python', platform.python_version())";
    let Some(said) = said_by(&named, &["-c", about]) else {
        return Ok(Err(format!("there is no Python: {named} does not run")));
    };
    let mut lines = said.lines();
    let (interpreter, mut version) = (PathBuf::from(lines.next().unwrap_or_default()), text_of(lines.next()));
    let mut arguments = vec!["-OO".to_owned(), "herd.py".to_owned()];
    for module in modules {
        let about = format!("import {module}; print({module}.__version__)");
        let Some(said) = said_by(&interpreter.to_string_lossy(), &["-c", &about]) else {
            return Ok(Err(format!(
                "{} has no {module}: install it (`pip install {module}`), or name another Python in {PYTHON_VARIABLE}",
                interpreter.display()
            )));
        };
        version = format!("{version}, {module} {}", said.trim());
        arguments.push(format!("--{module}"));
    }
    let home = home_with(&[("herd.py", ASYNCIO_SOURCES[0])])?;
    Ok(Ok(Program::Foreign(Foreign { interpreter, arguments, version, home })))
}

/// Node.js.
pub(super) fn node() -> Result<Found> {
    let Some(version) = said_by("node", &["--version"]) else {
        return Ok(Err("there is no Node.js: `node` is not on the PATH".to_owned()));
    };
    let version = format!("Node.js {}", version.trim().trim_start_matches('v'));
    let home = home_with(&[("herd.mjs", NODE_SOURCES[0])])?;
    let arguments = vec!["herd.mjs".to_owned()];
    Ok(Ok(Program::Foreign(Foreign { interpreter: PathBuf::from("node"), arguments, version, home })))
}

/// Java. Its classes are compiled here.
pub(super) fn java() -> Result<Found> {
    let (Some(version), Some(_)) = (said_by("java", &["--version"]), said_by("javac", &["--version"])) else {
        return Ok(Err("there is no Java Development Kit: `java` or `javac` is not on the PATH".to_owned()));
    };
    let home = home_with(&JAVA_SOURCES)?;
    compile(home.path())?;
    let options = JAVA_OPTIONS.into_iter().chain(["-cp", "classes", "Herd"]);
    let arguments = options.map(str::to_owned).collect();
    let version = text_of(version.lines().next());
    Ok(Ok(Program::Foreign(Foreign { interpreter: PathBuf::from("java"), arguments, version, home })))
}

fn compile(home: &Path) -> Result<()> {
    let mut command = Command::new("javac");
    command.args(["-Xlint:all", "-Werror", "--release", "17", "-d", "classes"]);
    let output = command.args(JAVA_SOURCES.map(|(file, _)| file)).current_dir(home).output();
    let output = output.context("cannot run javac")?;
    ensure!(
        output.status.success(),
        "javac cannot compile the peer in Java:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// The standard output of a program that succeeds. `None` if it fails or does not exist.
fn said_by(program: &str, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(program);
    let output = command.args(arguments).stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

fn text_of(line: Option<&str>) -> String {
    line.unwrap_or("unknown").to_owned()
}

fn home_with(files: &[(&str, &str)]) -> Result<Arc<TempDir>> {
    let home = tempfile::Builder::new().prefix("proxyherd-peer-").tempdir();
    let home = home.context("cannot make a directory for a peer")?;
    for (file, text) in files {
        fs::write(home.path().join(file), text).with_context(|| format!("cannot write {file}"))?;
    }
    Ok(Arc::new(home))
}

/// Number of lines that are neither blank nor comments. All comments of the peers are on lines of their own.
pub(super) fn code_lines(source: &str) -> usize {
    let comments = ["#", "//", "/*", "* ", "*/"];
    let is_code = |line: &str| !line.is_empty() && !comments.iter().any(|mark| line.starts_with(mark));
    source.lines().filter(|line| is_code(line.trim()) && line.trim() != "*").count()
}
