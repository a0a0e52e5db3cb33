//! Pages of lists: how one is asked for, and how it is answered.

use domain::id::Ulid;
use domain::{Refusal, Secret};
use schemars::JsonSchema;
use serde::Serialize;

use crate::call::Call;
use crate::surface::fields::invalid;
use crate::surface::mark;
use crate::surface::query::Query;

/// Which page.
pub struct Wanted {
    /// How many things are on it.
    pub size: usize,
    /// Older than this one.
    pub after: Option<Ulid>,
    /// The list it is of: its path, and what it was asked for.
    list: String,
}

impl Wanted {
    /// Reads `page_size` and `page_token`.
    pub fn read(query: &mut Query, call: &Call, secret: &Secret) -> Result<Self, Refusal> {
        const PAGE: [&str; 2] = ["page_size", "page_token"];
        let list = format!("{} {}", call.head.uri.path(), query.rest(&PAGE));
        let size = size(query)?;
        let after = match query.text("page_token") {
            None => None,
            Some(token) => {
                let place = mark::read(secret, &list, &token);
                let id = place.and_then(|place| place.try_into().ok()).map(Ulid::from_bytes);
                Some(id.ok_or_else(no_such_page)?)
            }
        };
        Ok(Self { size, after, list })
    }

    /// How many to ask for: one more than is shown tells whether there is another page.
    pub const fn ask(&self) -> usize {
        self.size + 1
    }

    /// Leaves of `found` what is shown; the token of the next page, where there is one.
    pub fn cut<T>(
        &self,
        found: &mut Vec<T>,
        secret: &Secret,
        id: impl Fn(&T) -> Ulid,
    ) -> Option<String> {
        let more = found.len() > self.size;
        found.truncate(self.size);
        found.last().filter(|_| more).map(|last| mark::make(secret, &self.list, &id(last).bytes()))
    }
}

/// How many things a page has.
pub fn size(query: &mut Query) -> Result<usize, Refusal> {
    Ok(query.number("page_size", 1, 1_000)?.unwrap_or(100) as usize)
}

/// What a token that is none of this list's is answered with.
pub fn no_such_page() -> Refusal {
    invalid("page_token", "the next_page_token of another page of this list")
}

/// A page as it is answered.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "page_of_{T}")]
pub struct Page<T> {
    pub data: Vec<T>,
    pub next_page_token: Option<String>,
}
