//! A request as it came in, and the bodies answers can have. What is in a body is for `wire` to say.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use domain::refusal::{Code, Refusal};
use domain::rule::Network;
use domain::{RequestId, Secret, Timestamp};
use http::{HeaderMap, HeaderValue, Method, Response, header, request};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use crate::failure::Failure;
use crate::meter::Meter;
use crate::pieces::Pieces;

/// A request, its route found.
pub struct Call {
    pub id: RequestId,
    /// When its head had arrived: every decision about it is about this instant.
    pub at: Timestamp,
    pub head: request::Parts,
    /// The id in the path, where the route has one.
    pub parameter: Option<String>,
    /// The same instant in the clock's monotonic microseconds, to measure from.
    pub began_micros: u64,
    /// Who holds the other end of the connection.
    peer: IpAddr,
    body: Body,
}

/// What the client sends after the head.
enum Body {
    /// It is still to come, as it was packed.
    Coming(Incoming),
    /// It has been read.
    Read(Bytes),
}

/// What goes back.
pub type Answer = Response<OutBody>;

impl Call {
    pub fn new(
        id: RequestId,
        at: Timestamp,
        began_micros: u64,
        peer: IpAddr,
        (request, parameter): (http::Request<Incoming>, Option<String>),
    ) -> Self {
        let (head, body) = request.into_parts();
        Self { id, at, head, parameter, began_micros, peer, body: Body::Coming(body) }
    }

    /// Where it comes from: the other end of the connection, or, where a trusted proxy holds that,
    /// the nearest address that a chain of trusted proxies tells of.
    pub fn address(&self, trusted: &[Network]) -> IpAddr {
        origin(self.peer, &self.head.headers, trusted)
    }

    /// Whether the client speaks https, by the word of a trusted proxy: nobody speaks it to us.
    pub fn is_https(&self, trusted: &[Network]) -> bool {
        let told = self.head.headers.get("x-forwarded-proto").map(HeaderValue::as_bytes);
        let peer = self.peer.to_canonical();
        told == Some(b"https") && trusted.iter().any(|network| network.contains(peer))
    }

    /// What the client says its body is.
    pub fn content_type(&self) -> Option<&str> {
        self.head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok())
    }

    /// The method.
    pub fn method(&self) -> &Method {
        &self.head.method
    }

    /// Whether the client asks for features that are not generally available.
    pub fn has_betas(&self) -> bool {
        self.head.headers.contains_key("anthropic-beta")
            || self.head.headers.contains_key("openai-beta")
    }

    /// The secret the client sent, wherever clients send it; `None` where it sent none.
    ///
    /// # Errors
    /// Two different secrets, or something that is no secret.
    pub fn secret(&self) -> Result<Option<Secret>, Refusal> {
        secret_of(&self.head.headers)
    }

    /// Has the next one who asks for the body get `body`, which was read and undone of its encoding.
    pub fn put_back(&mut self, body: Bytes) {
        self.body = Body::Read(body);
    }

    /// The whole body, at most `bytes_max` bytes, undone of its encoding.
    ///
    /// # Errors
    /// It is too large, stalls, breaks off, or is encoded in a way nobody here can undo.
    pub async fn body(&mut self, bytes_max: usize, stall: Duration) -> Result<Bytes, Failure> {
        let body = match &mut self.body {
            Body::Coming(body) => body,
            Body::Read(body) if body.len() > bytes_max => return Err(too_large(bytes_max).into()),
            Body::Read(body) => return Ok(body.clone()),
        };
        let mut encodings = self.head.headers.get_all(header::CONTENT_ENCODING).iter();
        let encoding = encodings.next().map(|value| value.as_bytes().to_ascii_lowercase());
        let packed_twice = encodings.next().is_some();
        let declared = body.size_hint().lower();
        if usize::try_from(declared).map_or(true, |declared| declared > bytes_max) {
            return Err(too_large(bytes_max).into());
        }
        let body = collect(body, bytes_max, stall).await?;
        match encoding.as_deref() {
            None | Some(b"" | b"identity") if !packed_twice => Ok(body),
            Some(b"gzip" | b"x-gzip") if !packed_twice => gunzip(&body, bytes_max),
            _ => Err(Refusal::new(
                Code::UnsupportedEncoding,
                "The body's Content-Encoding is not supported: send it plain or as gzip.",
            )
            .into()),
        }
    }
}

/// Reads `X-Forwarded-For` from its end: each proxy appends who called it, so only what trusted ones
/// appended counts. What is no address ends the chain; what stands before it, in whatever bytes, is
/// nobody's word.
fn origin(peer: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> IpAddr {
    let is_trusted = |address| trusted.iter().any(|network| network.contains(address));
    let mut nearest = peer.to_canonical();
    let lists = headers.get_all("x-forwarded-for").iter().rev();
    let told = lists.flat_map(|list| list.as_bytes().rsplit(|byte| *byte == b','));
    for text in told {
        if !is_trusted(nearest) {
            break;
        }
        match std::str::from_utf8(text).ok().and_then(|text| address(text.trim())) {
            Some(address) => nearest = address.to_canonical(),
            None => break,
        }
    }
    nearest
}

/// An address, with a port behind it or without.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let with_port = || text.parse().ok().map(|address: SocketAddr| address.ip());
    bare.parse().ok().or_else(with_port)
}

async fn collect(body: &mut Incoming, bytes_max: usize, stall: Duration) -> Result<Bytes, Failure> {
    let mut whole = Pieces::Nothing;
    loop {
        let frame = match tokio::time::timeout(stall, body.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(None) => return Ok(whole.take().unwrap_or_default()),
            Ok(Some(Err(error))) => {
                let timed_out = error.is_timeout();
                let code = if timed_out { Code::RequestTimeout } else { Code::InvalidValue };
                return Err(Refusal::new(code, "The body broke off before its end.").into());
            }
            Err(_) => {
                return Err(
                    Refusal::new(Code::RequestTimeout, "The body did not arrive in time.").into()
                );
            }
        };
        let Ok(data) = frame.into_data() else { continue };
        if whole.len() + data.len() > bytes_max {
            return Err(too_large(bytes_max).into());
        }
        whole.push(data);
    }
}

fn too_large(bytes_max: usize) -> Refusal {
    Refusal::new(
        Code::RequestTooLarge,
        format!("The body is larger than {bytes_max} bytes, the most this gateway takes."),
    )
}

fn gunzip(body: &[u8], bytes_max: usize) -> Result<Bytes, Failure> {
    use std::io::Read as _;
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    let mut plain = Vec::new();
    let unpacked = flate2::read::MultiGzDecoder::new(body).take(limit).read_to_end(&mut plain);
    if unpacked.is_err() {
        return Err(
            Refusal::new(Code::InvalidValue, "The body is not the gzip it says it is.").into()
        );
    }
    if plain.len() > bytes_max {
        return Err(too_large(bytes_max).into());
    }
    Ok(Bytes::from(plain))
}

/// The secret among `headers`: `Authorization: Bearer`, `x-api-key` or `api-key`. A client that
/// sends the same secret in several places means one.
pub fn secret_of(headers: &HeaderMap) -> Result<Option<Secret>, Refusal> {
    let mut found: Option<&str> = None;
    for name in ["authorization", "x-api-key", "api-key"] {
        for value in headers.get_all(name) {
            let secret = if name == "authorization" { bearer(value)? } else { plain(value)? };
            match found {
                Some(other) if other != secret => {
                    return Err(Refusal::new(
                        Code::ConflictingCredentials,
                        "The request carries two different API keys. Send one, in one header.",
                    ));
                }
                _ => found = Some(secret),
            }
        }
    }
    Ok(found.map(|secret| Secret::new(secret.to_owned())))
}

fn bearer(value: &HeaderValue) -> Result<&str, Refusal> {
    let text = value.to_str().map_err(|_| not_a_secret())?;
    match text.split_once(' ') {
        Some((scheme, secret)) if scheme.eq_ignore_ascii_case("bearer") => one_word(secret),
        _ => Err(not_a_secret()),
    }
}

fn plain(value: &HeaderValue) -> Result<&str, Refusal> {
    one_word(value.to_str().map_err(|_| not_a_secret())?)
}

fn one_word(secret: &str) -> Result<&str, Refusal> {
    let sane = !secret.is_empty() && secret.bytes().all(|byte| byte.is_ascii_graphic());
    if sane { Ok(secret) } else { Err(not_a_secret()) }
}

fn not_a_secret() -> Refusal {
    no_such_key()
}

/// What every secret that opens nothing is answered with, whatever is wrong with it.
pub fn no_such_key() -> Refusal {
    Refusal::new(
        Code::InvalidApiKey,
        "Incorrect API key provided. Whoever administers this gateway can give you one.",
    )
}

/// The bodies answers can have.
pub enum OutBody {
    /// All there is.
    Full(Option<Bytes>),
    /// A provider's answer, metered as it passes.
    Metered(Box<Meter>),
}

impl OutBody {
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        Self::Full(Some(bytes.into()).filter(|bytes: &Bytes| !bytes.is_empty()))
    }
}

impl http_body::Body for OutBody {
    type Data = Bytes;
    type Error = crate::meter::BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.get_mut() {
            Self::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Metered(meter) => meter.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Full(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Self::Metered(_) => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn an_address_is_believed_as_far_as_trust_goes() {
        let trusted = [Network::parse("10.0.0.0/8").unwrap(), Network::parse("::1").unwrap()];
        for (peer, told, address) in [
            ("203.0.113.7", &[][..], "203.0.113.7"),
            // Whoever is not trusted may tell what they like.
            ("203.0.113.7", &["198.51.100.1"], "203.0.113.7"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["6.6.6.6, 198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["198.51.100.1, 10.2.3.4"], "198.51.100.1"),
            ("10.0.0.1", &["198.51.100.1", "10.2.3.4"], "198.51.100.1"),
            ("10.0.0.1", &["6.6.6.6", "198.51.100.1:4711 "], "198.51.100.1"),
            ("::1", &["[2001:db8::1]:443"], "2001:db8::1"),
            ("::1", &["[2001:db8::1]"], "2001:db8::1"),
            ("::ffff:10.0.0.1", &["::ffff:198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["10.0.0.9"], "10.0.0.9"),
            ("10.0.0.1", &["6.6.6.6, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["6.6.6.6, "], "10.0.0.1"),
        ] {
            let pairs: Vec<_> = told.iter().map(|list| ("x-forwarded-for", *list)).collect();
            let found = origin(peer.parse().unwrap(), &headers(&pairs), &trusted);
            assert_eq!(found.to_string(), address, "{peer} {told:?}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_hide_nothing_behind_them() {
        let trusted = [Network::parse("10.0.0.0/8").unwrap()];
        let mut headers = HeaderMap::new();
        let list = HeaderValue::from_bytes(b"\xff, 203.0.113.7").unwrap();
        headers.append("x-forwarded-for", list);
        let found = origin("10.0.0.1".parse().unwrap(), &headers, &trusted);
        assert_eq!(found.to_string(), "203.0.113.7");
    }

    #[test]
    fn a_secret_is_found_wherever_clients_put_it() {
        for (pairs, secret) in [
            (&[][..], None),
            (&[("authorization", "Bearer sk-1")], Some("sk-1")),
            (&[("authorization", "bearer sk-1")], Some("sk-1")),
            (&[("x-api-key", "sk-1")], Some("sk-1")),
            (&[("api-key", "sk-1")], Some("sk-1")),
            (&[("authorization", "Bearer sk-1"), ("x-api-key", "sk-1")], Some("sk-1")),
        ] {
            let found = secret_of(&headers(pairs)).unwrap();
            assert_eq!(found.as_ref().map(Secret::expose), secret, "{pairs:?}");
        }
    }

    #[test]
    fn what_is_no_secret_is_refused() {
        for (pairs, code) in [
            (&[("authorization", "Basic c2s6MQ==")][..], Code::InvalidApiKey),
            (&[("authorization", "Bearer")], Code::InvalidApiKey),
            (&[("authorization", "Bearer ")], Code::InvalidApiKey),
            (&[("authorization", "Bearer  sk-1")], Code::InvalidApiKey),
            (&[("authorization", "Bearer\tsk-1")], Code::InvalidApiKey),
            (&[("authorization", "Bearer sk-1 x")], Code::InvalidApiKey),
            (&[("x-api-key", "")], Code::InvalidApiKey),
            (
                &[("authorization", "Bearer a"), ("authorization", "Bearer b")],
                Code::ConflictingCredentials,
            ),
            (&[("authorization", "Bearer a"), ("x-api-key", "b")], Code::ConflictingCredentials),
            (&[("x-api-key", "a"), ("api-key", "b")], Code::ConflictingCredentials),
        ] {
            let refused = secret_of(&headers(pairs)).err();
            assert_eq!(refused.map(|no| no.code), Some(code), "{pairs:?}");
        }
    }
}
