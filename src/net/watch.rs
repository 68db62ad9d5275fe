//! Files that were read, watched for changes, by inotify.
//!
//! A path can come to mean something else in several ways: the file is written, another one is renamed onto it, or a
//! symbolic link on the way to it is (as Kubernetes does with `..data`). So the file is watched itself, and the name of
//! each step that leads to it in its folder. A file that is mounted by itself, as Docker does, has no folder to look
//! at, but is the same file outside.

use std::cell::RefCell;
use std::ffi::OsString;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::limits::MAX_SYMLINKS;

use super::sys;

/// Watches some files.
pub struct Watch {
    inotify: AsyncFd<OwnedFd>,
    paths: Vec<PathBuf>,
    steps: RefCell<Vec<Step>>,
    /// Which of the paths somebody is writing to.
    open: RefCell<Vec<bool>>,
}

/// One watch of the kernel's.
struct Step {
    watch: i32,
    /// What it looks out for in a folder; `None`: it is on the file itself.
    name: Option<OsString>,
    /// The path that it is for.
    path: usize,
}

const IN_FOLDER: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::ONLYDIR);
const ON_FILE: WatchFlags = WatchFlags::MODIFY
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::ATTRIB);

impl Watch {
    /// Watches `paths` from now on. One that is not there is waited for.
    pub fn new(paths: Vec<PathBuf>) -> io::Result<Watch> {
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        let watch = Watch {
            inotify: sys::watch(inotify, Interest::READABLE)?,
            steps: RefCell::default(),
            open: RefCell::new(vec![false; paths.len()]),
            paths,
        };
        watch.renew();
        Ok(watch)
    }

    /// Waits until something has happened to one of the files.
    pub async fn stirred(&self) {
        while let Ok(mut guard) = self.inotify.readable().await {
            if self.drain() {
                return;
            }
            guard.clear_ready();
        }
        // The runtime is ending.
        std::future::pending().await
    }

    /// Whether somebody has begun to write to a file and not yet closed it.
    pub fn is_being_written(&self) -> bool {
        self.drain();
        self.open.borrow().contains(&true)
    }

    /// Looks anew at what the paths lead to. What is watched already stays watched.
    fn renew(&self) {
        let mut steps = Vec::new();
        for (path, name) in self.paths.iter().enumerate() {
            steps.extend(self.step(name, None, path));
            for way in ways(name) {
                let folder = way.parent().unwrap_or(Path::new("/"));
                steps.extend(self.step(folder, way.file_name().map(OsString::from), path));
            }
        }
        *self.steps.borrow_mut() = steps;
    }

    fn step(&self, at: &Path, name: Option<OsString>, path: usize) -> Option<Step> {
        let flags = if name.is_some() { IN_FOLDER } else { ON_FILE };
        let watch = inotify::add_watch(&self.inotify, at, flags).ok()?;
        Some(Step { watch, name, path })
    }

    /// Takes what has happened; whether any of it concerns a path.
    fn drain(&self) -> bool {
        let mut place = [MaybeUninit::uninit(); 4096];
        let mut events = Reader::new(&self.inotify, &mut place);
        let mut concerns = false;
        while let Ok(event) = events.next() {
            let name = event.file_name().map(|name| name.to_bytes());
            concerns |= self.on_event(event.wd(), name, event.events());
        }
        if concerns {
            self.renew();
        }
        concerns
    }

    fn on_event(&self, watch: i32, name: Option<&[u8]>, what: ReadFlags) -> bool {
        let mut concerns = what.contains(ReadFlags::QUEUE_OVERFLOW);
        for step in self.steps.borrow().iter().filter(|step| step.watch == watch) {
            if step.name.as_ref().map(|name| name.as_bytes()) == name {
                concerns = true;
                self.on_step(step.path, what);
            }
        }
        concerns
    }

    fn on_step(&self, path: usize, what: ReadFlags) {
        let is_done = what.intersects(ReadFlags::CLOSE_WRITE | ReadFlags::MOVED_TO);
        let is_begun = what.contains(ReadFlags::MODIFY) || what.contains(ReadFlags::CREATE) && self.is_plain(path);
        let mut open = self.open.borrow_mut();
        if let (Some(open), true) = (open.get_mut(path), is_done || is_begun) {
            *open = !is_done;
        }
    }

    /// A symbolic link or a folder is there at once, and is closed by nobody.
    fn is_plain(&self, path: usize) -> bool {
        let path = self.paths.get(path);
        path.is_some_and(|path| std::fs::symlink_metadata(path).is_ok_and(|found| found.is_file()))
    }
}

/// The names that lead to `path`: its own, and for each symbolic link on the way the link's and its target's.
fn ways(path: &Path) -> Vec<PathBuf> {
    let mut ways = Vec::new();
    let mut next = std::path::absolute(path).ok();
    while let Some(way) = next.take_if(|_| ways.len() < MAX_SYMLINKS) {
        if let Some((link, target)) = first_link(&way) {
            ways.push(link);
            next = Some(target);
        }
        ways.push(way);
    }
    ways
}

/// The first symbolic link in `path`, and what `path` becomes by following it.
fn first_link(path: &Path) -> Option<(PathBuf, PathBuf)> {
    let mut prefixes: Vec<&Path> = path.ancestors().collect();
    prefixes.reverse();
    prefixes.into_iter().find_map(|prefix| {
        let target = std::fs::read_link(prefix).ok()?;
        let rest = path.strip_prefix(prefix).ok()?;
        let followed = prefix.parent()?.join(target);
        // Joining nothing would add a slash.
        let followed = if rest.as_os_str().is_empty() {
            followed
        } else {
            followed.join(rest)
        };
        Some((prefix.to_owned(), followed))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_way_over_links_names_each_of_them() {
        let dir = std::env::temp_dir().join(format!("pinhole-watch-{}", std::process::id()));
        fs::create_dir_all(dir.join("v1")).unwrap();
        fs::write(dir.join("v1/file"), "").unwrap();
        symlink("v1", dir.join("..data")).unwrap();
        symlink("..data/file", dir.join("file")).unwrap();
        let names: Vec<_> = ways(&dir.join("file"))
            .into_iter()
            .map(|way| way.strip_prefix(&dir).unwrap().to_owned())
            .collect();
        let expected = ["file", "file", "..data", "..data/file", "v1/file"].map(PathBuf::from);
        assert_eq!(names, expected);

        symlink("loop", dir.join("loop")).unwrap();
        assert!(ways(&dir.join("loop")).len() <= MAX_SYMLINKS + 2);
        fs::remove_dir_all(&dir).unwrap();
    }
}
