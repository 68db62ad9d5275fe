//! The control socket: a unix socket, for its owner alone, that answers one question per connection.
//!
//! The question is one line, `json` or `text`; the answer is a snapshot in that form, then the end.

use std::fs::Permissions;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream as Caller;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};

use crate::limits;

use super::task::Owned;

/// Gives a snapshot; `true`: as JSON.
pub type Answer = Rc<dyn Fn(bool) -> String>;

/// An open control socket. Dropping it removes it.
pub struct Control {
    path: PathBuf,
    _task: Owned,
}

impl Control {
    /// Opens the socket at `path`. What a crashed process left there is taken away; what a living one has is not.
    pub fn open(path: &Path, answer: Answer) -> io::Result<Control> {
        if Caller::connect(path).is_ok() {
            return Err(io::Error::new(
                io::ErrorKind::AddrInUse,
                "another process answers there",
            ));
        }
        if is_socket(path) {
            std::fs::remove_file(path)?;
        }
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
        Ok(Control {
            path: path.to_owned(),
            _task: Owned::spawn(serve(listener, answer)),
        })
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Whether `path` is a socket, not a file.
pub fn is_socket(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket())
}

/// Asks the pinhole that has its control socket at `path`.
pub fn ask(path: &Path, json: bool) -> io::Result<String> {
    let mut caller = Caller::connect(path)?;
    let wait = Some(Duration::from_secs(limits::STATUS_TIME));
    caller.set_read_timeout(wait)?;
    caller.set_write_timeout(wait)?;
    caller.write_all(if json { b"json\n" } else { b"text\n" })?;
    let mut answer = String::new();
    caller.read_to_string(&mut answer)?;
    Ok(answer)
}

async fn serve(listener: UnixListener, answer: Answer) {
    let mut callers: Vec<Owned> = Vec::new();
    loop {
        let accepted = listener.accept().await;
        callers.retain(|caller| !caller.is_over());
        match accepted {
            Ok((stream, _)) if callers.len() < limits::MAX_STATUS => {
                callers.push(Owned::spawn(attend(stream, answer.clone())));
            }
            Ok(_) => {}
            Err(_) => tokio::time::sleep(Duration::from_millis(limits::ACCEPT_REST)).await,
        }
    }
}

async fn attend(stream: UnixStream, answer: Answer) {
    let reply = async {
        let json = question(&stream).await?;
        send(&stream, answer(json).as_bytes()).await
    };
    // A caller that dawdles or leaves loses its answer, nothing else.
    let _ = tokio::time::timeout(Duration::from_secs(limits::STATUS_TIME), reply).await;
}

async fn question(stream: &UnixStream) -> io::Result<bool> {
    let mut line = [0; 5];
    let mut got = 0;
    while let Some(rest) = line.get_mut(got..).filter(|rest| !rest.is_empty()) {
        stream.readable().await?;
        match stream.try_read(rest) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => got += n,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    match &line {
        b"json\n" => Ok(true),
        b"text\n" => Ok(false),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}

async fn send(stream: &UnixStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.writable().await?;
        match stream.try_write(bytes) {
            Ok(n) => bytes = bytes.split_at(n).1,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
