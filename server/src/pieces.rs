//! Bytes that come in pieces: one piece stays what it is, several are joined. Most bodies and most
//! parts of a stream are one piece, and are never copied.

use bytes::{Bytes, BytesMut};

/// What has come so far.
#[derive(Default)]
pub enum Pieces {
    #[default]
    Nothing,
    One(Bytes),
    Many(BytesMut),
}

/// The least room for several pieces.
const ROOM_BYTES: usize = 4096;

impl Pieces {
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn len(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::One(bytes) => bytes.len(),
            Self::Many(bytes) => bytes.len(),
        }
    }

    pub fn push(&mut self, piece: Bytes) {
        if piece.is_empty() {
            return;
        }
        *self = match std::mem::take(self) {
            Self::Nothing => Self::One(piece),
            Self::One(first) => {
                let room = (first.len() + piece.len()) * 2;
                let mut many = BytesMut::with_capacity(room.max(ROOM_BYTES));
                many.extend_from_slice(&first);
                many.extend_from_slice(&piece);
                Self::Many(many)
            }
            Self::Many(mut many) => {
                many.extend_from_slice(&piece);
                Self::Many(many)
            }
        };
    }

    /// All of it, leaving nothing; `None` where nothing has come.
    pub fn take(&mut self) -> Option<Bytes> {
        match std::mem::take(self) {
            Self::Nothing => None,
            Self::One(bytes) => Some(bytes),
            Self::Many(bytes) => Some(bytes.freeze()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_piece_is_not_copied_and_several_are_joined() {
        let piece = Bytes::from_static(b"abc");
        let mut pieces = Pieces::default();
        pieces.push(Bytes::new());
        assert!(pieces.is_empty() && pieces.take().is_none());
        pieces.push(piece.clone());
        assert_eq!(pieces.take().unwrap().as_ptr(), piece.as_ptr());
        for part in ["a", "bc", "d"] {
            pieces.push(Bytes::from_static(part.as_bytes()));
        }
        assert_eq!((pieces.len(), pieces.take().unwrap()), (4, Bytes::from_static(b"abcd")));
    }
}
