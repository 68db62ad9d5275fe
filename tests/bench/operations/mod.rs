//! The operations that are measured. Noise is left out of a build without it.

mod codec;
mod noise;
mod session;

/// Something to be done again and again.
pub struct Operation {
    /// What it is called.
    pub name: &'static str,
    /// Bytes of payload that it carries; 0: it is not for that.
    pub bytes: usize,
    /// Does it once.
    pub run: Box<dyn FnMut()>,
}

impl Operation {
    fn new(name: &'static str, bytes: usize, run: impl FnMut() + 'static) -> Operation {
        let run = Box::new(run);
        Operation { name, bytes, run }
    }
}

/// All of them, ready to run.
pub fn operations() -> Vec<Operation> {
    [codec::operations(), session::operations(), noise::operations()]
        .into_iter()
        .flatten()
        .collect()
}
