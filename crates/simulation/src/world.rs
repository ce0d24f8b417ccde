//! What is around the server's process, and outlives it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use audittrail_store::Store as _;
use audittrail_store_embedded::EmbeddedStore;
use audittrail_store_embedded::disk::{Disk, SimulatedDisk};
use futures_util::FutureExt as _;
use tokio::sync::Notify;

use crate::clock::SetClock;
use crate::dice::Dice;
use crate::ledger::Ledger;
use crate::network::Network;
use crate::planted::Planted;
use crate::scheduler::Scheduler;
use crate::trace::Trace;

/// When the process ends, if nothing ends it before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// At a step of the scheduler: SIGKILL, or a power cut.
    AtStep { step: u64, power: bool },
    /// In an operation on the disk, by a power cut: the disk says when.
    InOperation,
    /// Not by force.
    Never,
}

/// The world of one simulation.
pub(crate) struct World {
    pub(crate) scheduler: Scheduler,
    pub(crate) dice: Dice,
    pub(crate) trace: Trace,
    pub(crate) clock: SetClock,
    pub(crate) disk: SimulatedDisk,
    pub(crate) network: Network,
    pub(crate) planted: Planted,
    pub(crate) ledger: RefCell<Ledger>,
    /// Told when the process was ended by force.
    pub(crate) crashed: Notify,
    pub(crate) end: Cell<End>,
    /// Whether there is a process.
    pub(crate) alive: Cell<bool>,
    /// The time between a client's requests, in milliseconds at the most.
    pub(crate) pace: Cell<u64>,
    /// Clients begin nothing more.
    pub(crate) closing: Cell<bool>,
    /// The store of the process, while it is reached.
    pub(crate) store: RefCell<Option<Arc<EmbeddedStore>>>,
    pub(crate) failure: RefCell<Option<String>>,
}

impl World {
    pub(crate) fn new(seed: u64, planted: Planted, shown: bool) -> Rc<Self> {
        let (dice, trace) = (Dice::new(seed), Trace::new(shown));
        let scheduler = Scheduler::new(dice.clone(), trace.clone());
        Rc::new(Self {
            network: Network::new(&scheduler, &dice, &trace),
            scheduler,
            clock: SetClock::new(),
            disk: SimulatedDisk::new(seed ^ 0xd15c),
            planted,
            ledger: RefCell::default(),
            crashed: Notify::new(),
            end: Cell::new(End::Never),
            alive: Cell::new(false),
            pace: Cell::new(100),
            closing: Cell::new(false),
            store: RefCell::default(),
            failure: RefCell::default(),
            dice,
            trace,
        })
    }

    /// Says that something does not hold; the first of these is what the simulation ends with.
    pub(crate) fn violated(&self, what: impl Into<String>) {
        let what = what.into();
        self.trace.event(&format!("violated: {what}"));
        self.failure.borrow_mut().get_or_insert(what);
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failure.borrow().is_some()
    }

    pub(crate) fn disk_of_process(&self) -> Arc<dyn Disk> {
        self.planted.disk(&self.disk)
    }

    /// A start found a checkpoint of this size kept.
    pub(crate) fn found_kept(&self, size: u64) {
        let shown = self.ledger.borrow().newest_shown;
        if size < shown {
            self.violated(format!(
                "a checkpoint of size {shown} was shown, and the one that was kept is of {size}"
            ));
        }
    }

    /// The size of the log that readers can see now; none without a server.
    pub(crate) fn size(&self) -> Option<u64> {
        let store = self.store.borrow();
        let head = store.as_ref()?.head().now_or_never()?;
        Some(head.ok()?.size)
    }

    /// Ends the process by force where that is due: looked at after every step.
    pub(crate) fn strike(&self) {
        let power = match self.end.get() {
            End::Never => return,
            End::AtStep { step, power } if self.scheduler.steps() >= step => power,
            End::InOperation if self.disk.has_ended() => true,
            End::AtStep { .. } | End::InOperation => return,
        };
        self.end.set(End::Never);
        if !self.alive.get() {
            return;
        }
        self.kill(power);
        self.crashed.notify_one();
    }

    /// The process ends now; with the power, what was not synced may be lost.
    pub(crate) fn kill(&self, power: bool) {
        self.trace.event(if power { "power cut" } else { "killed" });
        self.alive.set(false);
        self.network.connect(None);
        drop(self.store.take());
        self.scheduler.end_process();
        self.disk.heal();
        if power {
            self.ledger.borrow_mut().counts.power_cuts += 1;
            self.disk.cut_power();
        } else {
            self.disk.kill();
        }
    }
}
