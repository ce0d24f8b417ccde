//! The commands.

pub(crate) mod fsck;
pub(crate) mod import;
pub(crate) mod keys;
mod scrub;
pub(crate) mod serve;
pub(crate) mod token;
