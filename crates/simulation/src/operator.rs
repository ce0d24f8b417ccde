//! Who starts the server, and what happens to it.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use audittrail_queue::Queue as _;
use audittrail_store::Store as _;
use audittrail_store_embedded::disk::{FaultMode, Operation};
use tokio::sync::oneshot;

use crate::check::check;
use crate::process::{Conditions, Process};
use crate::scheduler::Owner;
use crate::world::{End, World};

/// How a life ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// By force.
    Crashed,
    /// The sequencer could not go on.
    Fatal,
    /// It was asked to stop.
    Stopped,
}

/// Lives one after the other, then a last look on a sound disk.
pub(crate) async fn operate(world: Rc<World>, lives: u64) {
    if let Err(why) = all_lives(&world, lives).await {
        world.violated(why);
    }
}

async fn all_lives(world: &Rc<World>, lives: u64) -> Result<(), String> {
    // What an index costs in time is spent in some simulations only.
    let indexing = world.dice.percent(12);
    for _ in 0..lives {
        if world.dice.percent(30) {
            inject(world, 12);
        }
        let power = world.dice.percent(70);
        match world.dice.below(0..100) {
            0..8 => {
                world.disk.end_after(world.dice.below(0..30));
                world.end.set(End::InOperation);
            }
            8..12 => world.end_soon(world.dice.below(0..60), power),
            _ => {}
        }
        let conditions = Conditions::of(&world.dice, indexing);
        let Some(process) = start(world, conditions).await else {
            world.ledger.borrow_mut().counts.failed_starts += 1;
            continue;
        };
        world.disk.heal();
        world.end.set(End::Never);
        check(world, &process, false).await?;
        live(world, process, conditions).await?;
    }
    last_look(world, indexing).await
}

/// Starts the server; none if that failed, or it was ended by force meanwhile.
async fn start(world: &Rc<World>, conditions: Conditions) -> Option<Process> {
    let (started_to, started) = oneshot::channel();
    let starting = Rc::clone(world);
    world.alive.set(true);
    world.scheduler.spawn(Owner::Process, async move {
        let _ = started_to.send(Process::start(&starting, conditions).await);
    });
    let outcome = started.await;
    if !world.alive.get() {
        world.crashed.notified().await;
        return None;
    }
    match outcome {
        Ok(Ok(process)) => return Some(process),
        Ok(Err(why)) => world.trace.event(&format!("no start: {why}")),
        Err(_) => world.violated("a start ended without an answer"),
    }
    world.kill(world.dice.percent(50));
    None
}

/// Serves until something ends it.
async fn live(
    world: &Rc<World>,
    mut process: Process,
    conditions: Conditions,
) -> Result<(), String> {
    *world.store.borrow_mut() = Some(Arc::clone(&process.store));
    world.network.connect(Some(process.router.clone()));
    let sound = plan(world) && conditions.failing == 0;
    let longest = match world.dice.below(0..100) {
        0..96 => world.dice.below(100..2_500),
        // Beyond what requests wait for.
        _ => world.dice.below(30_000..70_000),
    };
    world.pace.set(1 + longest / 20);
    let ended = tokio::select! {
        biased;
        () = world.crashed.notified() => Ended::Crashed,
        _ = &mut process.ended => Ended::Fatal,
        () = tokio::time::sleep(Duration::from_millis(longest)) => Ended::Stopped,
    };
    world.trace.event(&format!("{ended:?}"));
    match ended {
        Ended::Crashed => {
            world.ledger.borrow_mut().counts.crashes += 1;
            Ok(())
        }
        Ended::Fatal => {
            world.ledger.borrow_mut().counts.fatal_ends += 1;
            // As the server does: who waits learns that nobody knows.
            process.queue.abandon();
            process.stop.send_replace(true);
            world.wait_to_kill(200).await;
            Ok(())
        }
        Ended::Stopped => {
            world.ledger.borrow_mut().counts.stops += 1;
            let stopped = stop(world, &mut process, sound).await;
            world.end_now();
            stopped
        }
    }
}

/// Stops as the server does at a signal: nothing more is accepted, what was accepted is finished,
/// and the last checkpoint is published.
async fn stop(world: &Rc<World>, process: &mut Process, sound: bool) -> Result<(), String> {
    process.stop.send_replace(true);
    world.network.connect(None);
    tokio::select! {
        biased;
        () = world.crashed.notified() => return Ok(()),
        () = tokio::time::sleep(Duration::from_secs(5)) => {}
    }
    process.queue.close();
    let outcome = tokio::select! {
        biased;
        () = world.crashed.notified() => return Ok(()),
        outcome = &mut process.ended => outcome,
    };
    if !sound {
        return Ok(());
    }
    match outcome {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(format!("a stop ended with: {error}")),
        Err(_) => return Err("the sequencer ended without an answer".to_owned()),
    }
    let head = process.store.head().await.map_err(|e| e.to_string())?;
    if process.published.borrow().head != head {
        return Err("a stop left entries that no checkpoint covers".to_owned());
    }
    Ok(())
}

/// What will happen in a life; whether nothing is wrong with its disk.
fn plan(world: &Rc<World>) -> bool {
    let dice = &world.dice;
    match dice.below(0..100) {
        0..55 => {
            let within = 1 << dice.below(3..12);
            world.end_soon(dice.below(0..within), dice.percent(65));
        }
        55..75 => {
            world.disk.end_after(dice.below(0..60));
            world.end.set(End::InOperation);
        }
        _ => {}
    }
    if dice.percent(45) {
        return true;
    }
    let weather = Rc::clone(world);
    world.scheduler.spawn(Owner::Process, async move {
        for _ in 0..weather.dice.below(1..4) {
            let pause = Duration::from_millis(weather.dice.below(0..800));
            tokio::time::sleep(pause).await;
            change(&weather).await;
        }
    });
    false
}

/// Something goes wrong, or is set right.
async fn change(world: &Rc<World>) {
    const DAY: i64 = 86_400_000_000_000;
    let dice = &world.dice;
    match dice.below(0..10) {
        0..5 => inject(world, 4),
        5..7 => {
            let room = dice.below(0..6_000);
            world.trace.event(&format!("room for {room} bytes"));
            world.disk.fill_up(room);
            tokio::time::sleep(Duration::from_millis(dice.below(1..900))).await;
            world.disk.make_room();
        }
        _ => {
            let step = *dice.pick(&[DAY, -DAY, -1_000_000_000, -3_600_000_000_000, 5_000_000]);
            world.trace.event(&format!("the clock is set by {step} ns"));
            world.clock.step(step);
        }
    }
}

/// One operation on the disk will fail.
fn inject(world: &World, spread: u64) {
    const OPERATIONS: [Operation; 9] = [
        Operation::Open,
        Operation::Write,
        Operation::Write,
        Operation::SetLen,
        Operation::SyncData,
        Operation::Rename,
        Operation::Remove,
        Operation::CreateDirectory,
        Operation::SyncDirectory,
    ];
    const MODES: [FaultMode; 3] = [FaultMode::NotDone, FaultMode::Done, FaultMode::Partly];
    let (operation, mode) = (*world.dice.pick(&OPERATIONS), *world.dice.pick(&MODES));
    let after = u32::try_from(world.dice.below(0..spread)).unwrap_or(0);
    world
        .trace
        .event(&format!("{operation:?} will fail, {mode:?}, after {after}"));
    world.disk.fail(operation, after, mode);
}

/// Everything is there on a sound disk, and stays there.
async fn last_look(world: &Rc<World>, indexing: bool) -> Result<(), String> {
    world.closing.set(true);
    world.disk.heal();
    world.end.set(End::Never);
    let conditions = Conditions::sound(&world.dice, indexing);
    let Some(mut process) = start(world, conditions).await else {
        return Err("the last start failed, on a sound disk".to_owned());
    };
    check(world, &process, true).await?;
    stop(world, &mut process, true).await?;
    world.ledger.borrow_mut().counts.steps_of_index += process.store.index_position().1;
    Ok(())
}

impl World {
    /// The process is ended by force after so many steps.
    fn end_soon(&self, steps: u64, power: bool) {
        let step = self.scheduler.steps() + steps;
        self.end.set(End::AtStep { step, power });
    }

    /// The process ends a little later, and perhaps by force before.
    async fn wait_to_kill(&self, longest_ms: u64) {
        let pause = Duration::from_millis(self.dice.below(0..longest_ms));
        tokio::select! {
            biased;
            () = self.crashed.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
        self.end_now();
    }

    /// The process ends, if it has not; with it perhaps the power.
    fn end_now(&self) {
        self.end.set(End::Never);
        if self.alive.get() {
            self.kill(self.dice.percent(30));
        }
    }
}
