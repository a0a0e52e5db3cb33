//! The data directory: made for its owner alone, and locked, so that two processes never write
//! the same ledger.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use domain::Secret;

use crate::fault::Fault;

/// A locked data directory. The lock ends with the value, or with the process.
#[derive(Debug)]
pub(crate) struct Home {
    dir: PathBuf,
    _lock: File,
}

impl Home {
    pub(crate) fn open(dir: &Path) -> Result<Self, Fault> {
        make_dir(dir)?;
        let path = dir.join("lock");
        let lock = own_file()
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|error| Fault::disk("opening", &path, error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Fault::InUse(dir.to_owned())),
            Err(TryLockError::Error(error)) => return Err(Fault::disk("locking", &path, error)),
        }
        let home = Self { dir: dir.to_owned(), _lock: lock };
        make_dir(&home.ledger())?;
        for file in [home.records(), home.sums()] {
            // SQLite would make its files readable for everyone; its companions copy the mode.
            own_file()
                .create(true)
                .truncate(false)
                .open(&file)
                .map_err(|error| Fault::disk("opening", &file, error))?;
        }
        Ok(home)
    }

    /// The database of records.
    pub(crate) fn records(&self) -> PathBuf {
        self.dir.join("weir.db")
    }

    /// The database of sums, which can be made again from the journal.
    pub(crate) fn sums(&self) -> PathBuf {
        self.dir.join("sums.db")
    }

    /// The key in `credential.key`, where there is such a file.
    pub(crate) fn credential_key(&self) -> Result<Option<Secret>, Fault> {
        let path = self.dir.join("credential.key");
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Some(Secret::new(text.trim().to_owned()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Fault::disk("reading", &path, error)),
        }
    }

    /// Writes it, whole or not at all; never over another.
    pub(crate) fn keep_credential_key(&self, key: &Secret) -> Result<(), Fault> {
        let path = self.dir.join("credential.key");
        let unfinished = self.dir.join("credential.key.new");
        let write = || {
            let mut file = own_file().create(true).truncate(true).open(&unfinished)?;
            file.write_all(key.expose().as_bytes())?;
            file.write_all(b"\n")?;
            file.sync_all()?;
            std::fs::hard_link(&unfinished, &path)?;
            std::fs::remove_file(&unfinished)?;
            sync_dir(&self.dir)
        };
        write().map_err(|error| Fault::disk("writing", &path, error))
    }

    /// The directory of journal segments.
    pub(crate) fn ledger(&self) -> PathBuf {
        self.dir.join("ledger")
    }
}

/// Options for a file that only its owner may read and write.
pub(crate) fn own_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

fn make_dir(dir: &Path) -> Result<(), Fault> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => Ok(()),
        Err(error) => match error.kind() {
            io::ErrorKind::AlreadyExists if dir.is_dir() => Ok(()),
            io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
                Err(Fault::NotADirectory(dir.to_owned()))
            }
            io::ErrorKind::NotFound => Err(Fault::NoParent(dir.to_owned())),
            _ => Err(Fault::disk("making", dir, error)),
        },
    }
}

/// Makes the names in a directory survive a power cut.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
