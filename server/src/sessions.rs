//! Who is logged in at the dashboard: by a cookie of which only the digest is kept, until it was idle
//! for a day or a week has passed. What a session may do is decided in `domain::command`.

mod attempts;
mod password;

use std::sync::Arc;

use data_encoding::HEXLOWER;
use domain::{Code, Digest, Entropy, Refusal, Secret, Timestamp};
use http::{HeaderMap, Method, header};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use store::{Fault, Store};

pub use attempts::Attempts;
pub use password::{DEFAULT, Password, hash, is_hash};

/// Everybody who is logged in.
pub struct Sessions {
    store: Arc<Store>,
    entropy: Arc<dyn Entropy>,
    kept: Mutex<Kept>,
    pub attempts: Attempts,
    /// Hashing takes memory on purpose: only so many at a time.
    verifying: tokio::sync::Semaphore,
}

#[derive(Clone, Default, Serialize, Deserialize)]
struct Kept {
    /// Of the password that they logged in with, where the file has its hash.
    password: Option<Digest>,
    /// Likewise where the file has the password itself: guessable, so never written down.
    #[serde(skip)]
    plain: Option<Digest>,
    open: Vec<Session>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Session {
    digest: Digest,
    opened_at: Timestamp,
    seen_at: Timestamp,
}

const NOTE: &str = "sessions";
const IDLE_SECONDS: i64 = 24 * 3_600;
const LONGEST_SECONDS: i64 = 7 * 24 * 3_600;
/// What was seen is written down so often: losing the rest ends a session that much earlier.
const SEEN_SECONDS: i64 = 600;
const MOST: usize = 100;

/// The cookie's name, and its name where only https may carry it.
const COOKIE: &str = "weir_session";
const SECURE_COOKIE: &str = "__Host-weir_session";

impl Session {
    fn is_alive(&self, now: Timestamp) -> bool {
        now < self.opened_at.plus_seconds(LONGEST_SECONDS)
            && now < self.seen_at.plus_seconds(IDLE_SECONDS)
    }
}

impl Sessions {
    /// Those who were logged in when the last process ended still are.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn open(store: Arc<Store>, entropy: Arc<dyn Entropy>) -> Result<Self, Fault> {
        let text = store.meta(NOTE).await?;
        let kept = text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        let (kept, verifying) = (Mutex::new(kept), tokio::sync::Semaphore::new(2));
        Ok(Self { store, entropy, kept, attempts: Attempts::default(), verifying })
    }

    /// Whether `given` is the password.
    pub async fn verify(&self, password: &Password, given: Secret) -> bool {
        let Ok(_permit) = self.verifying.acquire().await else { return false };
        let password = password.clone();
        tokio::task::spawn_blocking(move || password.is(&given)).await.unwrap_or(false)
    }

    /// The hash of a password, as the operator's file keeps it.
    pub async fn hash(&self, given: Secret) -> Option<String> {
        let _permit = self.verifying.acquire().await.ok()?;
        let mut salt = [0; 16];
        self.entropy.fill(&mut salt);
        tokio::task::spawn_blocking(move || hash(&given, &salt)).await.ok().flatten()
    }

    /// Logs somebody in. The answer goes into a cookie and nowhere else.
    ///
    /// # Errors
    /// It cannot be written down.
    pub async fn begin(&self, now: Timestamp) -> Result<Secret, Fault> {
        let mut bytes = [0; 32];
        self.entropy.fill(&mut bytes);
        let token = Secret::new(HEXLOWER.encode(&bytes));
        self.change(|kept| {
            kept.open.retain(|session| session.is_alive(now));
            let surplus = (kept.open.len() + 1).saturating_sub(MOST);
            kept.open.drain(..surplus);
            kept.open.push(Session { digest: token.digest(), opened_at: now, seen_at: now });
        })
        .await?;
        Ok(token)
    }

    /// Whether somebody is logged in with this cookie.
    ///
    /// # Errors
    /// Nobody is, or not any more.
    pub async fn see(&self, token: &Secret, now: Timestamp) -> Result<(), crate::failure::Failure> {
        let digest = token.digest();
        let is_to_be_written = {
            let mut kept = self.kept.lock();
            let found = kept.open.iter_mut().find(|session| session.digest == digest);
            let Some(session) = found.filter(|session| session.is_alive(now)) else {
                let message = "Nobody is logged in with this cookie any more: log in again.";
                return Err(Refusal::new(Code::SessionEnded, message).into());
            };
            let is_old = now >= session.seen_at.plus_seconds(SEEN_SECONDS);
            if is_old {
                session.seen_at = now;
            }
            is_old
        };
        if is_to_be_written {
            self.change(|_| {}).await?;
        }
        Ok(())
    }

    /// Logs out whoever has this cookie.
    ///
    /// # Errors
    /// It cannot be written down; they are logged out until the next start.
    pub async fn end(&self, token: &Secret) -> Result<(), Fault> {
        let digest = token.digest();
        self.change(|kept| kept.open.retain(|session| session.digest != digest)).await
    }

    /// Logs everybody out, or everybody but whoever has this cookie.
    ///
    /// # Errors
    /// As [`Self::end`].
    pub async fn end_all(&self, but: Option<&Secret>) -> Result<(), Fault> {
        let but = but.map(Secret::digest);
        self.change(|kept| kept.open.retain(|session| Some(session.digest) == but)).await
    }

    /// Sessions end with the password they were begun with. With `is_same`, it is only written in
    /// another way.
    ///
    /// # Errors
    /// As [`Self::end`].
    pub async fn hold_to(&self, password: &Password, is_same: bool) -> Result<(), Fault> {
        let (mark, plain) = (password.mark(), password.plain().map(|plain| plain.digest()));
        let is_known = {
            let mut kept = self.kept.lock();
            let is_known = kept.password == mark && (kept.plain.is_none() || kept.plain == plain);
            // The first look at a plain password after a start has nothing to compare with.
            if is_known {
                kept.plain = plain;
            }
            is_known
        };
        if is_known {
            return Ok(());
        }
        self.change(|kept| {
            if !is_same {
                kept.open.clear();
            }
            (kept.password, kept.plain) = (mark, plain);
        })
        .await
    }

    async fn change(&self, change: impl FnOnce(&mut Kept)) -> Result<(), Fault> {
        let text = {
            let mut kept = self.kept.lock();
            change(&mut kept);
            serde_json::to_string(&*kept)?
        };
        self.store.set_meta(NOTE, text).await
    }
}

/// The cookie of a session among `headers`.
pub fn cookie_of(headers: &HeaderMap) -> Option<Secret> {
    let lists = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = lists.flat_map(|list| list.split(';')).filter_map(|pair| pair.split_once('='));
    let found = pairs.find(|(name, _)| [COOKIE, SECURE_COOKIE].contains(&name.trim()))?;
    Some(Secret::new(found.1.trim().to_owned()))
}

/// The header that gives a browser its cookie, or takes it away.
pub fn set_cookie(token: Option<&Secret>, is_https: bool) -> String {
    let (name, secure) = if is_https { (SECURE_COOKIE, "; Secure") } else { (COOKIE, "") };
    let (value, age) = token.map_or(("", 0), |token| (token.expose(), LONGEST_SECONDS));
    format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={age}{secure}")
}

/// Refuses what a page of another site made a browser send. `strict`: whoever says nothing of where
/// it comes from is refused too, since a cookie travels by itself.
pub fn same_origin(method: &Method, headers: &HeaderMap, strict: bool) -> Result<(), Refusal> {
    if matches!(*method, Method::GET | Method::HEAD) {
        return Ok(());
    }
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or(""));
    let host = text("host").unwrap_or_default();
    let is_same = match (text("sec-fetch-site"), text("origin")) {
        (Some(site), _) => matches!(site, "same-origin" | "none"),
        (None, Some(origin)) => {
            let rest = origin.split_once("://").map(|(_, rest)| rest);
            rest.is_some_and(|rest| !host.is_empty() && rest.eq_ignore_ascii_case(host))
        }
        (None, None) => !strict,
    };
    if is_same {
        return Ok(());
    }
    Err(Refusal::new(
        Code::CrossOrigin,
        "A page of another site sent this. Send it from the dashboard, or with the master key instead of a cookie.",
    ))
}

/// Whether the client calls this machine by a name of its own: what a name elsewhere leads to can be
/// changed by whoever owns that.
pub fn is_local(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn only_this_sites_pages_may_change_anything() {
        let tried = |pairs: &[(&'static str, &'static str)], strict| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(*name, HeaderValue::from_static(value));
            }
            same_origin(&Method::POST, &headers, strict).is_ok()
        };
        let host = ("host", "gate.example:8000");
        for (pairs, passes) in [
            (&[host, ("sec-fetch-site", "same-origin")][..], true),
            (&[host, ("sec-fetch-site", "none")], true),
            (&[host, ("sec-fetch-site", "same-site")], false),
            (
                &[host, ("sec-fetch-site", "cross-site"), ("origin", "http://gate.example:8000")],
                false,
            ),
            (&[host, ("origin", "http://gate.example:8000")], true),
            (&[host, ("origin", "http://gate.example")], false),
            (&[host, ("origin", "http://evil.example")], false),
            (&[host, ("origin", "null")], false),
            (&[("origin", "http://")], false),
        ] {
            assert_eq!(tried(pairs, true), passes, "{pairs:?}");
            assert_eq!(tried(pairs, false), passes, "{pairs:?}");
        }
        assert!(!tried(&[host], true) && tried(&[host], false));
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.insert("cookie", HeaderValue::from_static("a=b; weir_session=abc; c=d"));
        assert_eq!(cookie_of(&headers).unwrap().expose(), "abc");
        headers.insert("cookie", HeaderValue::from_static("xweir_session=abc"));
        assert!(cookie_of(&headers).is_none());
    }
}
