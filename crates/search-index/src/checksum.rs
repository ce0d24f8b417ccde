//! The checksums of the index's files, which the library keeps at their ends.
//!
//! Files are read here in parts and not mapped as for searching: a mapped file that is read to its
//! end counts whole in the memory of the process.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use tantivy::directory::error::OpenReadError;
use tantivy::directory::footer::Footer;
use tantivy::directory::{FileHandle, FileSlice, OwnedBytes};
use tantivy::index::SegmentId;
use tantivy::{HasLen, Index, TantivyError};

use crate::error::IndexError;

/// So many bytes are read at once: few, so that the allocator uses the same memory again.
const PART: usize = 64 << 10;

/// A file that is read where it lies.
#[derive(Debug)]
struct Unmapped {
    file: File,
    len: usize,
}

impl HasLen for Unmapped {
    fn len(&self) -> usize {
        self.len
    }
}

impl FileHandle for Unmapped {
    fn read_bytes(&self, range: Range<usize>) -> io::Result<OwnedBytes> {
        let mut bytes = vec![0; range.len()];
        self.file.read_exact_at(&mut bytes, range.start as u64)?;
        Ok(OwnedBytes::new(bytes))
    }
}

/// Reads files of segments whole and compares their checksums. Goes by what the index says it
/// consists of: the library's own check goes by its list of files, which can be lost.
/// `directory` is where the index is, if it is not in memory.
pub(crate) fn check(
    directory: Option<&Path>,
    index: &Index,
    wanted: impl Fn(SegmentId, &Path) -> bool,
) -> Result<(), IndexError> {
    let mut metas = index.load_metas()?;
    for segment in std::mem::take(&mut metas.segments) {
        let id = segment.id();
        metas.segments = vec![segment];
        for path in metas.list_segment_files() {
            if !wanted(id, &path) {
                continue;
            }
            if !is_sound(directory, index, &path)? {
                let name = path.display();
                let why = format!("the checksum of {name} does not hold");
                return Err(IndexError::Damaged(why));
            }
        }
    }
    Ok(())
}

/// A file that is not there is sound: a part that its segment does not have, or one that a merge
/// removed meanwhile.
fn is_sound(directory: Option<&Path>, index: &Index, path: &Path) -> Result<bool, IndexError> {
    let Some(directory) = directory else {
        return match index.directory().validate_checksum(path) {
            Ok(holds) => Ok(holds),
            Err(OpenReadError::FileDoesNotExist(_)) => Ok(true),
            Err(error) => Err(TantivyError::from(error).into()),
        };
    };
    match File::open(directory.join(path)) {
        Ok(file) => {
            let len = file.metadata()?.len() as usize;
            Ok(holds(FileSlice::new(Arc::new(Unmapped { file, len })))?)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error.into()),
    }
}

fn holds(file: FileSlice) -> io::Result<bool> {
    let (footer, body) = Footer::extract_footer(file)?;
    let mut hasher = crc32fast::Hasher::new();
    let mut at = 0;
    while at < body.len() {
        let end = body.len().min(at + PART);
        hasher.update(&body.read_bytes_slice(at..end)?);
        at = end;
    }
    Ok(footer.crc == hasher.finalize())
}
