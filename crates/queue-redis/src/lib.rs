//! The way from a request to the sequencer over Redis Streams.
//!
//! Several API nodes submit to one log, and one worker receives and settles; others stand by. The
//! [`Queue`](audittrail_queue::Queue) trait is the contract; docs/formats.md has the keys and bytes.
//!
//! # Use
//!
//! ```no_run
//! # async fn example(keys: audittrail_entry::KeyRing) -> Result<(), Box<dyn std::error::Error>> {
//! use audittrail_queue_redis::{Options, RedisQueue, RedisSettings, signed_by};
//!
//! let origin = "log.example/audit";
//! let settings = RedisSettings::parse("rediss://audittrail:secret@redis.example/0")?;
//! // The node's name is new at each start: a random part is the simplest.
//! let options = Options::new(origin, "api-1.5f2c9a");
//! let check = signed_by(keys, origin.to_owned());
//! let (queue, report) = RedisQueue::connect(settings, options, check).await?;
//! if let Some(why) = &report.not_durable {
//!     // `ack=queued` cannot be promised; with `ack=committed` all is well.
//! }
//! let background = queue.run(); // to be spawned
//! # Ok(())
//! # }
//! ```
//!
//! An API node calls `submit` (and `depth`, `is_durable`) and nothing else; it needs `run` for the
//! answers. A worker takes the lead of the log in the store, calls [`RedisQueue::take_over`], then
//! `receive` and `settle` as the sequencer does. One that stands by does not call `receive`: that
//! alone takes requests. Both may be one process.
//!
//! Nothing here spawns, but for the `redis` library: a task for each connection, on the runtime that
//! it was made on.
//!
//! # What holds
//!
//! - A request is one entry of a stream: it is delivered whole or not at all. It leaves the stream
//!   only when it is settled, by its id; nothing is trimmed by length or age.
//! - Scripts change the stream and what is counted of it in one step, so bounds hold over all nodes.
//! - `settle` counts only for the consumer that has the request. A worker that lost the lead, or a
//!   command that arrives late over a connection that was given up, settles nothing.
//! - What was, or may have been, delivered before is marked. A server that came back from a crash,
//!   or a replica that became master, may have forgotten that it delivered: all that its stream has
//!   then is marked.
//! - `submit` says `Unknown` where Redis did not answer, and `Unavailable` only where nothing was
//!   queued. While there is no connection it refuses at once, and nothing is kept.
//! - Who waits is answered through a stream of his node, which ends with the node. An answer that
//!   does not come within [`Options::answer_time`] is `Unknown`.
//! - A request that was acknowledged as queued leaves the stream only when it is committed, or for
//!   the dead letters. Refused, it comes again about a second later, marked. Entries of it whose ids
//!   are taken are committed under other ids by the sequencer; only one that cannot do so, since it
//!   has no key or their sealed parts are missing, settles a conflict.
//! - Who can write to this Redis can delete requests, or have them delivered twice. He cannot make
//!   an entry that is stored, or change one: [`signed_by`] sends it to the dead letters. But answers
//!   are not authenticated: he can delete a request and tell whoever waits that it is committed, at
//!   an index of his choice. Let nobody but the log's own processes write there; a client that asks
//!   for a proof of inclusion finds it out.
//!
//! # What Redis is asked for
//!
//! `EVAL`, `EVALSHA`, `EXISTS`, `HMGET`, `HSET`, `PEXPIRE`, `PING`, `XACK`, `XADD`, `XAUTOCLAIM`,
//! `XCLAIM`, `XDEL`, `XGROUP`, `XINFO`, `XLEN`, `XPENDING`, `XRANGE`, `XREAD`, `XREADGROUP`; and,
//! where they are allowed, `CONFIG GET`, `INFO`, `ROLE`. Redis 6.2 or later, one server or one that
//! sentinels name; no Redis Cluster.

mod answer;
mod check;
mod held;
mod keys;
mod link;
mod message;
mod queue;
mod receiving;
mod scripts;
mod server;
mod settings;
mod value;
mod waiting;

pub use check::{Check, signed_by};
pub use message::{MessageError, decode_request, encode_request};
pub use queue::{Options, RedisQueue};
pub use server::{ConnectError, Report};
pub use settings::{RedisSettings, SettingsError};
