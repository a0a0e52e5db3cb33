//! Every route that exists is tried by everybody who must not use it. The list of routes is the
//! program's own table, so a route without a guard fails here, whoever adds it.

use http::Method;
use serde_json::json;
use server::relay::Guard;
use server::surface::{Endpoint, INFERENCE, OURS};

use crate::world::{MASTER, TestKey, World};

/// A path that matches the row, with ids filled in.
fn example(row: &Endpoint, prefix: &str) -> String {
    let path = row.path.replace("{*model}", "gpt-4o").replace("{*rest}", "users");
    let parts = path.split('/').map(|part| if part.starts_with('{') { "x-1" } else { part });
    format!("{prefix}{}", parts.collect::<Vec<_>>().join("/"))
}

fn rows() -> Vec<(String, Method, Guard)> {
    let mut rows = Vec::new();
    for (table, prefixes) in [(INFERENCE, &["/v1", "/api/v1"][..]), (OURS, &[""][..])] {
        for row in table {
            for prefix in prefixes {
                for method in row.methods {
                    rows.push((example(row, prefix), method.clone(), row.guard));
                }
            }
        }
    }
    rows
}

struct Callers {
    regular: TestKey,
    manager: TestKey,
    disabled: TestKey,
    revoked: TestKey,
    expired: TestKey,
}

fn callers(world: &World) -> Callers {
    let callers = Callers {
        regular: world.any_key(),
        manager: world.key(&json!({"key_type": "management"})),
        disabled: world.any_key(),
        revoked: world.any_key(),
        expired: world.key(&json!({"expires_at": "2027-01-15T08:00:01Z"})),
    };
    world
        .patch(&format!("/api/v1/keys/{}", callers.disabled.id), MASTER, &json!({"disabled": true}))
        .is(200);
    world.delete(&format!("/api/v1/keys/{}", callers.revoked.id), MASTER).is(200);
    world.clock.advance_seconds(2);
    callers
}

fn send(world: &World, method: &Method, path: &str, secret: Option<&str>) -> crate::world::Reply {
    let bearer = secret.map(|secret| format!("Bearer {secret}"));
    let mut headers = vec![("content-type", "application/json")];
    headers.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
    world.send(method.clone(), path, &headers, "{}")
}

#[test]
fn nobody_passes_a_guard_that_is_not_theirs() {
    let world = World::new();
    let callers = callers(&world);
    let checked = "lr_live_0000000000000000000000000000000000000000000x";
    for (path, method, guard) in rows() {
        if guard == Guard::Open {
            continue;
        }
        let tried = |secret: Option<&str>, status: u16, code: &str| {
            let answer = send(&world, &method, &path, secret);
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (status, code),
                "{method} {path} {guard:?}"
            );
        };
        tried(None, 401, "missing_api_key");
        if guard == Guard::Internal {
            let Callers { regular, manager, disabled, revoked, expired } = &callers;
            for key in [regular, manager, disabled, revoked, expired] {
                tried(Some(&key.secret), 403, "wrong_key_type");
            }
            tried(Some("sk-nobody-has-this-secret"), 403, "wrong_key_type");
            tried(Some(checked), 403, "wrong_key_type");
            continue;
        }
        tried(Some("sk-nobody-has-this-secret"), 401, "invalid_api_key");
        tried(Some(checked), 401, "invalid_api_key");
        tried(Some(&callers.disabled.secret), 401, "key_disabled");
        tried(Some(&callers.revoked.secret), 401, "key_revoked");
        tried(Some(&callers.expired.secret), 401, "key_expired");
        match guard {
            Guard::Caller => {
                tried(Some(&callers.manager.secret), 403, "wrong_key_type");
                tried(Some(MASTER), 403, "wrong_key_type");
            }
            Guard::Manager => tried(Some(&callers.regular.secret), 403, "wrong_key_type"),
            Guard::Master => {
                tried(Some(&callers.regular.secret), 403, "wrong_key_type");
                tried(Some(&callers.manager.secret), 403, "wrong_key_type");
            }
            Guard::Holder => tried(Some(MASTER), 403, "wrong_key_type"),
            Guard::Internal | Guard::Open => {}
        }
    }
    assert!(world.provider.requests().is_empty(), "a refused call reached the provider");
    assert!(world.rows().is_empty(), "a refused call was counted");
}

#[test]
fn open_routes_tell_nothing_of_value() {
    let world = World::new();
    let open: Vec<_> = rows().into_iter().filter(|(.., guard)| *guard == Guard::Open).collect();
    assert_eq!(
        open.iter().map(|(path, ..)| path.as_str()).collect::<Vec<_>>(),
        ["/dashboard", "/login", "/login", "/healthz", "/readyz", "/openapi.json", "/docs"]
    );
    for (path, method, _) in open {
        if path == "/login" || path == "/dashboard" {
            // Asks for the password, or leads there, and tells nothing: `sessions` tries it.
            continue;
        }
        let answer = send(&world, &method, &path, None).is(200);
        // What every copy of Weir would say, and nothing of this one.
        let same_for_all = ["/openapi.json", "/docs"].contains(&path.as_str());
        assert!(same_for_all || answer.text.len() < 30, "{}", answer.text);
    }
}

#[test]
fn paths_that_only_look_like_routes_are_no_way_around_a_guard() {
    let world = World::new();
    for (path, method, guard) in rows() {
        if guard == Guard::Open || path.starts_with("/api/v1/") {
            continue;
        }
        for mutated in [
            path.to_uppercase(),
            format!("/{path}"),
            format!("{path}/"),
            format!("{path}//"),
            format!("/./{}", &path[1..]),
            format!("{path};x=y"),
            format!("{path}%00"),
            path.replacen("/v1/", "/v1//", 1),
            path.replacen("/v1/", "/v1/%2e/", 1),
            path.replacen("/v1", "/V1", 1),
            format!("{path}?/healthz"),
            format!("/healthz/..{path}"),
        ] {
            let answer = send(&world, &method, &mutated, None);
            assert!(
                [400, 401, 404, 405].contains(&answer.status),
                "{method} {mutated}: {}",
                answer.status
            );
        }
    }
    assert!(world.provider.requests().is_empty());
}
