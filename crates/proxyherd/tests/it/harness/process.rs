//! One process of the program, with its output and its exit code. Dropping the [`Process`] kills the process.

use std::{
    ffi::OsStr,
    fs,
    io::Read,
    os::unix::process::{CommandExt, ExitStatusExt},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::Duration,
};

use super::wait::{PATIENCE, eventually, within};

/// A process that runs, or that has ended but was not waited for.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    out: Output,
    err: Output,
}

/// A process that has ended.
#[derive(Debug)]
pub(crate) struct Finished {
    /// The exit code as a shell reports it: 128 plus the signal's number if a signal ended the process.
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Process {
    /// Starts the program in the directory `dir`.
    pub(crate) fn proxyherd(dir: &Path, arguments: &[impl AsRef<OsStr>]) -> Process {
        let mut command = Command::new(env!("CARGO_BIN_EXE_proxyherd"));
        command.args(arguments);
        Process::start(dir, command)
    }

    /// Starts a line of bash in the directory `dir`.
    pub(crate) fn bash(dir: &Path, line: &str) -> Process {
        let mut command = Command::new("bash");
        command.args(["-c", line]);
        Process::start(dir, command)
    }

    /// Starts any program in the directory `dir`.
    pub(crate) fn other(dir: &Path, program: &Path, arguments: &[impl AsRef<OsStr>]) -> Process {
        let mut command = Command::new(program);
        command.args(arguments);
        Process::start(dir, command)
    }

    /// Runs the program to its end.
    pub(crate) fn run(dir: &Path, arguments: &[impl AsRef<OsStr>]) -> Finished {
        Process::proxyherd(dir, arguments).wait(PATIENCE)
    }

    fn start(dir: &Path, mut command: Command) -> Process {
        // The environment of the person who runs the tests does not reach the program. The program's temporary files
        // stay in the test's directory.
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("TMPDIR", dir);
        command.current_dir(dir).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // The process gets its own process group, so that processes that a shell has started end together with the
        // shell.
        let mut child = command.process_group(0).spawn().unwrap();
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        Process { child, out: Output::of(out), err: Output::of(err) }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The maximum memory that the process has ever used, bytes.
    pub(crate) fn memory_peak(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        1024 * peak.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap()
    }

    /// The standard output of the process so far.
    pub(crate) fn out(&self) -> String {
        self.out.text()
    }

    /// The standard error of the process so far.
    pub(crate) fn err(&self) -> String {
        self.err.text()
    }

    /// Sends the process a signal by its name, such as `TERM`. After `STOP` the process does nothing more.
    pub(crate) fn signal(&self, name: &str) {
        signal(name, &self.id().to_string());
        if name == "STOP" {
            eventually("all threads have stopped", || self.running_thread().map_or(Ok(()), Err));
        }
    }

    /// The state of a thread of the process that has not stopped. A signal reaches some threads later than others.
    fn running_thread(&self) -> Option<String> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.id())).unwrap();
        let states = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("stat")).ok());
        // The name of the thread is in parentheses, and the state follows.
        states.into_iter().find(|stat| !stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T')))
    }

    /// How the process has ended; `None` while it runs.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits until the process ends by itself.
    pub(crate) fn wait(mut self, limit: Duration) -> Finished {
        let status = within(limit, "the process has ended", || {
            self.ended().ok_or_else(|| format!("it runs and has said {:?} and {:?}", self.out(), self.err()))
        });
        self.finish(status)
    }

    /// Sends SIGKILL to the process and its children, and waits until it has ended.
    pub(crate) fn kill(mut self) -> Finished {
        signal("KILL", &format!("-{}", self.id()));
        let status = self.child.wait().unwrap();
        self.finish(status)
    }

    fn finish(&mut self, status: ExitStatus) -> Finished {
        let code = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap();
        Finished { code, out: self.out.whole(), err: self.err.whole() }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            signal("KILL", &format!("-{}", self.id()));
            let _ = self.child.wait();
        }
    }
}

/// Sends a signal with the shell's `kill`. Without this command a test would need unsafe code or another crate.
fn signal(name: &str, to: &str) {
    let status = Command::new("sh").args(["-c", "kill -s \"$0\" -- \"$1\"", name, to]).status();
    assert!(status.is_ok_and(|status| status.success()), "can't send SIG{name} to {to}");
}

/// The output of a process to one stream, which is collected while the process runs.
#[derive(Debug)]
struct Output {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Output {
    fn of(mut stream: impl Read + Send + 'static) -> Output {
        let bytes = Arc::<Mutex<Vec<u8>>>::default();
        let into = Arc::clone(&bytes);
        let reader = std::thread::spawn(move || {
            let mut piece = [0; 8 * 1024];
            while let Ok(len @ 1..) = stream.read(&mut piece) {
                into.lock().unwrap().extend_from_slice(&piece[..len]);
            }
        });
        Output { bytes, reader: Some(reader) }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap()).into_owned()
    }

    /// The whole output, after the process has ended.
    fn whole(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        self.text()
    }
}
