//! Lists of keys: what may be asked for, and the tokens that lead from page to page. How they are
//! found quickly is the store's business.

use domain::command::Actor;
use domain::id::Ulid;
use domain::{Key, KeyId, Refusal, Secret, Status, Timestamp};
use futures_util::FutureExt as _;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use store::{KeyOrder, KeyPlace, KeyQuery};

use super::{KINDS, KeyView};
use crate::admin::Desk;
use crate::call::Call;
use crate::surface::Reply;
use crate::surface::fields::invalid;
use crate::surface::mark;
use crate::surface::page::{no_such_page, size};
use crate::surface::query::Query;
use crate::surface::reply::json;

const STATUSES: [(&str, Status); 4] = [
    ("active", Status::Active),
    ("disabled", Status::Disabled),
    ("expired", Status::Expired),
    ("revoked", Status::Revoked),
];

/// The order, and whether the first comes first.
const SORTS: [(&str, (KeyOrder, bool)); 6] = [
    ("-created_at", (KeyOrder::Made, false)),
    ("created_at", (KeyOrder::Made, true)),
    ("name", (KeyOrder::Name, true)),
    ("-name", (KeyOrder::Name, false)),
    ("expires_at", (KeyOrder::End, true)),
    ("-expires_at", (KeyOrder::End, false)),
];

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "page_of_key")]
pub struct Listed<'a> {
    data: Vec<KeyView<'a>>,
    next_page_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
}

/// `GET /api/v1/keys`
pub fn list(desk: &Desk, actor: Actor, call: Call) -> Reply<'_> {
    async move {
        let mut query = Query::read(call.head.uri.query())?;
        let name = format!("keys of {} {}", actor.name(), query.rest(&PAGE));
        let token = query.text("page_token");
        let size = size(&mut query)?;
        let include_total = query.boolean("include_total")?.unwrap_or(false);
        let mut wanted = read(&mut query, call.at)?;
        query.end()?;
        wanted.page_size = size + 1;
        wanted.after = match token {
            None => None,
            Some(token) => {
                let place = mark::read(&desk.list_secret, &name, &token);
                Some(
                    place
                        .and_then(|place| unpacked(wanted.order, &place))
                        .ok_or_else(no_such_page)?,
                )
            }
        };
        let total =
            if include_total { Some(desk.count_keys(actor, wanted.clone()).await?) } else { None };
        let order = wanted.order;
        let mut keys = desk.keys(actor, wanted).await?;
        let more = keys.len() > size;
        keys.truncate(size);
        let next =
            keys.last().filter(|_| more).map(|last| next(&desk.list_secret, &name, order, last));
        let about = desk.about(&keys, call.at).await?;
        let view = |(key, about)| KeyView::new(key, about, call.at);
        let data = keys.iter().zip(&about).map(view).collect();
        Ok(json(StatusCode::OK, &Listed { data, next_page_token: next, total }))
    }
    .boxed()
}

/// What says which page is meant, and not which list.
const PAGE: [&str; 4] = ["page_size", "page_token", "offset", "include_total"];

fn read(query: &mut Query, now: Timestamp) -> Result<KeyQuery, Refusal> {
    const CHARS_MAX: usize = 200;
    let search = query.text("search");
    let is_odd =
        |text: &String| text.chars().count() > CHARS_MAX || text.chars().any(char::is_control);
    if search.as_ref().is_some_and(is_odd) {
        let wanted = "at most 200 characters of a name, without control characters";
        return Err(invalid("search", wanted));
    }
    let (order, ascending) = query.word("sort", &SORTS)?.unwrap_or_default();
    Ok(KeyQuery {
        maker: query.parsed("created_by", "the hash of a management key")?,
        project: query.parsed("project_id", "the id of a project")?,
        user: query.parsed("user_id", "the id of a user")?,
        team: query.parsed("team_id", "the id of a team")?,
        kind: query.word("key_type", &KINDS)?,
        status: query.word("status", &STATUSES)?.map(|status| (status, now)),
        include_revoked: query.boolean("include_revoked")?.unwrap_or(false),
        include_disabled: query.boolean("include_disabled")?.unwrap_or(true),
        name_contains: search,
        order,
        ascending,
        after: None,
        offset: query.number("offset", 0, u32::MAX)?.unwrap_or(0) as usize,
        page_size: 0,
    })
}

/// The token of the page behind `key`: its id, and what it is sorted by as that was then.
fn next(secret: &Secret, list: &str, order: KeyOrder, key: &Key) -> String {
    let mut place = key.id.ulid().bytes().to_vec();
    match order {
        KeyOrder::Made => {}
        KeyOrder::Name => place.extend_from_slice(key.name.as_bytes()),
        KeyOrder::End => {
            let end = key.expires_at.map_or(i64::MAX, Timestamp::micros);
            place.extend_from_slice(&end.to_be_bytes());
        }
    }
    mark::make(secret, list, &place)
}

fn unpacked(order: KeyOrder, place: &[u8]) -> Option<KeyPlace> {
    let (id, value) = place.split_first_chunk()?;
    let id = KeyId::from_ulid(Ulid::from_bytes(*id));
    let (mut name, mut expires_at) = (String::new(), None);
    match order {
        KeyOrder::Made => {}
        KeyOrder::Name => name = String::from_utf8(value.to_vec()).ok()?,
        KeyOrder::End => {
            let end = i64::from_be_bytes(value.try_into().ok()?);
            expires_at = Some(end).filter(|end| *end < i64::MAX).map(Timestamp::from_micros);
        }
    }
    Some(KeyPlace { id, name, expires_at })
}
