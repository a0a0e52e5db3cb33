//! Logging in at the dashboard: the password, the cookie, and who else may not use it.

use http::Method;
use serde_json::{Value, json};

use crate::bridge::{file, path, put};
use crate::world::{MASTER, Reply, Unusual, World};

const JSON: (&str, &str) = ("content-type", "application/json");
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

fn log_in(world: &World, password: &str) -> Reply {
    world.send(Method::POST, "/login", &[JSON], json!({"password": password}).to_string())
}

/// The cookie of a log-in that went well.
fn cookie(reply: &Reply) -> String {
    let set = reply.header("set-cookie");
    assert!(set.contains("; HttpOnly") && set.contains("; SameSite=Lax"), "{set}");
    set.split(';').next().unwrap().to_owned()
}

/// What the dashboard's own pages send.
fn post(world: &World, path: &str, cookie: &str, body: &Value) -> Reply {
    let headers = [JSON, ("cookie", cookie), ("sec-fetch-site", "same-origin")];
    world.send(Method::POST, path, &headers, body.to_string())
}

fn get(world: &World, path: &str, cookie: &str) -> Reply {
    world.send(Method::GET, path, &[("cookie", cookie)], "")
}

fn with(config_json: &'static str) -> World {
    World::with(Unusual { config_json, ..Unusual::default() })
}

// M14, M55: the dashboard requires login; `password` in config.json, default `admin`.
#[test]
fn m14_m55_the_default_password_is_admin_and_the_file_has_another() {
    let world = World::new();
    log_in(&world, "wrong").refused(401, "wrong_password");
    let session = cookie(&log_in(&world, "admin").is(200));
    get(&world, "/api/v1/keys", &session).is(200);
    put(&world, r#"{"password": "your-strong-password-here"}"#);
    // A session ends with the password it was begun with.
    get(&world, "/api/v1/keys", &session).refused(401, "session_ended");
    log_in(&world, "admin").refused(401, "wrong_password");
    let session = cookie(&log_in(&world, "your-strong-password-here").is(200));
    assert_eq!(get(&world, "/api/v1/bridge", &session).is(200).json()["default_password"], false);
    // The program writes its hash, and the same password still opens, the same session still lasts.
    post(&world, "/create-key", &session, &json!({"name": "x"})).is(200);
    assert!(file(&world)["password"].as_str().unwrap().starts_with("$argon2id$"));
    get(&world, "/api/v1/keys", &session).is(200);
    log_in(&world, "your-strong-password-here").is(200);
    log_in(&world, MASTER).is(200);
}

// M14: forms are sent on to the dashboard, and back where the password is wrong.
#[test]
fn m14_a_browser_is_sent_to_the_dashboard() {
    let world = World::new();
    let right = world.send(Method::POST, "/login", &[FORM], "password=admin").is(303);
    assert_eq!(right.header("location"), "/dashboard");
    assert!(!cookie(&right).is_empty());
    let wrong = world.send(Method::POST, "/login", &[FORM], "password=nimda").is(303);
    assert_eq!((wrong.header("location"), wrong.header("set-cookie")), ("/login?error=1", ""));
    let page = world.send(Method::GET, "/login", &[], "").is(200);
    assert!(page.text.contains("<form method=\"post\" action=\"/login\">"));
    assert!(page.header("content-security-policy").contains("frame-ancestors 'none'"));
    assert!(page.header("content-security-policy").starts_with("default-src 'none'"));
    let page = world.send(Method::GET, "/login?error=1", &[], "").is(200);
    assert!(page.text.contains("not the password"));
}

// M16, M21, M26 with the dashboard's cookie instead of the master key.
#[test]
fn m16_m21_m26_a_session_administers() {
    let world = World::new();
    let session = cookie(&log_in(&world, "admin").is(200));
    let made = post(&world, "/create-key", &session, &json!({"name": "mine"})).is(200).json();
    world.chat(made["key"].as_str().unwrap(), "").is(200);
    post(&world, "/update-key", &session, &json!({"id": made["id"], "rpm": 0})).is(200);
    world.chat(made["key"].as_str().unwrap(), "").refused(429, "rate_limit_exceeded");
    post(&world, "/delete-key", &session, &json!({"id": made["id"]})).is(200);
    post(&world, "/api/v1/keys", &session, &json!({"name": "x", "key_type": "management"})).is(201);
    post(&world, "/api/v1/teams", &session, &json!({"name": "t"})).is(201);
    get(&world, "/api/v1/usage/calls", &session).is(200);
    // It calls no model, and opens nothing of the internal surface.
    let chat = crate::world::chat("gpt-4o", "");
    post(&world, "/v1/chat/completions", &session, &chat).refused(401, "missing_api_key");
    get(&world, "/internal/teams", &session).refused(401, "missing_api_key");
    get(&world, "/v1/organization/users", &session).refused(401, "missing_api_key");
    post(&world, "/logout", &session, &json!({})).is(200);
    get(&world, "/api/v1/keys", &session).refused(401, "session_ended");
}

// M56: the password can be changed in the dashboard or the file.
#[test]
fn m56_the_password_changes_and_other_sessions_end() {
    let mut world = World::new();
    let (one, other) = (log_in(&world, "admin").is(200), log_in(&world, "admin").is(200));
    let (one, other) = (cookie(&one), cookie(&other));
    let change = |body: &Value| post(&world, "/api/v1/password", &one, body);
    change(&json!({"current": "wrong", "new": "long enough"})).refused(401, "wrong_password");
    change(&json!({"new": "long enough"})).refused(400, "missing_required_parameter");
    change(&json!({"current": "admin", "new": "short"})).refused(400, "invalid_value");
    change(&json!({"current": "admin", "new": "$argon2id$v=19$"})).refused(400, "invalid_value");
    get(&world, "/api/v1/keys", &other).is(200);
    change(&json!({"current": "admin", "new": "long enough"})).is(200);
    get(&world, "/api/v1/keys", &one).is(200);
    get(&world, "/api/v1/keys", &other).refused(401, "session_ended");
    log_in(&world, "admin").refused(401, "wrong_password");
    log_in(&world, "long enough").is(200);
    assert!(!std::fs::read_to_string(path(&world)).unwrap().contains("long enough"));
    // The master key needs no other proof.
    world.post("/api/v1/password", MASTER, &json!({"new": "yet another one"})).is(200);
    get(&world, "/api/v1/keys", &one).refused(401, "session_ended");
    let session = cookie(&log_in(&world, "yet another one").is(200));
    world.restart();
    get(&world, "/api/v1/keys", &session).is(200);
    world.stop();
    put(&world, r#"{"password": "changed while stopped"}"#);
    world.start();
    get(&world, "/api/v1/keys", &session).refused(401, "session_ended");
}

#[test]
fn a_session_ends_idle_or_old_or_with_all_others() {
    let world = World::new();
    let session = cookie(&log_in(&world, "admin").is(200));
    for _ in 0..8 {
        world.clock.advance_seconds(20 * 3_600);
        get(&world, "/api/v1/keys", &session).is(200);
    }
    world.clock.advance_seconds(9 * 3_600);
    get(&world, "/api/v1/keys", &session).refused(401, "session_ended");
    let session = cookie(&log_in(&world, "admin").is(200));
    world.clock.advance_seconds(24 * 3_600);
    get(&world, "/api/v1/keys", &session).refused(401, "session_ended");
    let (one, other) =
        (cookie(&log_in(&world, "admin").is(200)), cookie(&log_in(&world, "admin").is(200)));
    post(&world, "/logout-everywhere", &one, &json!({})).is(200);
    for session in [one, other] {
        get(&world, "/api/v1/keys", &session).refused(401, "session_ended");
    }
}

// B70: ×10 wrong passwords, other origins, logged-out cookies, a password of 1 MB, frames.
#[test]
fn b70_guessers_and_other_sites_get_nowhere() {
    let world = with(r#"{"password": "a-good-password"}"#);
    let session = cookie(&log_in(&world, "a-good-password").is(200));
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "http://evil.example"),
        ("origin", "null"),
        ("x-nothing", "said"),
    ] {
        let headers = [JSON, ("cookie", session.as_str()), (name, value)];
        let tried = world.send(Method::POST, "/create-key", &headers, r#"{"name":"x"}"#);
        tried.refused(403, "cross_origin");
    }
    let origin = format!("http://{}", world.address());
    let headers = [JSON, ("cookie", session.as_str()), ("origin", origin.as_str())];
    world.send(Method::POST, "/create-key", &headers, r#"{"name":"x"}"#).is(200);
    let headers = [JSON, ("origin", "http://evil.example")];
    let body = json!({"password": "a-good-password"}).to_string();
    world.send(Method::POST, "/login", &headers, body).refused(403, "cross_origin");
    log_in(&world, &"x".repeat(1 << 20)).refused(413, "request_too_large");
    for forged in ["weir_session=", "weir_session=00", "__Host-weir_session=weir", "weir_session"] {
        let refused = get(&world, "/api/v1/keys", forged);
        assert_eq!(refused.status, 401, "{forged}");
    }
    for _ in 0..10 {
        log_in(&world, "guess").refused(401, "wrong_password");
    }
    let refused = log_in(&world, "guess").refused(429, "too_many_attempts");
    assert_eq!(refused.header("retry-after"), "900");
    // Not even with the right one; who is in stays in, and the master key is no password there.
    log_in(&world, "a-good-password").refused(429, "too_many_attempts");
    get(&world, "/api/v1/keys", &session).is(200);
    world.get("/api/v1/keys", MASTER).is(200);
    world.clock.advance_seconds(900);
    log_in(&world, "a-good-password").is(200);
}

// M57: warned of the default password before others can reach it; its name is no way around that.
#[test]
fn m57_the_default_password_opens_only_this_machine() {
    let world = World::new();
    let headers = [JSON, ("host", "weir.example:8000")];
    let body = json!({"password": "admin"}).to_string();
    world.send(Method::POST, "/login", &headers, body).refused(403, "cross_origin");
    let shown = world.get("/api/v1/bridge", MASTER).is(200).json();
    assert_eq!(shown["default_password"], true);
}

#[test]
fn behind_a_proxy_with_https_the_cookie_is_secure() {
    let env = vec![("WEIR_TRUSTED_PROXIES", "127.0.0.1".to_owned())];
    let world = World::with(Unusual {
        env,
        config_json: r#"{"password": "a-good-password"}"#,
        ..Unusual::default()
    });
    let headers = [JSON, ("x-forwarded-proto", "https"), ("x-forwarded-for", "203.0.113.7")];
    let body = json!({"password": "a-good-password"}).to_string();
    let reply = world.send(Method::POST, "/login", &headers, body).is(200);
    let set = reply.header("set-cookie");
    assert!(set.starts_with("__Host-weir_session=") && set.ends_with("; Secure"), "{set}");
    get(&world, "/api/v1/keys", set.split(';').next().unwrap()).is(200);
    let reply = log_in(&world, "a-good-password").is(200);
    assert!(reply.header("set-cookie").starts_with("weir_session="));
}

#[test]
fn what_a_session_asks_for_twice_is_done_once() {
    let world = with("");
    let cookie = cookie(&log_in(&world, "admin"));
    let headers = [
        ("cookie", cookie.as_str()),
        ("content-type", "application/json"),
        ("sec-fetch-site", "same-origin"),
        ("idempotency-key", "abc-1"),
    ];
    let make = || world.send(Method::POST, "/api/v1/keys", &headers, r#"{"name": "once"}"#).is(201);
    let (first, second) = (make(), make());
    assert_eq!(first.text, second.text);
    assert_eq!(second.header("idempotent-replayed"), "true");
}

#[test]
fn a_log_in_leads_to_a_page_that_is_there() {
    let world = with("");
    assert_eq!(world.send(Method::GET, "/dashboard", &[], "").is(303).header("location"), "/login");
    let cookie = cookie(&log_in(&world, "admin"));
    let page = get(&world, "/dashboard", &cookie).is(200);
    assert!(
        page.text.contains("logged in")
            && page.header("content-security-policy").contains("default-src 'none'")
    );
}
