//! What happened, as one hash: two runs with one hash did the same in the same order.

use std::cell::RefCell;
use std::rc::Rc;

use sha2::{Digest as _, Sha256};

/// The trace of a simulation; clones are the same one.
#[derive(Clone, Default)]
pub(crate) struct Trace(Rc<RefCell<Written>>);

#[derive(Default)]
struct Written {
    hash: Sha256,
    /// Printed as it is written.
    shown: bool,
}

impl Trace {
    pub(crate) fn new(shown: bool) -> Self {
        let hash = Sha256::new();
        Self(Rc::new(RefCell::new(Written { hash, shown })))
    }

    /// A step of the scheduler: many, and so in few bytes.
    pub(crate) fn step(&self, task: u64) {
        self.0.borrow_mut().hash.update(task.to_be_bytes());
    }

    /// Something worth reading.
    #[expect(clippy::print_stdout, reason = "who replays a seed wants to see it")]
    pub(crate) fn event(&self, what: &str) {
        let mut written = self.0.borrow_mut();
        written.hash.update((what.len() as u64).to_be_bytes());
        written.hash.update(what.as_bytes());
        if written.shown {
            println!("{what}");
        }
    }

    /// Content that is too long to be read.
    pub(crate) fn bytes(&self, bytes: &[u8]) {
        let mut written = self.0.borrow_mut();
        written.hash.update((bytes.len() as u64).to_be_bytes());
        written.hash.update(bytes);
    }

    pub(crate) fn digest(&self) -> [u8; 32] {
        self.0.borrow().hash.clone().finalize().into()
    }
}
