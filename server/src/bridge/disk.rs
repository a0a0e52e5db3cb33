//! The operator's file on the disk: read with what tells its versions apart, and replaced only where
//! it still is what was read. What stands in it is not known here.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

/// What tells one version of a file from another without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    /// Who may read it: what could not be read can be when this is different.
    rights: (u32, u32, u32),
}

impl Stamp {
    fn of(metadata: &std::fs::Metadata) -> Self {
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        let rights = (metadata.mode(), metadata.uid(), metadata.gid());
        Self { inode: metadata.ino(), bytes: metadata.len(), modified, rights }
    }

    /// The stamp of the file at `path`; `None` where there is none. One system call.
    pub fn at(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().map(|metadata| Self::of(&metadata))
    }
}

/// A file as it was read.
#[derive(Debug)]
pub struct Version {
    pub bytes: Vec<u8>,
    pub stamp: Stamp,
    /// Others than its owner may read it.
    pub is_open: bool,
}

/// As much as is read: nobody has so many keys.
const BYTES_MAX: u64 = 64 << 20;

/// Reads the file; `None` where there is none.
///
/// # Errors
/// It cannot be read, or is no plain file of sane size.
pub fn read(path: &Path) -> io::Result<Option<Version>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    // Before the bytes: what is written meanwhile has another stamp.
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() > BYTES_MAX {
        return Err(io::Error::other("it is no plain file of at most 64 MiB"));
    }
    let mut bytes = Vec::new();
    io::Read::by_ref(&mut file).take(BYTES_MAX).read_to_end(&mut bytes)?;
    let is_open = metadata.mode() & 0o077 != 0;
    Ok(Some(Version { bytes, stamp: Stamp::of(&metadata), is_open }))
}

/// Why a file was not replaced.
#[derive(Debug)]
pub enum NotReplaced {
    /// It is not what it was: somebody else wrote it meanwhile.
    Changed,
    /// It cannot be written.
    Io(io::Error),
}

impl From<io::Error> for NotReplaced {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Writes `text` in the place of the file, if it still is `expected` (`None`: not there). Whoever
/// else writes it by way of this function waits; whoever renames another file over it between our
/// look and our rename gets theirs back.
///
/// # Errors
/// It is something else by now, or cannot be written.
pub fn replace(path: &Path, expected: Option<&[u8]>, text: &[u8]) -> Result<Stamp, NotReplaced> {
    // Where a link leads, not the link, is replaced.
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    let lock = File::open(&folder)?;
    // Some file systems have no locks; the comparison below still holds.
    let _ = lock.lock();
    if !is(&path, expected)? {
        return Err(NotReplaced::Changed);
    }
    let ours = beside(&path);
    let written = write_new(&ours, text);
    let replaced = written.and_then(|stamp| put(&path, &ours, expected, text, stamp));
    // Ours where it was not put, or what it was put in the place of.
    let _ = std::fs::remove_file(&ours);
    lock.sync_all()?;
    replaced
}

fn is(path: &Path, expected: Option<&[u8]>) -> io::Result<bool> {
    let found = read(path)?;
    Ok(found.as_ref().map(|version| version.bytes.as_slice()) == expected)
}

fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.new", std::process::id()))
}

fn write_new(path: &Path, text: &[u8]) -> Result<Stamp, NotReplaced> {
    // A leftover of a start that was killed.
    let _ = std::fs::remove_file(path);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text)?;
    file.sync_all()?;
    Ok(Stamp::of(&file.metadata()?))
}

fn put(
    path: &Path,
    ours: &Path,
    expected: Option<&[u8]>,
    text: &[u8],
    stamp: Stamp,
) -> Result<Stamp, NotReplaced> {
    let rename = |flags| renameat_with(CWD, ours, CWD, path, flags).map_err(io::Error::from);
    if expected.is_none() {
        return match rename(RenameFlags::NOREPLACE) {
            Ok(()) => Ok(stamp),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(NotReplaced::Changed),
            Err(_) => Ok(std::fs::rename(ours, path).map(|()| stamp)?),
        };
    }
    match rename(RenameFlags::EXCHANGE) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(NotReplaced::Changed),
        // The file is mounted by itself, as containers do it: it can only be written where it is.
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
            std::fs::write(path, text)?;
            return Ok(Stamp::of(&std::fs::metadata(path)?));
        }
        // A file system without exchanges.
        Err(_) => return Ok(std::fs::rename(ours, path).map(|()| stamp)?),
    }
    if is(ours, expected)? {
        return Ok(stamp);
    }
    // Somebody renamed another over it between the look and the exchange: theirs goes back, and if
    // yet another came in the meantime, that one.
    rename(RenameFlags::EXCHANGE)?;
    if !is(ours, Some(text))? {
        rename(RenameFlags::EXCHANGE)?;
    }
    Err(NotReplaced::Changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_read_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        assert!(read(&path).unwrap().is_none());
        let stamp = replace(&path, None, b"one").unwrap();
        assert_eq!(Stamp::at(&path), Some(stamp));
        assert!(matches!(replace(&path, None, b"two"), Err(NotReplaced::Changed)));
        assert!(matches!(replace(&path, Some(b"zero"), b"two"), Err(NotReplaced::Changed)));
        replace(&path, Some(b"one"), b"two").unwrap();
        let found = read(&path).unwrap().unwrap();
        assert_eq!((found.bytes.as_slice(), found.is_open), (&b"two"[..], false));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn of_many_who_write_at_once_none_loses_what_another_wrote() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        replace(&path, None, b"0").unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..25 {
                        loop {
                            let old = read(&path).unwrap().unwrap().bytes;
                            let number: u32 = std::str::from_utf8(&old).unwrap().parse().unwrap();
                            // They share a process, and so the name of the new file: the lock keeps
                            // them apart.
                            let new = (number + 1).to_string();
                            if replace(&path, Some(&old), new.as_bytes()).is_ok() {
                                break;
                            }
                        }
                    }
                });
            }
        });
        assert_eq!(read(&path).unwrap().unwrap().bytes, b"100");
    }

    #[test]
    fn a_link_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real.json"), folder.path().join("config.json"));
        std::fs::write(&real, "one").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        replace(&link, Some(b"one"), b"two").unwrap();
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(std::fs::read(&real).unwrap(), b"two");
    }
}
