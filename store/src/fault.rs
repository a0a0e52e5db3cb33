//! What can break in here. A message names files and numbers, never a secret; how much of it a
//! client may see is decided where it is answered.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use domain::Scope;

/// A breakage of ours, or a contradiction with what is stored. Cheap to clone, because everyone
/// who waits for the same thing is told.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Fault {
    /// The directory above the data directory does not exist.
    #[error("the data directory {} cannot be made, because the directory above it does not exist", .0.display())]
    NoParent(PathBuf),
    /// The path is taken by something that is not a directory.
    #[error("the data directory's path {} leads to something that is not a directory", .0.display())]
    NotADirectory(PathBuf),
    /// This user may not write there.
    #[error("this user may not write to {}", .0.display())]
    NotWritable(PathBuf),
    /// The filesystem is mounted read-only.
    #[error("{} is on a read-only filesystem", .0.display())]
    ReadOnly(PathBuf),
    /// Another process has it open.
    #[error("the data directory {} is in use by another process", .0.display())]
    InUse(PathBuf),
    /// A newer version wrote this file.
    #[error("{} was written by a newer version of this program (schema {found}, this one knows {known})", .file.display())]
    Newer {
        /// The file.
        file: PathBuf,
        /// The version it has.
        found: i64,
        /// The newest version this program knows.
        known: i64,
    },
    /// Bytes on disk are not what was written there.
    #[error("{} is damaged at byte {offset}: {what}", .file.display())]
    Corrupt {
        /// The file.
        file: PathBuf,
        /// Where the first damaged byte may be.
        offset: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// Another record has this id; another key one of these secrets; another user this name.
    #[error("another record has this id, this secret or this name")]
    Taken,
    /// No record has this id.
    #[error("no record has this id")]
    NotFound,
    /// A record names an owner that does not exist.
    #[error("there is no {} {}", .0.kind(), .0)]
    NoSuchOwner(Scope),
    /// The project would have more keys than it may.
    #[error("the project may have no more than {most} keys")]
    NoRoom {
        /// So many it may have.
        most: u64,
    },
    /// Somebody else changed the record first.
    #[error("the record is at revision {found}, not {expected}")]
    Stale {
        /// The revision the change was meant for.
        expected: u64,
        /// The revision the record has.
        found: u64,
    },
    /// The disk is full. It is tried again until there is room.
    #[error("the disk is full, and the ledger waits for room")]
    LedgerFull,
    /// The ledger cannot be written any more. Only a restart helps.
    #[error("the ledger cannot be written: {0}")]
    LedgerBroken(Arc<str>),
    /// A row larger than a frame may be.
    #[error("a ledger row is larger than a frame may be")]
    RowTooLarge,
    /// The store has been closed.
    #[error("the store is closed")]
    Closed,
    /// The operating system refused something.
    #[error("{doing} {} failed", .path.display())]
    Disk {
        /// What was being done, as a gerund.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why not.
        source: Arc<io::Error>,
    },
    /// The database refused something.
    #[error("{doing} failed in the database")]
    Database {
        /// What was being done, as a gerund.
        doing: &'static str,
        /// Why not.
        source: Arc<rusqlite::Error>,
    },
    /// A record in the database is not one this version can read.
    #[error("a record cannot be read or written")]
    Record(#[source] Arc<serde_json::Error>),
}

impl Fault {
    /// What went wrong with a file, as its own fault where there is one.
    pub(crate) fn disk(doing: &'static str, path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::PermissionDenied => Self::NotWritable(path.to_owned()),
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly(path.to_owned()),
            _ => Self::Disk { doing, path: path.to_owned(), source: Arc::new(source) },
        }
    }

    pub(crate) fn database(doing: &'static str) -> impl FnOnce(rusqlite::Error) -> Self {
        move |source| Self::Database { doing, source: Arc::new(source) }
    }
}

impl From<serde_json::Error> for Fault {
    fn from(source: serde_json::Error) -> Self {
        Self::Record(Arc::new(source))
    }
}

/// Whether a write failed for want of room, so that it is worth trying again.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
