//! Reload: the configuration is read again when one of its files changes, or on SIGHUP, and what is different is
//! applied to what runs.
//!
//! Nothing is applied before the files were left alone for a moment and nobody has one open for writing, nor unless all
//! of it is right: whoever writes a file in place has half of it there for a while. A process keeps its role.
//!
//! SIGUSR1, which asks for a new link, is heard here too.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use log::{Level, info, warn};

use crate::config::diff::{Change, diff};
use crate::config::{self, Config, Errors, Input, Role};
use crate::control::{ControlSocket, Reporting};
use crate::limits;
use crate::net::signals::{Wish, Wishes};
use crate::net::task::Owned;
use crate::net::watch::Watch;

/// What a reload changes: a running server or client.
pub trait Running: Reporting {
    /// Makes `new` hold, `changes` being what is different from what holds. Says in the log what cannot be done, and
    /// gives what holds then.
    fn reload(self: Rc<Self>, new: Config, changes: Vec<Change>) -> Reloading;

    /// Makes a new link at once: the way to the peer is another one.
    fn reconnect(&self);
}

/// See [`Running::reload`].
pub type Reloading = Pin<Box<dyn Future<Output = Config>>>;

/// A file that is to be followed.
pub struct Followed {
    file: PathBuf,
    reloads: Wishes,
    reconnects: Wishes,
}

impl Followed {
    /// From the call on, a SIGHUP is a question for a reload, and a SIGUSR1 for a new link.
    pub fn new(file: &Path) -> io::Result<Followed> {
        Ok(Followed {
            file: file.to_owned(),
            reloads: Wishes::new(Wish::Reload)?,
            reconnects: Wishes::new(Wish::Reconnect)?,
        })
    }

    /// Follows it for `running`, for which `config` was read from it, until what this gives is dropped.
    pub fn follow(self, running: Rc<dyn Running>, control: Rc<ControlSocket>, config: Config) -> [Owned; 2] {
        let reconnects = Owned::spawn(reconnect(self.reconnects, running.clone()));
        let follower = Follower {
            running,
            control,
            target: match config.role() {
                Role::Server => "pinhole::server",
                Role::Client => "pinhole::client",
            },
            paths: paths(&self.file, config.inputs()),
            file: self.file,
            reloads: self.reloads,
            holds: config,
            has_complained: false,
            is_partial: false,
        };
        [Owned::spawn(follower.run()), reconnects]
    }
}

struct Follower {
    running: Rc<dyn Running>,
    control: Rc<ControlSocket>,
    /// Who speaks in the log.
    target: &'static str,
    file: PathBuf,
    /// The files that are followed: `file`, and those that were read with it last time.
    paths: Vec<PathBuf>,
    reloads: Wishes,
    /// What runs.
    holds: Config,
    /// What was read last was wrong, and nobody was told that it no longer is.
    has_complained: bool,
    /// Some of what was read last could not be done.
    is_partial: bool,
}

impl Follower {
    /// What is read was watched before, so that no change falls between the two; and by the same watch as the last
    /// time, which knows who is still writing.
    async fn run(mut self) {
        let mut asked = false;
        let mut watch = self.watch();
        loop {
            if self.is_pipe() {
                self.refuse(asked);
            } else if !self.round(watch.as_ref(), asked).await {
                watch = self.watch();
                continue;
            }
            asked = self.stirred(watch.as_ref()).await;
        }
    }

    /// Reads and applies; false: other files than these are to be watched first.
    async fn round(&mut self, watch: Option<&Watch>, asked: bool) -> bool {
        let read = self.read(watch).await;
        let found = paths(&self.file, read.as_ref().map_or_else(Errors::inputs, Config::inputs));
        if self.paths != found {
            self.paths = found;
            return false;
        }
        match read {
            Ok(new) => self.apply(new, asked).await,
            Err(errors) => self.complain(&errors),
        }
        true
    }

    fn watch(&self) -> Option<Watch> {
        let unwatched = |error: io::Error| {
            let is_absent = error.kind() == io::ErrorKind::Unsupported;
            let level = if is_absent { Level::Debug } else { Level::Warn };
            log::log!(target: self.target, level, "files are not watched, but SIGHUP reloads: {error}");
        };
        Watch::new(self.paths.clone()).map_err(unwatched).ok()
    }

    /// A pipe can be read only once, and reading it could wait for ever.
    fn is_pipe(&self) -> bool {
        std::fs::metadata(&self.file).is_ok_and(|found| !found.is_file())
    }

    fn refuse(&self, asked: bool) {
        if asked {
            let file = self.file.display();
            warn!(target: self.target, "configuration is not applied: {file}: is not a file, it cannot be read again");
        }
    }

    /// What the files say while nobody writes to them.
    async fn read(&self, watch: Option<&Watch>) -> Result<Config, Errors> {
        loop {
            let before = settle(watch, &self.paths).await;
            let read = config::load(&self.file, Some(self.holds.role()));
            if stamps(&self.paths) == before {
                return read;
            }
        }
    }

    /// Waits until a file may have changed, or it is time to try again what could not be done; true: until somebody asks
    /// for a reload.
    async fn stirred(&self, watch: Option<&Watch>) -> bool {
        let mut asked = pin!(self.reloads.next());
        let mut retry = pin!(async {
            match self.is_partial {
                true => tokio::time::sleep(Duration::from_secs(limits::RELOAD_RETRY)).await,
                false => std::future::pending().await,
            }
        });
        let mut stirred = pin!(async {
            match watch {
                Some(watch) => watch.stirred().await,
                None => std::future::pending().await,
            }
        });
        std::future::poll_fn(|cx| {
            if asked.as_mut().poll(cx).is_ready() {
                return Poll::Ready(true);
            }
            if retry.as_mut().poll(cx).is_ready() {
                return Poll::Ready(false);
            }
            stirred.as_mut().poll(cx).map(|()| false)
        })
        .await
    }

    fn complain(&mut self, errors: &Errors) {
        self.has_complained = true;
        for line in errors.lines() {
            warn!(target: self.target, "configuration is not applied: {line}");
        }
    }

    async fn apply(&mut self, new: Config, asked: bool) {
        let changes = diff(&self.holds, &new);
        let inputs = new.inputs().iter();
        inputs
            .filter(|input| !self.holds.inputs().contains(input))
            .for_each(crate::warn_if_exposed);
        let before = self.holds.clone();
        self.holds = self.running.clone().reload(new.clone(), changes.clone()).await;
        let is_moved = changes.contains(&Change::ControlSocket);
        if is_moved && let Err(error) = self.control.open(self.holds.control_socket()) {
            warn!(target: self.target, "{error}; it stays where it was");
            self.holds
                .set_control_socket(before.control_socket().map(Path::to_owned));
        }
        let undone = diff(&self.holds, &new);
        self.is_partial = !undone.is_empty();
        let is_news = asked || core::mem::take(&mut self.has_complained);
        if changes.is_empty() {
            self.say_unchanged(is_news);
        } else {
            self.say_changed(&diff(&before, &self.holds), undone.len());
        }
    }

    /// Who asked for a reload, or was told that a file is wrong, hears of it even when there was nothing to do.
    fn say_unchanged(&self, is_news: bool) {
        let level = if is_news { Level::Info } else { Level::Debug };
        log::log!(target: self.target, level, "configuration is unchanged file={}", self.file.display());
    }

    fn say_changed(&self, done: &[Change], undone: usize) {
        let (file, done) = (self.file.display(), summary(done));
        match undone {
            0 => info!(target: self.target, "configuration is reloaded file={file} {done}"),
            _ => warn!(
                target: self.target,
                "configuration is reloaded file={file} {done}, but for what is said above: again in {} s",
                limits::RELOAD_RETRY
            ),
        }
    }
}

/// Obeys the first SIGUSR1 at once; of many that follow, one in a while.
async fn reconnect(reconnects: Wishes, running: Rc<dyn Running>) {
    while reconnects.next().await.is_ok() {
        running.reconnect();
        tokio::time::sleep(Duration::from_secs(limits::RECONNECT_REST)).await;
    }
}

/// `file` and `inputs`, each once.
fn paths(file: &Path, inputs: &[Input]) -> Vec<PathBuf> {
    let mut paths = vec![file.to_owned()];
    for input in inputs {
        if !paths.contains(&input.path) {
            paths.push(input.path.clone());
        }
    }
    paths
}

/// `added=1 removed=0 changed=2`, and what else is different.
fn summary(changes: &[Change]) -> String {
    let count = |is_one: fn(&Change) -> bool| changes.iter().filter(|change| is_one(change)).count();
    let mut text = format!(
        "added={} removed={} changed={}",
        count(|change| matches!(change, Change::Added(_))),
        count(|change| matches!(change, Change::Removed(_))),
        count(|change| matches!(change, Change::Changed(_))),
    );
    let others: Vec<&str> = changes.iter().filter_map(Change::name).collect();
    if !others.is_empty() {
        text += " also=";
        text += &others.join(",");
    }
    text
}

/// Waits until nobody writes to the files any more. Gives how they are then.
async fn settle(watch: Option<&Watch>, paths: &[PathBuf]) -> Vec<Stamp> {
    let quiet = Duration::from_millis(limits::QUIET_TIME);
    let mut was = stamps(paths);
    let mut left_alone = Duration::ZERO;
    loop {
        tokio::time::sleep(quiet).await;
        let is = stamps(paths);
        left_alone = if is == was { left_alone + quiet } else { Duration::ZERO };
        let has_writer = watch.is_some_and(Watch::is_being_written);
        let enough = if has_writer {
            Duration::from_secs(limits::WRITER_TIME)
        } else {
            quiet
        };
        if left_alone >= enough {
            return is;
        }
        was = is;
    }
}

/// What tells one state of a file from another; `None`: it is not there.
type Stamp = Option<(u64, u64, u64, i64, i64)>;

fn stamps(paths: &[PathBuf]) -> Vec<Stamp> {
    paths.iter().map(|path| stamp(path)).collect()
}

fn stamp(path: &Path) -> Stamp {
    let found = std::fs::metadata(path).ok()?;
    Some((
        found.dev(),
        found.ino(),
        found.size(),
        found.mtime(),
        found.mtime_nsec(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_counts_services_and_names_the_rest() {
        let service = || "a".to_owned();
        let changes = [
            Change::Removed(service()),
            Change::Added(service()),
            Change::Changed(service()),
            Change::Changed(service()),
        ];
        assert_eq!(summary(&changes), "added=1 removed=1 changed=2");
        assert_eq!(
            summary(&[Change::BindAddr, Change::Links]),
            "added=0 removed=0 changed=0 also=bind_addr,transport"
        );
    }

    #[test]
    fn each_file_is_followed_once() {
        let input = |path: &str| Input {
            path: path.into(),
            is_secret: false,
        };
        let found = paths(Path::new("a"), &[input("a"), input("b"), input("b")]);
        assert_eq!(found, ["a", "b"].map(PathBuf::from));
    }
}
