//! How one entry lies in a segment: `[length u32][crc32 u32][payload]`, little-endian, the payload
//! in postcard. Layouts that were ever written stay readable: [`Entry`] only grows at its end.

use domain::Row;
use serde::{Deserialize, Serialize};

use crate::fault::Fault;

/// Bytes before the payload.
pub(crate) const HEAD: usize = 8;
/// The longest payload there may be. What claims to be longer is damage.
pub(crate) const LONGEST: usize = 1 << 20;
/// Nearly every row fits here, so that writing one allocates nothing.
const USUAL: usize = 1024;

/// What a segment can hold. Never change or reorder a variant, or what is in it: add one.
#[derive(Deserialize)]
pub(crate) enum Entry {
    /// A ledger row.
    Row(Box<Row>),
}

/// The same, borrowed.
#[derive(Serialize)]
enum EntryRef<'a> {
    Row(&'a Row),
}

/// What every entry so far begins with: variant, attempt, request, key.
pub(crate) type Prefix = (u32, u128, u128, u128);

/// A row's frame, ready to be appended.
pub(crate) struct Frame {
    usual: [u8; USUAL],
    length: usize,
    /// The whole of it, where it is larger than usual.
    large: Vec<u8>,
}

impl Frame {
    pub(crate) fn of(row: &Row) -> Result<Self, Fault> {
        let entry = EntryRef::Row(row);
        let mut frame = Self { usual: [0; USUAL], length: 0, large: Vec::new() };
        if let Ok(payload) = postcard::to_slice(&entry, &mut frame.usual[HEAD..]) {
            frame.length = HEAD + payload.len();
            seal(&mut frame.usual[..frame.length]);
            return Ok(frame);
        }
        frame.large = postcard::to_extend(&entry, vec![0; HEAD]).map_err(|_| Fault::RowTooLarge)?;
        if frame.large.len() - HEAD > LONGEST {
            return Err(Fault::RowTooLarge);
        }
        seal(&mut frame.large);
        Ok(frame)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        if self.large.is_empty() { &self.usual[..self.length] } else { &self.large }
    }
}

fn seal(frame: &mut [u8]) {
    let (head, payload) = frame.split_at_mut(HEAD);
    // Both callers keep payloads far below 4 GiB.
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    head[..4].copy_from_slice(&length.to_le_bytes());
    head[4..].copy_from_slice(&crc32fast::hash(payload).to_le_bytes());
}

/// The payload's length and checksum, where the length is one a frame can have. Zeros are what a
/// filesystem leaves where nothing was written, and would pass for an empty payload: no frame.
pub(crate) fn head(bytes: [u8; HEAD]) -> Option<(usize, u32)> {
    let length = u32::from_le_bytes(*bytes.first_chunk()?);
    let length = usize::try_from(length).ok()?;
    let checksum = u32::from_le_bytes(*bytes.last_chunk()?);
    (1..=LONGEST).contains(&length).then_some((length, checksum))
}

/// Reads a whole payload.
pub(crate) fn decode(payload: &[u8]) -> Option<Row> {
    match postcard::take_from_bytes::<Entry>(payload) {
        Ok((Entry::Row(row), [])) => Some(*row),
        _ => None,
    }
}

/// Whether a whole and sound frame begins at the start of `bytes`.
pub(crate) fn is_frame(bytes: &[u8]) -> bool {
    let Some((length, checksum)) = bytes.first_chunk().and_then(|bytes| head(*bytes)) else {
        return false;
    };
    bytes
        .get(HEAD..HEAD + length)
        .is_some_and(|payload| crc32fast::hash(payload) == checksum && decode(payload).is_some())
}
