//! One thread runs all tasks, and the seed says which of those that can go on does so next.
//!
//! Time is tokio's, paused: it stands still while any task can go on, and then jumps to the next
//! timer. What is ready is kept in order, so that nothing depends on who woke it.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use crate::dice::Dice;
use crate::trace::Trace;

/// Whose a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The server's process: its tasks end with it, wherever they are.
    Process,
    /// The world's around it.
    World,
}

/// Names a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TaskId(u64);

struct Task {
    owner: Owner,
    /// Not there while it is polled.
    future: Option<Pin<Box<dyn Future<Output = ()>>>>,
}

#[derive(Default)]
struct Ready {
    tasks: BTreeSet<TaskId>,
    scheduler: Option<Waker>,
}

fn lock(ready: &Mutex<Ready>) -> MutexGuard<'_, Ready> {
    ready.lock().unwrap_or_else(PoisonError::into_inner)
}

struct TaskWaker {
    task: TaskId,
    ready: Arc<Mutex<Ready>>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        let mut ready = lock(&self.ready);
        ready.tasks.insert(self.task);
        if let Some(scheduler) = ready.scheduler.take() {
            scheduler.wake();
        }
    }
}

struct State {
    tasks: RefCell<BTreeMap<TaskId, Task>>,
    next: Cell<u64>,
    steps: Cell<u64>,
    ready: Arc<Mutex<Ready>>,
    dice: Dice,
    trace: Trace,
}

/// The scheduler; clones are the same one.
#[derive(Clone)]
pub(crate) struct Scheduler(Rc<State>);

impl Scheduler {
    pub(crate) fn new(dice: Dice, trace: Trace) -> Self {
        Self(Rc::new(State {
            tasks: RefCell::default(),
            next: Cell::new(0),
            steps: Cell::new(0),
            ready: Arc::default(),
            dice,
            trace,
        }))
    }

    pub(crate) fn spawn(&self, owner: Owner, future: impl Future<Output = ()> + 'static) -> TaskId {
        let id = TaskId(self.0.next.get());
        self.0.next.set(id.0 + 1);
        // A budget is for threads that others wait for; here it would only be spent unevenly.
        let future: Pin<Box<dyn Future<Output = ()>>> =
            Box::pin(tokio::task::unconstrained(future));
        let task = Task {
            owner,
            future: Some(future),
        };
        self.0.tasks.borrow_mut().insert(id, task);
        lock(&self.0.ready).tasks.insert(id);
        id
    }

    /// Ends a task where it is. One that is being polled ends with its poll.
    pub(crate) fn end(&self, id: TaskId) {
        let ended = self.0.tasks.borrow_mut().remove(&id);
        drop(ended);
    }

    /// Ends all tasks of the process where they are.
    pub(crate) fn end_process(&self) {
        let ended: Vec<Task> = {
            let mut tasks = self.0.tasks.borrow_mut();
            let of_process = tasks.extract_if(.., |_, task| task.owner == Owner::Process);
            of_process.map(|(_, task)| task).collect()
        };
        drop(ended);
    }

    /// Ends everything: tasks hold on to the world, and the world to them.
    pub(crate) fn end_all(&self) {
        let ended = std::mem::take(&mut *self.0.tasks.borrow_mut());
        drop(ended);
    }

    /// How often a task was polled.
    pub(crate) fn steps(&self) -> u64 {
        self.0.steps.get()
    }

    /// Runs until `done` says so, which is asked after every poll of a task.
    pub(crate) async fn run(&self, mut done: impl FnMut() -> bool) {
        poll_fn(|context| {
            loop {
                if done() {
                    return Poll::Ready(());
                }
                let next = {
                    let mut ready = lock(&self.0.ready);
                    if ready.tasks.is_empty() {
                        ready.scheduler = Some(context.waker().clone());
                        return Poll::Pending;
                    }
                    let place = self.0.dice.place(ready.tasks.len());
                    let next = ready.tasks.iter().nth(place).copied();
                    next.inspect(|next| {
                        ready.tasks.remove(next);
                    })
                };
                if let Some(next) = next {
                    self.poll(next);
                }
            }
        })
        .await;
    }

    fn poll(&self, id: TaskId) {
        let future = {
            let mut tasks = self.0.tasks.borrow_mut();
            // One that has ended may have been woken all the same.
            tasks.get_mut(&id).and_then(|task| task.future.take())
        };
        let Some(mut future) = future else { return };
        self.0.steps.set(self.0.steps.get() + 1);
        self.0.trace.step(id.0);
        let waker = Waker::from(Arc::new(TaskWaker {
            task: id,
            ready: Arc::clone(&self.0.ready),
        }));
        let ended = future
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_ready();
        if !ended && let Some(task) = self.0.tasks.borrow_mut().get_mut(&id) {
            task.future = Some(future);
            return;
        }
        let task = self.0.tasks.borrow_mut().remove(&id);
        // What they hold may spawn or end others as it is dropped.
        drop((task, future));
    }
}

/// Lets others go first, if the seed has it so.
pub(crate) async fn give_way() {
    let mut gave = false;
    poll_fn(|context| {
        if std::mem::replace(&mut gave, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
