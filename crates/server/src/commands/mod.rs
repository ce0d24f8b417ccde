//! The commands.

pub(crate) mod backup;
pub(crate) mod bench;
pub(crate) mod copy;
mod copying;
pub(crate) mod export;
pub(crate) mod fsck;
pub(crate) mod health;
pub(crate) mod import;
mod inputs;
pub(crate) mod keys;
pub(crate) mod manual;
pub(crate) mod monitor;
mod partial;
pub(crate) mod prove;
mod remote;
pub(crate) mod restore;
pub(crate) mod scrub;
pub(crate) mod serve;
pub(crate) mod token;
pub(crate) mod verify;
mod verify_page;
mod verify_threads;
pub(crate) mod whole;
pub(crate) mod worker;
