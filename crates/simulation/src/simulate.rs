//! One seed.

use std::cell::Cell;
use std::rc::Rc;

use crate::clients::client;
use crate::ledger::Counts;
use crate::listeners::listener;
use crate::operator::operate;
use crate::planted::Planted;
use crate::scheduler::Owner;
use crate::world::World;

/// What a seed gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The hash of all that happened, in order.
    pub trace: [u8; 32],
    /// What it came through.
    pub counts: Counts,
    /// What did not hold, if anything.
    pub violation: Option<String>,
}

/// Runs a seed. `shown` prints what happens.
///
/// # Errors
/// If the system has no runtime to give.
pub fn simulate(seed: u64, planted: Planted, shown: bool) -> std::io::Result<Run> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()?;
    Ok(runtime.block_on(run(seed, planted, shown)))
}

async fn run(seed: u64, planted: Planted, shown: bool) -> Run {
    let world = World::new(seed, planted, shown);
    let ended = Rc::new(Cell::new(false));
    let lives = world.dice.below(2..6);
    for _ in 0..world.dice.below(1..5) {
        let client = client(Rc::clone(&world));
        world.scheduler.spawn(Owner::World, client);
    }
    for _ in 0..world.dice.below(0..2) {
        world
            .scheduler
            .spawn(Owner::World, listener(Rc::clone(&world)));
    }
    {
        let (operated, ended) = (operate(Rc::clone(&world), lives), Rc::clone(&ended));
        world.scheduler.spawn(Owner::World, async move {
            operated.await;
            ended.set(true);
        });
    }
    let watched = Rc::clone(&world);
    let done = move || {
        watched.strike();
        ended.get() || watched.has_failed()
    };
    world.scheduler.run(done).await;
    world.network.connect(None);
    world.scheduler.end_all();
    let violation = world.failure.take();
    let counts = world.ledger.borrow().counts;
    Run {
        trace: world.trace.digest(),
        counts,
        violation,
    }
}
