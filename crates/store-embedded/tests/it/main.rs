//! The embedded store from outside.

mod crashes;
mod support;
