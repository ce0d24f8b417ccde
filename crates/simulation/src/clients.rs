//! What clients do, one thing after the other.

use std::rc::Rc;
use std::time::Duration;

use crate::scheduler::give_way;
use crate::world::World;
use crate::{reads, writes};

/// A client until the end.
pub(crate) async fn client(world: Rc<World>) {
    while !world.closing.get() {
        if !world.network.is_connected() && !world.dice.percent(5) {
            // Nobody is there.
            pause(&world, 400).await;
            continue;
        }
        if let Err(why) = one_thing(&world).await {
            world.violated(why);
        }
        if world.dice.percent(30) {
            give_way().await;
        } else {
            pause(&world, world.pace.get()).await;
        }
    }
}

async fn pause(world: &World, longest_ms: u64) {
    let pause = world.dice.below(1..longest_ms + 2);
    tokio::time::sleep(Duration::from_millis(pause)).await;
}

async fn one_thing(world: &Rc<World>) -> Result<(), String> {
    match world.dice.below(0..100) {
        0..38 => writes::write_new(world, false).await,
        38..54 => writes::write_again(world).await,
        54..60 => writes::write_new(world, true).await,
        60..63 => writes::write_nonsense(world).await,
        63..76 => reads::list(world).await,
        76..83 => reads::stats(world).await,
        83..87 => reads::entry(world).await,
        87..91 => reads::proof(world).await,
        91..97 => reads::checkpoint(world).await,
        _ => reads::export(world).await,
    }
}
