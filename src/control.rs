//! The control socket of what runs, and the question to one: `net::control` with an answer.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::StartError;
use crate::config::{self, Config};
use crate::net::control::{self, Control};
use crate::status::Snapshot;

/// What can say how it is: a running server or client.
pub trait Reporting {
    /// As it is now.
    fn snapshot(&self) -> Snapshot;
}

/// Where somebody can ask it, if anywhere.
pub struct ControlSocket {
    of: Rc<dyn Reporting>,
    control: RefCell<Option<Control>>,
}

impl ControlSocket {
    /// Nowhere yet.
    pub fn new(of: Rc<dyn Reporting>) -> ControlSocket {
        ControlSocket {
            of,
            control: RefCell::default(),
        }
    }

    /// At `path` alone from now on; `None`: nowhere. If that cannot be, it stays as it was.
    pub fn open(&self, path: Option<&Path>) -> Result<(), StartError> {
        let control = path.map(|path| self.open_at(path)).transpose()?;
        *self.control.borrow_mut() = control;
        Ok(())
    }

    fn open_at(&self, path: &Path) -> Result<Control, StartError> {
        let of = self.of.clone();
        let answer = Rc::new(move |json| {
            let snapshot = of.snapshot();
            if json { snapshot.json() } else { snapshot.text() }
        });
        Control::open(path, answer)
            .map_err(|error| StartError(format!("cannot open control_socket {}: {error}", path.display())))
    }
}

/// Asks a running pinhole how it is: at its control socket `path`, or at the one that the configuration `path` names.
pub fn ask_status(path: &Path, json: bool) -> Result<String, StartError> {
    let socket = if !path.is_file() {
        path.to_owned()
    } else {
        named_socket(path)?
    };
    let answer = control::ask(&socket, json);
    answer.map_err(|error| StartError(format!("no answer from {}: {error}", socket.display())))
}

fn named_socket(file: &Path) -> Result<PathBuf, StartError> {
    let configs = config::check(file, None).map_err(|errors| StartError(errors.to_string()))?;
    let named = configs.iter().find_map(Config::control_socket).map(Path::to_owned);
    named.ok_or_else(|| StartError(format!("{} sets no control_socket", file.display())))
}
