//! The bridge's surface: logging in with the password, and the dashboard's forms for keys that have a
//! line in the operator's file. Forms and JSON are taken alike; what may be done is decided in `admin`.

use domain::command::{Actor, Home, KeyChange, NewKey};
use domain::key::KeyKind;
use domain::{Code, Refusal, Rules, Secret};
use futures_util::FutureExt as _;
use http::{HeaderValue, Response, StatusCode, header};
use schemars::JsonSchema;
use serde::Serialize;

use crate::admin::Desk;
use crate::bridge::{DEFAULT_RPM, per_minute};
use crate::call::{Answer, Call, OutBody};
use crate::failure::{Failure, rfc3339};
use crate::sessions::{Password, cookie_of, is_local, same_origin, set_cookie};
use crate::surface::Reply;
use crate::surface::fields::Fields;
use crate::surface::keys::place;
use crate::surface::reply::json;
use crate::surface::{limits, rules};

/// The largest body that is read of somebody who has not logged in, and of somebody who has.
const LOGIN_BYTES_MAX: usize = 4 << 10;
const FORM_BYTES_MAX: usize = 1 << 20;

/// What a page is answered with: no scripts, no frames, nothing from elsewhere.
const POLICY: &str =
    "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

const PAGE: &str = "<!doctype html>
<html lang=\"en\">
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width\">
<title>Weir: log in</title>
<h1>Weir</h1>
<form method=\"post\" action=\"/login\">
<p>NOTE</p>
<p><label>Password <input type=\"password\" name=\"password\" autocomplete=\"current-password\" required autofocus></label>
<button>Log in</button></p>
</form>
</html>
";

const HOME: &str = "<!doctype html>
<html lang=\"en\">
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width\">
<title>Weir</title>
<h1>Weir</h1>
<p>You are logged in. Keys, limits and usage are administered over the <a href=\"/docs\">API</a> and with the command line, <code>weir key list</code>.</p>
<form method=\"post\" action=\"/logout\"><button>Log out</button></form>
<form method=\"post\" action=\"/logout-everywhere\"><button>Log out everywhere</button></form>
</html>
";

async fn fields(desk: &Desk, call: &mut Call, bytes_max: usize) -> Result<Fields, Failure> {
    const NUMBERS: [&str; 4] = ["rpm", "tpm_limit", "daily_token_limit", "max_parallel"];
    let body = call.body(bytes_max, desk.gate.wire.body_timeout).await?;
    if is_form(call) { Ok(Fields::read_form(&body, &NUMBERS)?) } else { Ok(Fields::read(&body)?) }
}

fn is_form(call: &Call) -> bool {
    let kind = call.content_type().and_then(|kind| kind.split(';').next()).unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

fn is_https(desk: &Desk, call: &Call) -> bool {
    call.is_https(&desk.gate.trusted_proxies)
}

/// Sends a browser on to a page.
fn see(path: &'static str) -> Answer {
    let mut answer = Response::new(OutBody::full(""));
    *answer.status_mut() = StatusCode::SEE_OTHER;
    answer.headers_mut().insert(header::LOCATION, HeaderValue::from_static(path));
    answer
}

fn with_cookie(mut answer: Answer, cookie: &str) -> Result<Answer, Failure> {
    let value = HeaderValue::from_str(cookie).map_err(Failure::internal)?;
    answer.headers_mut().insert(header::SET_COOKIE, value);
    Ok(answer)
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "done")]
pub struct Done {
    ok: bool,
}

/// `GET /login`: the form.
pub fn login_page(_desk: &Desk, _actor: Actor, call: Call) -> Reply<'_> {
    async move {
        let failed = call.head.uri.query() == Some("error=1");
        let note = if failed { "This was not the password." } else { "" };
        Ok(page(PAGE.replace("NOTE", note)))
    }
    .boxed()
}

fn page(text: String) -> Answer {
    let mut answer = Response::new(OutBody::full(text));
    let headers = answer.headers_mut();
    for (name, value) in [
        ("content-type", "text/html; charset=utf-8"),
        ("content-security-policy", POLICY),
        ("x-frame-options", "DENY"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    answer
}

/// `GET /dashboard`: where a log-in leads to.
pub fn dashboard(desk: &Desk, _actor: Actor, call: Call) -> Reply<'_> {
    async move {
        let Some(cookie) = cookie_of(&call.head.headers) else { return Ok(see("/login")) };
        match desk.sessions.see(&cookie, call.at).await {
            Ok(()) => Ok(page(HOME.to_owned())),
            Err(Failure::Refused(_)) => Ok(see("/login")),
            Err(failure) => Err(failure),
        }
    }
    .boxed()
}

/// `POST /login`
pub fn login(desk: &Desk, _actor: Actor, mut call: Call) -> Reply<'_> {
    async move {
        same_origin(call.method(), &call.head.headers, false)?;
        let mut fields = fields(desk, &mut call, LOGIN_BYTES_MAX).await?;
        let given = fields.required("password", Fields::secret)?;
        fields.end()?;
        let is_default = matches!(desk.gate.bridge.force().password, Password::Default);
        if is_default && !is_local(&call.head.headers) && !desk.gate.is_master(&given.digest()) {
            let message = "The password is the default, which opens the dashboard only under the name localhost: change it first.";
            return Err(Refusal::new(Code::CrossOrigin, message).into());
        }
        let from = call.address(&desk.gate.trusted_proxies);
        let token = match desk.log_in(given, from, call.at).await {
            Ok(token) => token,
            Err(Failure::Refused(no)) if no.code == Code::WrongPassword && is_form(&call) => {
                return Ok(see("/login?error=1"));
            }
            Err(failure) => return Err(failure),
        };
        let cookie = set_cookie(Some(&token), is_https(desk, &call));
        with_cookie(done(&call, "/dashboard"), &cookie)
    }
    .boxed()
}

fn done(call: &Call, next: &'static str) -> Answer {
    if is_form(call) { see(next) } else { json(StatusCode::OK, &Done { ok: true }) }
}

/// `POST /logout`
pub fn logout(desk: &Desk, _actor: Actor, call: Call) -> Reply<'_> {
    async move {
        if let Some(cookie) = cookie_of(&call.head.headers) {
            desk.sessions.end(&cookie).await?;
        }
        with_cookie(done(&call, "/login"), &set_cookie(None, is_https(desk, &call)))
    }
    .boxed()
}

/// `POST /logout-everywhere`
pub fn logout_everywhere(desk: &Desk, _actor: Actor, call: Call) -> Reply<'_> {
    async move {
        desk.sessions.end_all(None).await?;
        with_cookie(done(&call, "/login"), &set_cookie(None, is_https(desk, &call)))
    }
    .boxed()
}

/// `POST /api/v1/password`
pub fn password(desk: &Desk, actor: Actor, mut call: Call) -> Reply<'_> {
    async move {
        let mut fields = fields(desk, &mut call, LOGIN_BYTES_MAX).await?;
        let current: Option<Secret> = fields.secret("current")?;
        let new = fields.required("new", Fields::secret)?;
        fields.end()?;
        let from = call.address(&desk.gate.trusted_proxies);
        let cookie = cookie_of(&call.head.headers);
        desk.change_password(actor, (current, new), (cookie, from), call.at).await?;
        Ok(json(StatusCode::OK, &Done { ok: true }))
    }
    .boxed()
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "listed_key_made")]
pub struct Made<'a> {
    id: String,
    name: &'a str,
    /// The secret, in this answer and never again.
    key: &'a str,
    rpm: Option<i64>,
    created: i64,
}

/// `POST /create-key`
pub fn create_key(desk: &Desk, actor: Actor, mut call: Call) -> Reply<'_> {
    async move {
        let mut fields = fields(desk, &mut call, FORM_BYTES_MAX).await?;
        let name = fields.required("name", Fields::label)?;
        let says_rpm = fields.has("rpm") || fields.has("limits");
        let mut limits = limits::read(&mut fields, call.at)?;
        if !says_rpm {
            limits.slots.extend(per_minute(Some(DEFAULT_RPM)).slots);
        }
        let mut allowed = Rules::default();
        rules::read(&mut fields)?.apply(&mut allowed);
        let place = place(&mut fields)?;
        let expires_at = fields.moment("expires_at")?;
        let force = fields.boolean("force")?.unwrap_or(false);
        let metadata = fields.notes("metadata")?.unwrap_or_default();
        fields.end()?;
        let (kind, home) = (KeyKind::Regular, Home::default());
        let new = NewKey { kind, name, home, rules: allowed, limits, expires_at, metadata };
        let (key, secret) = desk.create_listed(actor, new, (place, force), call.at).await?;
        let made = Made {
            id: key.id.to_string(),
            name: &key.name,
            key: secret.expose(),
            rpm: crate::bridge::rpm(&key),
            created: key.created_at.seconds(),
        };
        Ok(json(StatusCode::OK, &made))
    }
    .boxed()
}

/// The key a form is about, by whichever name the form has for it.
fn named(fields: &mut Fields) -> Result<String, Refusal> {
    const CHARS_MAX: usize = 600;
    let mut said = None;
    for name in ["id", "key_id", "key", "name"] {
        // What else the form has says no more than the first.
        let text = fields.text(name, CHARS_MAX)?;
        said = said.or(text);
    }
    said.ok_or_else(|| {
        Refusal::new(Code::MissingParameter, "'id' is missing: say which key.").about("id")
    })
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "listed_key_deleted")]
pub struct Deleted {
    deleted: bool,
    id: String,
}

/// `POST /delete-key`
pub fn delete_key(desk: &Desk, actor: Actor, mut call: Call) -> Reply<'_> {
    async move {
        let mut fields = fields(desk, &mut call, FORM_BYTES_MAX).await?;
        let named = named(&mut fields)?;
        fields.end()?;
        let key = desk.named(actor, &named).await?;
        let key = desk.revoke(actor, key.id, None, call.at).await?;
        Ok(json(StatusCode::OK, &Deleted { deleted: true, id: key.id.to_string() }))
    }
    .boxed()
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "listed_key_updated")]
pub struct Updated<'a> {
    id: String,
    name: &'a str,
    rpm: Option<i64>,
}

/// `POST /update-key`
pub fn update_key(desk: &Desk, actor: Actor, mut call: Call) -> Reply<'_> {
    async move {
        let mut fields = fields(desk, &mut call, FORM_BYTES_MAX).await?;
        let id = fields.required("id", |fields, name| fields.text(name, 600))?;
        let change = KeyChange {
            name: fields.label("name")?,
            limits: limits::read(&mut fields, call.at)?,
            ..KeyChange::default()
        };
        fields.end()?;
        let key = desk.named(actor, &id).await?;
        let key = desk.update(actor, key.id, change, false, call.at).await?;
        let rpm = crate::bridge::rpm(&key);
        Ok(json(StatusCode::OK, &Updated { id: key.id.to_string(), name: &key.name, rpm }))
    }
    .boxed()
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "operators_file")]
#[expect(clippy::struct_excessive_bools, reason = "each tells of another thing")]
pub struct FileView {
    file: String,
    exists: bool,
    /// When its latest good version was taken.
    taken_at: Option<String>,
    /// Why its latest version is not in force.
    mistake: Option<MistakeView>,
    readable_by_others: bool,
    keys: usize,
    default_password: bool,
    allow_unauthenticated: bool,
    auth_tokens: usize,
    cf_clearance: bool,
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    usage_stats: serde_json::Value,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "mistake")]
pub struct MistakeView {
    place: String,
    why: String,
    at: String,
}

/// `GET /api/v1/bridge`
pub fn show(desk: &Desk, _actor: Actor, _call: Call) -> Reply<'_> {
    async move {
        let bridge = &desk.gate.bridge;
        bridge.catch_up().await;
        let counts = bridge.counts().await?;
        let counts = counts.iter().map(|(id, count)| (id.to_string(), count));
        let usage_stats =
            serde_json::to_value(counts.collect::<std::collections::BTreeMap<_, _>>());
        let force = bridge.force();
        let status = &force.status;
        let mistake = status.mistake.as_ref().map(|(mistake, at)| MistakeView {
            place: mistake.place.clone(),
            why: mistake.why.clone(),
            at: rfc3339(*at),
        });
        let view = FileView {
            file: bridge.path().display().to_string(),
            exists: status.exists,
            taken_at: status.taken_at.filter(|_| status.exists).map(rfc3339),
            mistake,
            readable_by_others: status.is_open,
            keys: status.keys,
            default_password: matches!(force.password, Password::Default),
            allow_unauthenticated: force.anonymous.is_some(),
            auth_tokens: force.browser.auth_tokens.len(),
            cf_clearance: force.browser.cf_clearance.is_some(),
            usage_stats: usage_stats.map_err(Failure::internal)?,
        };
        Ok(json(StatusCode::OK, &view))
    }
    .boxed()
}
