//! How one entry lies in a segment: `[length u32][crc32 u32][payload]`, little-endian, the payload
//! in postcard. Layouts that were ever written stay readable: [`Entry`] only grows at its end.

use domain::{Began, Correction, HoldId, LimitId, Part, Row, Scope};
use serde::{Deserialize, Serialize};

use crate::fault::Fault;

/// Bytes before the payload.
pub(crate) const HEAD: usize = 8;
/// The longest payload there may be. What claims to be longer is damage.
pub(crate) const LONGEST: usize = 1 << 20;
/// Nearly every entry fits here, so that writing one allocates once.
const USUAL: usize = 1024;

/// What a segment can hold. Never change or reorder a variant, or what is in it: add one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Entry {
    /// A ledger row: what an attempt came to. It closes what was held for it.
    Row(Box<Row>),
    /// An attempt is about to be made, and this is held for it.
    Began(Box<Began>),
    /// What was held for an attempt is free again: nothing counts.
    Released(HoldId),
    /// What was held for an attempt is closed: it was made, cost nothing, and has no row.
    Finished(HoldId),
    /// A row was corrected.
    Corrected(Box<Corrected>),
    /// What counted against a limit before there was one.
    Seeded(Seeded),
}

/// A correction, with the row it is about and where that counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Corrected {
    pub(crate) correction: Correction,
    pub(crate) row: Row,
    pub(crate) parts: Vec<Part>,
}

/// An amount that a limit starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seeded {
    pub(crate) scope: Scope,
    pub(crate) limit: LimitId,
    /// The beginning of the turn it counts in, in microseconds since the epoch.
    pub(crate) turn: i64,
    pub(crate) amount: i64,
}

/// The same, borrowed.
#[derive(Clone, Copy, Serialize)]
pub(crate) enum EntryRef<'a> {
    Row(&'a Row),
    Began(&'a Row, &'a [Part]),
    Released(HoldId),
    Finished(HoldId),
    Corrected(&'a Corrected),
    Seeded(Seeded),
}

/// What a row's entry begins with: variant, attempt, request, key. So does that of what began.
pub(crate) type Prefix = (u32, u128, u128, u128);
/// The variants that begin so, each one byte in postcard.
pub(crate) const ROW: u8 = 0;
pub(crate) const BEGAN: u8 = 1;

/// An entry's frame, ready to be appended.
pub(crate) struct Frame(Vec<u8>);

impl Frame {
    pub(crate) fn of(entry: EntryRef<'_>) -> Result<Self, Fault> {
        let mut frame = Vec::with_capacity(USUAL);
        frame.resize(HEAD, 0);
        let mut frame = postcard::to_extend(&entry, frame).map_err(|_| Fault::RowTooLarge)?;
        if frame.len() - HEAD > LONGEST {
            return Err(Fault::RowTooLarge);
        }
        seal(&mut frame);
        Ok(Self(frame))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Without its head.
    pub(crate) fn payload(&self) -> &[u8] {
        &self.0[HEAD..]
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
pub(crate) fn decode(payload: &[u8]) -> Option<Entry> {
    match postcard::take_from_bytes::<Entry>(payload) {
        Ok((entry, [])) => Some(entry),
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;

    use domain::ledger::Turn;
    use domain::{Class, Ending, Evidence, KeyId, Money, Price, RequestId, Timestamp, Unit, Usage};

    fn row() -> Row {
        let at = Timestamp::from_seconds(1_795_262_400);
        Row {
            attempt: HoldId::new(at, 1),
            request: RequestId::new(at, 2),
            key: KeyId::new(at, 3),
            route: "r".into(),
            model_asked: "a".into(),
            model_used: "m".into(),
            provider: "p".into(),
            credential: "c".into(),
            usage: Usage::NONE.with(Class::Input, 300).with(Class::ToolCalls, 1),
            evidence: Evidence::Counted,
            cost: Some(Money::from_nanos(5)),
            held: Money::from_nanos(6),
            tokens: 301,
            price_version: "v".into(),
            rates: vec![(Class::Output, Price::from_picos(7))],
            stream: true,
            status: 200,
            ending: Ending::TimedOut,
            began_at: at,
            ours_micros: 9,
            first_byte_micros: None,
            total_micros: 10,
        }
    }

    /// Journals are read by later versions. When this fails, [`Row`] has changed, and needs a
    /// variant of its own in [`Entry`], beside the layout that is already on people's disks.
    #[test]
    fn the_layout_of_a_row_on_disk_does_not_change() {
        let frame = Frame::of(EntryRef::Row(&row())).unwrap();
        let hex = frame.bytes().iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        let written = "6a00000082c4a27b00818080808080808080808080e0c8fefea1038280808080808080\
                       80808080e0c8fefea103838080808080808080808080e0c8fefea10301720161016d01\
                       700163ac020000000000000000000000000101010a0cda04017601040701c8010480c0\
                       8b9a83b2b00609000a";
        assert_eq!(hex, written);
        assert!(is_frame(frame.bytes()));
        assert_eq!(decode(frame.payload()), Some(Entry::Row(Box::new(row()))));
    }

    #[test]
    fn a_row_of_any_size_is_a_frame_or_refused() {
        for (length, fits) in [(900, true), (1_100, true), (1 << 19, true), (1 << 20, false)] {
            let large = Row { model_asked: "x".repeat(length).into(), ..row() };
            match Frame::of(EntryRef::Row(&large)) {
                Ok(frame) => assert_eq!(decode(frame.payload()), Some(Entry::Row(Box::new(large)))),
                Err(_) => assert!(!fits, "{length}"),
            }
        }
    }

    #[test]
    fn what_is_written_borrowed_is_read_back_whole() {
        let part = Part {
            scope: Scope::Key(row().key),
            limit: LimitId::new(Timestamp::default(), 9),
            unit: Unit::Money,
            turn: Turn::Began(77),
            amount: 6,
        };
        let began = Began { row: row(), parts: vec![part; 3] };
        let attempt = row().attempt;
        let seeded =
            Seeded { scope: Scope::Instance, limit: part.limit, turn: 5, amount: 1_000_000 };
        for (written, read) in [
            (EntryRef::Began(&began.row, &began.parts), Entry::Began(Box::new(began.clone()))),
            (EntryRef::Released(attempt), Entry::Released(attempt)),
            (EntryRef::Finished(attempt), Entry::Finished(attempt)),
            (EntryRef::Seeded(seeded), Entry::Seeded(seeded)),
        ] {
            let frame = Frame::of(written).unwrap();
            assert!(is_frame(frame.bytes()));
            assert_eq!(decode(frame.payload()), Some(read));
        }
    }
}
