//! Revisions of records on the wire, so that nobody overwrites what they have not seen: `ETag` tells
//! which one an answer shows, `If-Match` (or the member `revision`) which one a change is meant for.

use domain::Refusal;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use crate::call::{Answer, Call};
use crate::surface::fields::{Fields, invalid};
use crate::surface::reply::json;

/// The revision that a change is meant for; `None` for whichever there is.
///
/// # Errors
/// It cannot be understood, or is said twice and differently.
pub fn expected(call: &Call, fields: &mut Fields) -> Result<Option<u64>, Refusal> {
    let in_header = header(call)?;
    let in_body = fields.number("revision", 1, u64::MAX >> 1)?;
    match (in_header, in_body) {
        (Some(header), Some(body)) if header != body => {
            Err(invalid("revision", "the same as in If-Match, or left out"))
        }
        (header, body) => Ok(header.or(body)),
    }
}

fn header(call: &Call) -> Result<Option<u64>, Refusal> {
    let wanted = || invalid("if-match", "an ETag of this record, like \"7\", or *");
    let mut values = call.head.headers.get_all(header::IF_MATCH).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().map_err(|_| wanted())?.trim();
    if values.next().is_some() {
        return Err(wanted());
    }
    if text == "*" {
        return Ok(None);
    }
    let number = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let number = number.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    number.and_then(|text| text.parse().ok()).map(Some).ok_or_else(wanted)
}

/// An answer that shows one record, with its revision as `ETag`.
pub fn tagged(status: StatusCode, body: &impl Serialize, revision: u64) -> Answer {
    let mut answer = json(status, body);
    if let Ok(tag) = HeaderValue::try_from(format!("\"{revision}\"")) {
        answer.headers_mut().insert(header::ETAG, tag);
    }
    answer
}
