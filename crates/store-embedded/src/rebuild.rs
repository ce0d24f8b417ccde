//! Making derived files anew from the log.

use std::sync::Arc;

use audittrail_merkle::{Edge, TreeHead};
use audittrail_store::Node;

use crate::disk::{Disk, Mode};
use crate::layout::Layout;
use crate::locations::Locations;
use crate::segments::Segments;
use crate::start_error::StartError;
use crate::tree::Tree;
use crate::walk::SegmentFile;

const ROWS_AT_ONCE: u64 = 65_536;
/// Leaves are few hundred bytes, and never over 64 KiB.
const LEAVES_AT_ONCE: u64 = 4_096;

/// Looks at the locations of all records below `size`. Those of a segment in which any row is
/// missing or damaged are made anew; the number of such segments.
pub(crate) fn check_locations(
    disk: &Arc<dyn Disk>,
    layout: &Layout,
    files: &[SegmentFile],
    size: u64,
) -> Result<usize, StartError> {
    let mut rebuilt = 0;
    for (position, file) in files.iter().enumerate() {
        let next = files
            .get(position + 1)
            .map_or(u64::MAX, |next| next.first_index);
        let end = next.min(size);
        if file.first_index >= end {
            continue;
        }
        let failed = || StartError::io(format!("the locations of {} cannot be used", file.name));
        let locations = Locations::open(&**disk, layout, file.first_index, end, Mode::Write)
            .map_err(failed())?;
        if !are_sound(&locations, file.first_index, end) {
            rebuilt += 1;
            let rows = file.locations(end).map_err(failed())?;
            locations.truncate(file.first_index);
            locations.push(rows);
            locations.flush(&**disk).map_err(failed())?;
            locations.sync().map_err(failed())?;
        }
    }
    Ok(rebuilt)
}

/// Whether no row is missing, damaged or says that it does not know.
fn are_sound(locations: &Locations, first: u64, end: u64) -> bool {
    let mut next = first;
    while next < end {
        let upto = end.min(next + ROWS_AT_ONCE);
        let sound = locations
            .read(next..upto)
            .is_ok_and(|rows| rows.iter().all(|row| row.is_some_and(|row| row.is_known())));
        if !sound {
            return false;
        }
        next = upto;
    }
    true
}

/// Makes the tree below a checkpoint anew from the log.
pub(crate) fn rebuild_tree(
    disk: &dyn Disk,
    tree: &Tree,
    segments: &Segments,
    head: &TreeHead,
) -> Result<Edge, StartError> {
    tree.truncate(0);
    let mut edge = Edge::new();
    while edge.size() < head.size {
        let end = head.size.min(edge.size() + LEAVES_AT_ONCE);
        let read = segments
            .leaf_hashes(edge.size()..end)
            .map_err(StartError::io(
                "the log cannot be read to make the tree anew",
            ))?;
        let mut leaves = Vec::with_capacity(read.len());
        let mut nodes = Vec::new();
        for (_, leaf) in read {
            let leaf = leaf.map_err(|damage| {
                StartError::Refused(format!(
                    "tree/ is missing or damaged and cannot be made anew, because an entry cannot \
                     be read: {damage}. So nothing shows which entries are the signed ones. Put \
                     tree/ back from a copy, and the server starts and shows the entry as damaged; \
                     or put log/ back"
                ))
            })?;
            Node::push_leaf(&mut edge, leaf, &mut nodes);
            leaves.push(leaf);
        }
        tree.push(leaves, &nodes);
        tree.flush(disk)
            .map_err(StartError::io("the tree cannot be written"))?;
    }
    if edge.head() == *head {
        return Ok(edge);
    }
    Err(StartError::Refused(format!(
        "tree/ is missing or damaged, and the log's first {} entries do not give the root that \
         their checkpoint signs: an entry was changed, and nothing here shows which. Put tree/ back \
         from a copy, and the server starts and shows the entry as failed; or put log/ back. \
         `audittrail fsck` names what else it can see",
        head.size
    )))
}
