//! A process that ends with its guard and shows what it wrote if the test fails.

use std::io::{self, PipeReader, PipeWriter};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::sys::send_signal;
use super::{Log, PATIENCE, Signal, eventually};

/// A running program with its output collected. Killed on drop.
pub struct Process {
    name: String,
    child: Child,
    log: Arc<Log>,
}

impl Process {
    /// Starts `command`; `name` is what a failing test calls it.
    #[track_caller]
    pub fn start(name: &str, command: Command) -> Process {
        let (reader, writer) = io::pipe().expect("a pipe");
        Process::start_with(name, command, writer, Log::follow(reader))
    }

    /// The same, but nobody reads what it writes; it waits in the pipe.
    #[track_caller]
    pub fn start_unread(name: &str, command: Command) -> (Process, PipeReader) {
        let (reader, writer) = io::pipe().expect("a pipe");
        (
            Process::start_with(name, command, writer, Log::follow(io::empty())),
            reader,
        )
    }

    #[track_caller]
    fn start_with(name: &str, mut command: Command, output: PipeWriter, log: Arc<Log>) -> Process {
        let errors = output.try_clone().expect("a second end of the pipe");
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        Process {
            name: name.to_owned(),
            child,
            log,
        }
    }

    /// What it wrote, to stdout and stderr.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// [`Log::wait_for`]
    #[track_caller]
    pub fn wait_for(&self, words: &str) -> String {
        self.log.wait_for(words)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it `signal`.
    #[track_caller]
    pub fn signal(&mut self, signal: Signal) {
        assert!(self.is_running(), "{} has ended by itself", self.name);
        send_signal(self.id(), signal);
    }

    /// Whether it has not ended.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("the state of a child").is_none()
    }

    /// Waits for it to end by itself.
    #[track_caller]
    pub fn exit_within(&mut self, patience: Duration) -> ExitStatus {
        eventually(&format!("{} ends", self.name), patience, || !self.is_running());
        self.child.wait().expect("the status of an ended child")
    }

    /// Waits for it to end by itself.
    #[track_caller]
    pub fn exit(&mut self) -> ExitStatus {
        self.exit_within(PATIENCE)
    }

    /// Ends it without a chance to say goodbye.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            eprintln!("---- {} ----\n{}", self.name, self.log.text());
        }
    }
}
