//! The names in a data directory.

use std::path::{Path, PathBuf};

/// Paths below one data directory.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    root: PathBuf,
}

impl Layout {
    pub(crate) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.root.join("LOCK")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.root.join("log")
    }

    pub(crate) fn tree(&self) -> PathBuf {
        self.root.join("tree")
    }

    pub(crate) fn locations(&self) -> PathBuf {
        self.root.join("locations")
    }

    pub(crate) fn index(&self) -> PathBuf {
        self.root.join("index")
    }

    pub(crate) fn keys(&self) -> PathBuf {
        self.root.join("keys")
    }

    pub(crate) fn checkpoint(&self) -> PathBuf {
        self.root.join("checkpoint")
    }

    /// What makes the directory a backup.
    pub(crate) fn backup(&self) -> PathBuf {
        self.root.join("backup")
    }

    /// What says that the log goes on elsewhere.
    pub(crate) fn moved(&self) -> PathBuf {
        self.root.join("moved")
    }

    /// The newest checkpoint with a quorum of cosignatures.
    pub(crate) fn cosigned(&self) -> PathBuf {
        self.root.join("cosigned")
    }

    /// A segment, named by the index of its first record.
    pub(crate) fn segment(&self, first_index: u64) -> PathBuf {
        self.log().join(format!("{first_index:020}.seg"))
    }

    /// A segment that has no header yet.
    pub(crate) fn new_segment(&self) -> PathBuf {
        self.log().join("new.seg.tmp")
    }

    /// A segment that is being packed.
    pub(crate) fn packing(&self) -> PathBuf {
        self.log().join("pack.seg.tmp")
    }

    /// What is written and removed to see whether there is room.
    pub(crate) fn probe(&self) -> PathBuf {
        self.root.join("probe.tmp")
    }

    /// Which segments are not worth packing.
    pub(crate) fn unpacked(&self) -> PathBuf {
        self.root.join("unpacked")
    }

    /// What was cut off a segment at start.
    pub(crate) fn cut(&self, time: &str) -> PathBuf {
        self.log().join(format!("cut-{time}"))
    }

    /// The locations of a segment's records.
    pub(crate) fn segment_locations(&self, first_index: u64) -> PathBuf {
        self.locations().join(format!("{first_index:020}.loc"))
    }

    /// The hashes of one level of the tree.
    pub(crate) fn tree_level(&self, level: u8) -> PathBuf {
        self.tree().join(format!("{level:02}"))
    }
}

/// The first index in a segment's name, if it is one.
pub(crate) fn parse_segment_name(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".seg")?;
    let sound = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    sound.then(|| digits.parse().ok()).flatten()
}
