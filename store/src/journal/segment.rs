//! Segment files: their names, reading them frame by frame, and what to do with one that ends in
//! the middle of a frame.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use domain::Timestamp;

use super::frame::{self, HEAD};
use crate::fault::Fault;

/// A place in the journal: everything before it has been seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// The segment, by the number of its first row.
    pub(crate) segment: u64,
    /// Bytes from its beginning.
    pub(crate) offset: u64,
    /// Rows in the whole journal before this place.
    pub(crate) seq: u64,
}

/// A segment as a search sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    /// The number of its first row, which is its name.
    pub(crate) first: u64,
    /// The earliest and latest beginning of its rows, where that is known.
    pub(crate) times: Option<(Timestamp, Timestamp)>,
}

pub(crate) fn path(dir: &Path, first: u64) -> PathBuf {
    dir.join(format!("{first:020}.wlj"))
}

/// The numbers of all segments in `dir`, oldest first.
pub(crate) fn list(dir: &Path) -> Result<Vec<u64>, Fault> {
    let fault = |error| Fault::disk("listing", dir, error);
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).map_err(fault)? {
        let name = entry.map_err(fault)?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".wlj"));
        all.extend(number.and_then(|digits| digits.parse::<u64>().ok()));
    }
    all.sort_unstable();
    Ok(all)
}

/// Frames of one segment, from the front.
pub(crate) struct Frames {
    path: PathBuf,
    file: BufReader<File>,
    offset: u64,
    length: u64,
    payload: Vec<u8>,
}

/// What comes next in a segment.
pub(crate) enum Next<'a> {
    /// A frame with a right checksum, and where it begins.
    Frame(u64, &'a [u8]),
    /// Nothing more, exactly at the end of a frame.
    End,
    /// Bytes that are no frame.
    Bad,
}

impl Frames {
    /// Starts at the frame that begins at `offset`.
    pub(crate) fn open(dir: &Path, first: u64, offset: u64) -> Result<Self, Fault> {
        let path = path(dir, first);
        let fault = |error| Fault::disk("reading", &path, error);
        let mut file = File::open(&path).map_err(fault)?;
        let length = file.metadata().map_err(fault)?.len();
        file.seek(SeekFrom::Start(offset)).map_err(fault)?;
        let file = BufReader::with_capacity(256 << 10, file);
        Ok(Self { path, file, offset, length, payload: Vec::new() })
    }

    /// Where the next frame begins.
    pub(crate) const fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes in the file when it was opened.
    pub(crate) const fn length(&self) -> u64 {
        self.length
    }

    pub(crate) fn next(&mut self) -> Result<Next<'_>, Fault> {
        if self.offset == self.length {
            return Ok(Next::End);
        }
        match self.read() {
            Ok(Some(at)) => Ok(Next::Frame(at, &self.payload)),
            Ok(None) => Ok(Next::Bad),
            // Somebody made the file shorter after it was opened.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Next::Bad),
            Err(error) => Err(Fault::disk("reading", &self.path, error)),
        }
    }

    fn read(&mut self) -> io::Result<Option<u64>> {
        let rest = self.length.saturating_sub(self.offset);
        let mut head = [0; HEAD];
        let whole = |bytes: usize| u64::try_from(bytes).unwrap_or(u64::MAX);
        if rest < whole(HEAD) {
            return Ok(None);
        }
        self.file.read_exact(&mut head)?;
        let Some((length, checksum)) = frame::head(head) else { return Ok(None) };
        if rest < whole(HEAD + length) {
            return Ok(None);
        }
        self.payload.resize(length, 0);
        self.file.read_exact(&mut self.payload)?;
        if crc32fast::hash(&self.payload) != checksum {
            return Ok(None);
        }
        let at = self.offset;
        self.offset += whole(HEAD + length);
        Ok(Some(at))
    }

    /// A fault that names the place the last frame ended.
    pub(crate) fn corrupt(&self, what: &'static str) -> Fault {
        Fault::Corrupt { file: self.path.clone(), offset: self.offset, what }
    }

    /// After [`Next::Bad`] in the newest segment: a write that was cut short leaves nothing whole
    /// behind it, so a sound frame further on proves that this is damage in the middle.
    pub(crate) fn cut_tail(self) -> Result<u64, Fault> {
        let fault = |error| Fault::disk("cutting", &self.path, error);
        let file = crate::home::own_file().open(&self.path).map_err(fault)?;
        let mut tail = Vec::new();
        (&file).seek(SeekFrom::Start(self.offset)).map_err(fault)?;
        (&file).read_to_end(&mut tail).map_err(fault)?;
        if (1..tail.len()).any(|start| frame::is_frame(&tail[start..])) {
            return Err(self.corrupt("sound rows follow after bytes that are no row"));
        }
        file.set_len(self.offset).and_then(|()| file.sync_all()).map_err(fault)?;
        Ok(self.length - self.offset)
    }
}
