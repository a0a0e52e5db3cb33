//! One connection: write the request, read until the answer ends.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection that is kept as long as it lasts.
#[derive(Debug)]
pub struct Connection {
    address: SocketAddr,
    socket: Option<TcpStream>,
    buffer: Box<[u8]>,
}

/// What came back.
#[derive(Debug, Clone, Copy)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// From the first byte of the request to the first byte of the body.
    pub first_byte: Duration,
    /// Whether it ended as it should.
    pub complete: bool,
}

impl Connection {
    /// Connects at the first exchange.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, socket: None, buffer: vec![0; 64 * 1024].into() }
    }

    /// Sends `request` and reads the answer to its end. After an error the next exchange connects
    /// again.
    pub async fn exchange(&mut self, request: &[u8], ending: Option<&str>) -> io::Result<Answer> {
        let started = Instant::now();
        let mut socket = if let Some(socket) = self.socket.take() {
            socket
        } else {
            let socket = TcpStream::connect(self.address).await?;
            socket.set_nodelay(true)?;
            socket
        };
        socket.write_all(request).await?;
        let mut filled = 0;
        let head = loop {
            let read = socket.read(&mut self.buffer[filled..]).await?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            filled += read;
            if let Some(head) = Head::read(&self.buffer[..filled])? {
                break head;
            }
        };
        let first_byte = started.elapsed();
        let mut body = Reader::new(head.length, ending);
        body.take(&self.buffer[head.size..filled])?;
        while !body.over() {
            let read = socket.read(&mut self.buffer).await?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            body.take(&self.buffer[..read])?;
        }
        if !head.close {
            self.socket = Some(socket);
        }
        Ok(Answer { status: head.status, first_byte, complete: body.complete() })
    }
}

/// How long a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Length {
    Known(usize),
    Chunked,
}

/// What of a response head matters.
#[derive(Debug)]
struct Head {
    status: u16,
    length: Length,
    close: bool,
    size: usize,
}

impl Head {
    /// The head at the front of `bytes`, once it is whole.
    fn read(bytes: &[u8]) -> io::Result<Option<Self>> {
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            return if bytes.len() < 32 * 1024 {
                Ok(None)
            } else {
                Err(bad("the head is too big"))
            };
        };
        let text = std::str::from_utf8(&bytes[..end]).map_err(|_| bad("the head is no text"))?;
        let status = text.get(9..12).and_then(|code| code.parse().ok());
        let mut head = Self {
            status: status.ok_or_else(|| bad("no status"))?,
            length: Length::Known(0),
            close: false,
            size: end + 4,
        };
        for line in text.split("\r\n").skip(1) {
            let Some((name, value)) = line.split_once(':') else { continue };
            let value = value.trim();
            if name.eq_ignore_ascii_case("content-length") {
                let length = value.parse().map_err(|_| bad("no number as content-length"))?;
                head.length = Length::Known(length);
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                head.length = Length::Chunked;
            } else if name.eq_ignore_ascii_case("connection") {
                head.close = value.eq_ignore_ascii_case("close");
            }
        }
        Ok(Some(head))
    }
}

/// Where in a body the next byte is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// So many bytes of content are left, in this chunk or in all.
    Content(usize),
    /// In the line that gives a chunk's size; extensions are skipped.
    Size { size: usize, digits: bool },
    /// In the line break after a chunk.
    Break,
    /// In the trailer; whether the line so far is empty.
    Trailer { empty: bool },
    /// Behind the body.
    Over,
}

/// Counts its way through a body, and remembers its last bytes.
#[derive(Debug)]
struct Reader<'a> {
    chunked: bool,
    place: Place,
    ending: Option<&'a str>,
    tail: Vec<u8>,
}

/// How much of the end of a body is remembered.
const TAIL: usize = 32;

impl<'a> Reader<'a> {
    fn new(length: Length, ending: Option<&'a str>) -> Self {
        let place = match length {
            Length::Known(0) => Place::Over,
            Length::Known(length) => Place::Content(length),
            Length::Chunked => Place::Size { size: 0, digits: true },
        };
        Self { chunked: length == Length::Chunked, place, ending, tail: Vec::new() }
    }

    fn over(&self) -> bool {
        self.place == Place::Over
    }

    /// Whether the remembered end contains what a complete answer ends with.
    fn complete(&self) -> bool {
        self.ending.is_none_or(|ending| {
            self.tail.windows(ending.len()).any(|bytes| bytes == ending.as_bytes())
        })
    }

    fn take(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while let Some((byte, rest)) = bytes.split_first() {
            self.place = match self.place {
                Place::Content(left) => {
                    let (content, rest) = bytes.split_at(left.min(bytes.len()));
                    self.remember(content);
                    bytes = rest;
                    self.place = match left - content.len() {
                        0 if self.chunked => Place::Break,
                        0 => Place::Over,
                        left => Place::Content(left),
                    };
                    continue;
                }
                Place::Size { size: 0, .. } if *byte == b'\n' => Place::Trailer { empty: true },
                Place::Size { size, .. } if *byte == b'\n' => Place::Content(size),
                Place::Size { size, digits } => match char::from(*byte).to_digit(16) {
                    Some(digit) if digits && size < usize::MAX / 32 => {
                        Place::Size { size: size * 16 + digit as usize, digits }
                    }
                    _ => Place::Size { size, digits: false },
                },
                Place::Break if *byte == b'\n' => Place::Size { size: 0, digits: true },
                Place::Break => Place::Break,
                Place::Trailer { empty: true } if *byte == b'\n' => Place::Over,
                Place::Trailer { .. } if *byte == b'\n' => Place::Trailer { empty: true },
                Place::Trailer { empty } => Place::Trailer { empty: empty && *byte == b'\r' },
                Place::Over => return Err(bad("more bytes than the answer has")),
            };
            bytes = rest;
        }
        Ok(())
    }

    fn remember(&mut self, content: &[u8]) {
        if self.ending.is_none() {
            return;
        }
        self.tail.extend_from_slice(&content[content.len().saturating_sub(TAIL)..]);
        let surplus = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..surplus);
    }
}

fn bad(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunked_body_ends_where_it_ends_however_it_is_cut() {
        let body = b"5\r\nhello\r\n10;x=1\r\n0123456789[DONE]\r\n0\r\nx: y\r\n\r\n";
        for at in 0..body.len() {
            let mut reader = Reader::new(Length::Chunked, Some("[DONE]"));
            reader.take(&body[..at]).unwrap();
            assert!(!reader.over());
            reader.take(&body[at..]).unwrap();
            assert!(reader.over() && reader.complete());
        }
    }

    #[test]
    fn a_head_is_read_when_it_is_whole() {
        let head = b"HTTP/1.1 429 Too Many\r\nContent-Length: 12\r\nConnection: close\r\n\r\n{";
        assert!(Head::read(&head[..20]).unwrap().is_none());
        let head = Head::read(head).unwrap().unwrap();
        assert_eq!((head.status, head.length, head.close), (429, Length::Known(12), true));
    }
}
