//! The names of what is kept in Redis; docs/formats.md has the list.

/// The consumer group of those that sequence.
pub(crate) const GROUP: &str = "sequencer";
/// The longest name of a node, in bytes.
const LONGEST_NODE: usize = 64;

/// The keys of one log.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    prefix: String,
    /// The stream of requests that are not settled.
    pub(crate) requests: String,
    /// How much is in it.
    pub(crate) depth: String,
    /// The stream of what could not be delivered.
    pub(crate) dead: String,
}

impl Keys {
    pub(crate) fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
            requests: format!("{prefix}:requests"),
            depth: format!("{prefix}:depth"),
            dead: format!("{prefix}:dead"),
        }
    }

    /// The stream of answers to a node.
    pub(crate) fn answers(&self, node: &str) -> String {
        format!("{}:answers:{node}", self.prefix)
    }
}

/// Whether a node can be called so: a message brings such a name, and it becomes part of a key.
pub(crate) fn is_node(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=LONGEST_NODE).contains(&name.len()) && name.bytes().all(plain)
}
