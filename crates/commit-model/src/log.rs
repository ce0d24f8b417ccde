//! A log as its root sees it: which entries, in which order.

/// So many entries fit into a log of the model.
pub const ENTRIES: usize = 5;

/// The entries of a log. Two logs with the same entries have the same root, and no others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Log {
    len: u8,
    ids: [u8; ENTRIES],
}

impl Log {
    /// How many entries it has.
    pub fn size(&self) -> u8 {
        self.len
    }

    /// The ids of its entries.
    pub fn ids(&self) -> &[u8] {
        &self.ids[..usize::from(self.len)]
    }

    /// The log with these entries after its own. What does not fit is left out; no correct protocol
    /// gets there.
    #[must_use]
    pub fn with(mut self, ids: impl IntoIterator<Item = u8>) -> Self {
        for id in ids {
            if let Some(place) = self.ids.get_mut(usize::from(self.len)) {
                *place = id;
                self.len += 1;
            }
        }
        self
    }

    /// Whether it continues another.
    pub fn extends(&self, earlier: &Self) -> bool {
        self.ids().starts_with(earlier.ids())
    }

    /// Whether no entry is in it twice.
    pub fn has_each_once(&self) -> bool {
        let ids = self.ids();
        (1..ids.len()).all(|at| !ids[..at].contains(&ids[at]))
    }
}
