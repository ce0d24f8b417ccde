//! The steps of workers, of the network and of crashes.

use crate::database::Ended;
use crate::{Database, Doc, Found, Log, Step, Worker, Write};

/// So many workers there can be.
pub const WORKERS: usize = 3;
/// So many writes can be on their way with nobody waiting for them.
pub const FLYING: usize = 4;
/// The entries of each request.
const REQUESTS: [&[u8]; 3] = [&[0, 1], &[2], &[3]];

/// How much of it is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Workers, up to [`WORKERS`].
    pub workers: usize,
    /// Requests: the first has two entries, the others one; three at the most.
    pub requests: usize,
    /// So many times somebody takes over.
    pub epochs: u8,
    /// So many writes are done at any later time, or never, with no answer.
    pub late: u8,
}

/// What can be wrong with a protocol that looks much like this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// The head moves whatever the epoch.
    HeadWithoutEpoch,
    /// The head moves whatever its size and root are.
    HeadWithoutSize,
    /// A take-over removes documents of all epochs.
    RemoveWithoutEpoch,
    /// A take-over does not raise the epoch, and removes what has the same.
    TakeOverWithoutEpoch,
    /// The client is told when the entries are in, before the head has moved.
    ToldBeforeHead,
    /// After an insert without an answer the same is inserted again, and what is there already is
    /// taken for one's own.
    RetryInPlace,
    /// Who did not hear of its move takes a head that has gone as far for its own.
    AskedBySize,
    /// Nothing makes ids unique.
    NoUniqueId,
    /// A checkpoint is kept whatever the epoch and the kept one's size.
    CheckpointUnconditional,
    /// A checkpoint is kept whatever the kept one's size.
    CheckpointWithoutSize,
    /// A checkpoint is kept whatever the epoch.
    CheckpointWithoutEpoch,
    /// A checkpoint is made of what is inserted, before the head has moved.
    SignBeforeHead,
    /// What is found by its id, and then lies below the head, is taken to be there.
    FoundBeforeHead,
}

/// The model.
#[derive(Debug, Clone, Copy)]
pub struct Protocol {
    /// How much of it is looked at.
    pub bounds: Bounds,
    /// Nothing for the protocol as it is.
    pub wrong: Option<Wrong>,
}

/// One step. Numbers are positions of workers, or of writes on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Raises the epoch.
    TakeOver(usize),
    /// Removes the next document, or has removed all.
    Remove(usize),
    /// Takes a request of the queue: any that nobody was told of, since it may be delivered again at
    /// any time. With `look_up` its ids are looked up, as those of a request that came before are.
    Receive {
        /// The worker.
        worker: usize,
        /// The request.
        request: u8,
        /// Whether the ids are looked up.
        look_up: bool,
    },
    /// The next read of a look-up.
    Read(usize),
    /// Inserts one of the entries: parts of a batch are inserted side by side.
    Insert(usize, u8),
    /// Moves the head and hears of it.
    Move(usize),
    /// Moves the head and does not hear of it.
    Unheard(usize),
    /// Asks whether the head has the batch.
    Ask(usize),
    /// Keeps a checkpoint.
    Keep(usize),
    /// The write that is next is sent and not heard of: it is done at any later time, or never.
    Late(usize),
    /// Dies, and starts anew with nothing in memory.
    Crash(usize),
    /// A write that was sent arrives, or goes on.
    Arrive(usize),
}

/// Everything at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct State {
    /// The database.
    pub db: Database,
    /// Writes that nobody waits for any more, in order.
    pub flying: [Option<Write>; FLYING],
    /// Workers, in order: who is who makes no difference.
    pub workers: [Worker; WORKERS],
    /// Where clients were told that their requests are.
    pub told: [Option<u8>; 3],
    /// So many writes were late.
    pub late: u8,
    /// A head did not extend the one before it.
    pub forked: bool,
    /// A checkpoint was signed, or kept, that does not fit the log or the one kept before it.
    pub bad_checkpoint: bool,
    /// Something untrue was said of where an entry is.
    pub untrue: bool,
}

impl Protocol {
    /// The entries of a request.
    pub fn entries(&self, request: u8) -> &'static [u8] {
        REQUESTS[usize::from(request)]
    }

    /// What can happen next.
    pub fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for worker in 0..self.bounds.workers {
            if worker > 0 && state.workers[worker] == state.workers[worker - 1] {
                continue;
            }
            self.actions_of(state, worker, actions);
        }
        for at in 0..FLYING {
            let is_same = at > 0 && state.flying[at] == state.flying[at - 1];
            if state.flying[at].is_some() && !is_same {
                actions.push(Action::Arrive(at));
            }
        }
    }

    fn actions_of(&self, state: &State, worker: usize, actions: &mut Vec<Action>) {
        let own = &state.workers[worker];
        let free = state.flying.iter().filter(|one| one.is_none()).count();
        let late = state.late < self.bounds.late && free >= 2;
        let rises = self.wrong != Some(Wrong::TakeOverWithoutEpoch);
        match own.step {
            Step::Out => {
                if state.db.head.epoch >= self.bounds.epochs && rises {
                    return;
                }
                actions.push(Action::TakeOver(worker));
            }
            Step::Removing(_) => actions.push(Action::Remove(worker)),
            Step::Leads => {
                for request in 0..self.bounds.requests {
                    if state.told[request].is_none() {
                        let request = request as u8;
                        for look_up in [false, true] {
                            actions.push(Action::Receive {
                                worker,
                                request,
                                look_up,
                            });
                        }
                    }
                }
                if own.log.size() > 0 {
                    actions.push(Action::Keep(worker));
                }
            }
            Step::Looking { .. } | Step::Again { .. } => actions.push(Action::Read(worker)),
            Step::Inserting { request, done } => {
                let entries = 0..self.entries(request).len() as u8;
                let left = entries.filter(|entry| done >> entry & 1 == 0);
                actions.extend(left.map(|entry| Action::Insert(worker, entry)));
            }
            Step::Moving { .. } => {
                actions.extend([Action::Move(worker), Action::Unheard(worker)]);
                if self.wrong == Some(Wrong::SignBeforeHead) {
                    actions.push(Action::Keep(worker));
                }
            }
            Step::Asking { .. } => actions.push(Action::Ask(worker)),
        }
        let writes = !matches!(
            own.step,
            Step::Looking { .. } | Step::Again { .. } | Step::Asking { .. }
        );
        if late && writes && !(own.step == Step::Leads && own.log.size() == 0) {
            actions.push(Action::Late(worker));
        }
        if own.step != Step::Out {
            actions.push(Action::Crash(worker));
        }
    }

    /// What comes of it; nothing where nothing changes.
    pub fn next(&self, state: &State, action: Action) -> Option<State> {
        let mut next = *state;
        match action {
            Action::TakeOver(worker) => {
                self.write(&mut next, Write::Raise);
                let head = next.db.head;
                next.workers[worker] = Worker {
                    epoch: head.epoch,
                    log: head.log,
                    step: Step::Removing(head.log.size()),
                };
            }
            Action::Remove(worker) => {
                let own = state.workers[worker];
                let ended = self.write(&mut next, next_write(&own)?);
                let step = match ended {
                    Ended::Goes(Write::Remove { from, .. }) => Step::Removing(from),
                    _ => Step::Leads,
                };
                next.workers[worker].step = step;
            }
            Action::Receive {
                worker,
                request,
                look_up,
            } => self.receive(&mut next, worker, request, look_up),
            Action::Read(worker) => self.read(&mut next, worker)?,
            Action::Insert(worker, entry) => self.insert(&mut next, worker, entry)?,
            Action::Move(worker) => {
                let own = state.workers[worker];
                let ended = self.write(&mut next, self.move_of(&own)?);
                if ended == Ended::Done {
                    self.committed(&mut next, worker);
                } else {
                    next.workers[worker] = own.at(Step::Out);
                }
            }
            Action::Unheard(worker) => {
                let own = state.workers[worker];
                let Step::Moving { request } = own.step else {
                    return None;
                };
                self.write(&mut next, self.move_of(&own)?);
                next.workers[worker] = own.at(Step::Asking { request });
            }
            Action::Ask(worker) => {
                let own = state.workers[worker];
                let head = &state.db.head;
                let is_own = match self.wrong {
                    Some(Wrong::AskedBySize) => head.log.size() > own.log.size(),
                    _ => head.batch == Some((own.epoch, own.log.size())),
                };
                if is_own {
                    self.committed(&mut next, worker);
                } else {
                    next.workers[worker] = own.at(Step::Out);
                }
            }
            Action::Keep(worker) => {
                let own = state.workers[worker];
                let keep = self.sign(&mut next, &own);
                let ended = self.write(&mut next, keep);
                if ended == Ended::Not && next.db.head.epoch != own.epoch {
                    next.workers[worker] = own.at(Step::Out);
                }
            }
            Action::Late(worker) => self.late(&mut next, worker)?,
            Action::Crash(worker) => next.workers[worker] = Worker::default(),
            Action::Arrive(at) => {
                let write = state.flying[at]?;
                if write == Write::Raise && state.db.head.epoch >= self.bounds.epochs {
                    return None;
                }
                next.flying[at] = match self.write(&mut next, write) {
                    Ended::Goes(rest) => Some(rest),
                    Ended::Done | Ended::Not => None,
                };
            }
        }
        next.workers[..self.bounds.workers].sort_unstable();
        next.flying.sort_unstable();
        (next != *state).then_some(next)
    }

    /// Does a write, and takes note of what must never be.
    fn write(&self, state: &mut State, write: Write) -> Ended {
        let before = state.db.head;
        let ended = state.db.apply(write, self.wrong);
        let after = &state.db.head;
        state.forked |= !after.log.extends(&before.log);
        state.bad_checkpoint |= !after.kept.extends(&before.kept);
        ended
    }

    fn receive(&self, state: &mut State, worker: usize, request: u8, look_up: bool) {
        let own = state.workers[worker];
        let mut found: Found = [None; 2];
        if look_up {
            let ids = self.entries(request).iter();
            for (place, id) in found.iter_mut().zip(ids) {
                *place = state.db.find(*id);
            }
        }
        match found.iter().flatten().max() {
            // What lies below a size that was read before is in the log.
            Some(last) if *last >= own.log.size() => {
                state.workers[worker].step = Step::Looking { request, found };
            }
            _ => self.decide(state, worker, request, found, own.log.size()),
        }
    }

    fn read(&self, state: &mut State, worker: usize) -> Option<()> {
        let own = state.workers[worker];
        match own.step {
            Step::Looking { request, found } => {
                let size = state.db.head.log.size();
                let last = found.iter().flatten().max()?;
                let any = *last < size || found.iter().flatten().any(|at| *at < size);
                if any && self.wrong != Some(Wrong::FoundBeforeHead) {
                    state.workers[worker].step = Step::Again { request, size };
                } else {
                    self.decide(state, worker, request, found, size);
                }
            }
            Step::Again { request, size } => {
                let mut found: Found = [None; 2];
                let ids = self.entries(request).iter();
                for (place, id) in found.iter_mut().zip(ids) {
                    *place = state.db.find(*id);
                }
                self.decide(state, worker, request, found, size);
            }
            _ => return None,
        }
        Some(())
    }

    /// What is found below the size is told, after its record was read and compared; what is not is
    /// inserted.
    fn decide(&self, state: &mut State, worker: usize, request: u8, found: Found, size: u8) {
        let own = state.workers[worker];
        let entries = self.entries(request);
        let (mut first, mut done, mut same) = (None, 0_u8, true);
        for (entry, (at, id)) in found.iter().zip(entries).enumerate() {
            let Some(at) = at.filter(|at| *at < size) else {
                continue;
            };
            first = first.or(Some(at));
            done |= 1 << entry;
            let doc = state.db.docs[usize::from(at)];
            same &= doc.is_some_and(|doc| doc.id == *id);
        }
        // Nobody has sent anything else under these ids, so this would be no conflict.
        state.untrue |= !same;
        let all = done.count_ones() as usize == entries.len();
        let step = match first {
            Some(first) if all => {
                tell(state, request, first);
                Step::Leads
            }
            _ => Step::Inserting { request, done },
        };
        state.workers[worker] = own.at(step);
    }

    fn insert(&self, state: &mut State, worker: usize, entry: u8) -> Option<()> {
        let own = state.workers[worker];
        let Step::Inserting { request, done } = own.step else {
            return None;
        };
        let ended = self.write(state, self.insert_of(&own, request, entry));
        if ended != Ended::Done && self.wrong != Some(Wrong::RetryInPlace) {
            state.workers[worker] = own.at(Step::Out);
            return Some(());
        }
        let done = done | 1 << entry;
        let step = if done.count_ones() as usize == self.entries(request).len() {
            if self.wrong == Some(Wrong::ToldBeforeHead) {
                tell(state, request, own.log.size());
            }
            Step::Moving { request }
        } else {
            Step::Inserting { request, done }
        };
        state.workers[worker].step = step;
        Some(())
    }

    /// The head has the batch: the client is told, and the worker goes on from there.
    fn committed(&self, state: &mut State, worker: usize) {
        let own = state.workers[worker];
        let (Step::Moving { request } | Step::Asking { request }) = own.step else {
            return;
        };
        tell(state, request, own.log.size());
        state.workers[worker] = Worker {
            log: self.after(&own, request),
            step: Step::Leads,
            ..own
        };
    }

    fn late(&self, state: &mut State, worker: usize) -> Option<()> {
        let own = state.workers[worker];
        state.late += 1;
        match own.step {
            Step::Inserting { request, done } => {
                for entry in 0..self.entries(request).len() as u8 {
                    if done >> entry & 1 == 0 {
                        fly(state, self.insert_of(&own, request, entry))?;
                    }
                }
                if self.wrong != Some(Wrong::RetryInPlace) {
                    state.workers[worker] = own.at(Step::Out);
                }
            }
            Step::Moving { request } => {
                fly(state, self.move_of(&own)?)?;
                state.workers[worker] = own.at(Step::Asking { request });
            }
            // It goes on, and keeps the next one later.
            Step::Leads => {
                let keep = self.sign(state, &own);
                fly(state, keep)?;
            }
            _ => {
                fly(state, next_write(&own)?)?;
                state.workers[worker] = own.at(Step::Out);
            }
        }
        Some(())
    }

    fn after(&self, own: &Worker, request: u8) -> Log {
        own.log.with(self.entries(request).iter().copied())
    }

    fn insert_of(&self, own: &Worker, request: u8, entry: u8) -> Write {
        Write::Insert {
            index: own.log.size() + entry,
            doc: Doc {
                epoch: own.epoch,
                id: self.entries(request)[usize::from(entry)],
            },
        }
    }

    fn move_of(&self, own: &Worker) -> Option<Write> {
        let Step::Moving { request } = own.step else {
            return None;
        };
        Some(Write::Move {
            epoch: own.epoch,
            from: own.log,
            to: self.after(own, request),
        })
    }

    /// Signs a checkpoint of the log that a worker knows.
    fn sign(&self, state: &mut State, own: &Worker) -> Write {
        let log = match own.step {
            Step::Moving { request } => self.after(own, request),
            _ => own.log,
        };
        let head = &state.db.head;
        let fits = log.extends(&head.kept) || head.kept.extends(&log);
        state.bad_checkpoint |= !fits || !head.log.extends(&log);
        Write::Keep {
            epoch: own.epoch,
            log,
        }
    }
}

/// The next write of a take-over.
fn next_write(own: &Worker) -> Option<Write> {
    match own.step {
        Step::Out => Some(Write::Raise),
        Step::Removing(from) => Some(Write::Remove {
            from,
            epoch: own.epoch,
        }),
        _ => None,
    }
}

fn fly(state: &mut State, write: Write) -> Option<()> {
    let free = state.flying.iter_mut().find(|one| one.is_none())?;
    *free = Some(write);
    Some(())
}

fn tell(state: &mut State, request: u8, index: u8) {
    let told = &mut state.told[usize::from(request)];
    state.untrue |= told.is_some_and(|told| told != index);
    *told = Some(index);
}
