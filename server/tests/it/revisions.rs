//! Nobody overwrites what they have not seen: revisions, `ETag` and `If-Match`.

use http::Method;
use serde_json::{Value, json};

use crate::owners::owner;
use crate::world::{MASTER, Reply, World};

fn matching(world: &World, method: Method, path: &str, tag: &str, body: &Value) -> Reply {
    let bearer = format!("Bearer {MASTER}");
    let headers =
        [("authorization", &*bearer), ("content-type", "application/json"), ("if-match", tag)];
    world.send(method, path, &headers, body.to_string())
}

/// Every record that can be changed: its path, and the records in the answers.
fn records(world: &World) -> Vec<String> {
    vec![
        format!("/api/v1/keys/{}", world.any_key().id),
        format!("/api/v1/projects/{}", owner(world, "projects", &json!({"name": "p"}))),
        format!("/api/v1/teams/{}", owner(world, "teams", &json!({"name": "t"}))),
        format!("/api/v1/users/{}", owner(world, "users", &json!({"external_id": "u"}))),
        "/api/v1/instance".to_owned(),
    ]
}

fn revision(answer: &Reply) -> u64 {
    let json = answer.json();
    let revision = json["data"].get("revision").unwrap_or(&json["revision"]).as_u64().unwrap();
    assert_eq!(answer.header("etag"), format!("\"{revision}\""));
    revision
}

#[test]
fn a_change_meant_for_another_revision_is_refused_everywhere() {
    let world = World::new();
    for path in records(&world) {
        let first = revision(&world.get(&path, MASTER).is(200));
        let tag = format!("\"{first}\"");
        let change = json!({"rpm": 7});
        let changed = matching(&world, Method::PATCH, &path, &tag, &change).is(200);
        assert_eq!(revision(&changed), first + 1, "{path}");
        // Whoever read the first has not seen that.
        let change = json!({"rpm": 8});
        let stale = matching(&world, Method::PATCH, &path, &tag, &change);
        let told = stale.refused(412, "stale_revision").json();
        assert!(told["error"]["message"].as_str().unwrap().contains("read it again"));
        let in_body = json!({"rpm": 8, "revision": first});
        world.patch(&path, MASTER, &in_body).refused(412, "stale_revision");
        for part in ["limits", "rules"] {
            let path = format!("{path}/{part}");
            matching(&world, Method::PUT, &path, &tag, &json!({})).refused(412, "stale_revision");
        }
        let shown = world.get(&path, MASTER).is(200);
        assert_eq!(revision(&shown), first + 1);
        let shown = shown.json();
        assert_eq!(shown["data"].get("rpm").unwrap_or(&shown["rpm"]), 7);
        // Whichever there is, or the right one in the body.
        matching(&world, Method::PATCH, &path, "*", &change).is(200);
        let in_body = json!({"rpm": 9, "revision": first + 2});
        let last = world.patch(&path, MASTER, &in_body).is(200);
        assert_eq!(revision(&last), first + 3);
    }
}

#[test]
fn a_key_is_revoked_and_rotated_as_it_was_seen() {
    let world = World::new();
    let key = world.any_key();
    let path = format!("/api/v1/keys/{}", key.id);
    world.patch(&path, MASTER, &json!({"name": "renamed"})).is(200);
    let rotate = format!("{path}/rotate");
    matching(&world, Method::POST, &rotate, "\"1\"", &json!({})).refused(412, "stale_revision");
    world.post(&rotate, MASTER, &json!({"revision": 1})).refused(412, "stale_revision");
    matching(&world, Method::DELETE, &path, "\"1\"", &json!({})).refused(412, "stale_revision");
    world.chat(&key.secret, "").is(200);
    matching(&world, Method::POST, &rotate, "\"2\"", &json!({})).is(200);
    matching(&world, Method::DELETE, &path, "\"3\"", &json!({})).is(200);
}

#[test]
fn a_tag_that_is_none_is_told() {
    let world = World::new();
    let path = format!("/api/v1/keys/{}", world.any_key().id);
    for tag in ["1", "\"x\"", "W/\"1\"", "\"1\", \"2\"", "\"-1\"", "\"+1\"", "\"\"", ""] {
        let refused = matching(&world, Method::PATCH, &path, tag, &json!({"rpm": 1}));
        assert_eq!(
            refused.refused(400, "invalid_value").json()["error"]["param"],
            "if-match",
            "{tag}"
        );
    }
    for revision in [json!("1"), json!(0), json!(-1), json!(1.5)] {
        let body = json!({"rpm": 1, "revision": revision});
        world.patch(&path, MASTER, &body).refused(400, "invalid_value");
    }
    let body = json!({"rpm": 1, "revision": 2});
    matching(&world, Method::PATCH, &path, "\"1\"", &body).refused(400, "invalid_value");
    let body = json!({"rpm": 1, "revision": 1});
    matching(&world, Method::PATCH, &path, "\"1\"", &body).is(200);
}

#[test]
fn limits_and_rules_are_read_and_replaced_by_themselves() {
    let world = World::new();
    for path in records(&world) {
        let body =
            json!({"rpm": 5, "limit": 3, "limit_reset": "daily", "allowed_models": ["gpt-*"]});
        world.patch(&path, MASTER, &body).is(200);
        let limits = format!("{path}/limits");
        let shown = world.get(&limits, MASTER).is(200);
        revision(&shown);
        let shown = shown.json();
        assert_eq!((&shown["rpm"], &shown["limit"]), (&json!(5), &json!(3)), "{path}");
        assert_eq!(shown["limits"].as_array().unwrap().len(), 2);
        // These and no others; rules stay.
        let put = world.put(&limits, MASTER, &json!({"limit": 4, "limit_reset": "daily"})).is(200);
        assert_eq!(put.json()["rpm"], Value::Null);
        assert_eq!(
            (&put.json()["limit"], &put.json()["limit_reset"]),
            (&json!(4), &json!("daily"))
        );
        let full = json!({"limits": put.json()["limits"]});
        assert_eq!(
            world.put(&limits, MASTER, &full).is(200).json()["limits"],
            put.json()["limits"]
        );
        let rules = format!("{path}/rules");
        assert_eq!(world.get(&rules, MASTER).is(200).json()["allowed_models"], json!(["gpt-*"]));
        let put = world.put(&rules, MASTER, &json!({"denied_models": ["o3"]})).is(200).json();
        assert_eq!((&put["allowed_models"], &put["denied_models"]), (&Value::Null, &json!(["o3"])));
        assert_eq!(world.put(&limits, MASTER, &json!({})).is(200).json()["limits"], json!([]));
        assert_eq!(
            world.put(&rules, MASTER, &json!({})).is(200).json()["denied_models"],
            Value::Null
        );
        world
            .put(&limits, MASTER, &json!({"allowed_models": []}))
            .refused(400, "unknown_parameter");
        world.put(&rules, MASTER, &json!({"rpm": 1})).refused(400, "unknown_parameter");
        world
            .put(&rules, MASTER, &json!({"allowed_models": ["gpt-4oo"]}))
            .refused(400, "invalid_rule");
    }
    for path in
        ["keys/x", "projects/x", "teams/x", "users/x", "keys/key_00000000000000000000000000"]
    {
        for part in ["limits", "rules"] {
            let path = format!("/api/v1/{path}/{part}");
            world.get(&path, MASTER).refused(404, "not_found");
            world.put(&path, MASTER, &json!({})).refused(404, "not_found");
        }
    }
}

#[test]
fn replacing_a_limit_with_another_amount_forgets_nothing_of_what_was_spent() {
    let world = World::new();
    let key = world.key(&json!({"limit": 5, "limit_reset": "monthly"}));
    world.chat(&key.secret, "").is(200);
    let path = format!("/api/v1/keys/{}/limits", key.id);
    let before = world.get(&path, MASTER).is(200).json()["limit_remaining"].as_f64().unwrap();
    assert!(before < 5.0);
    let body = json!({"limit": 6, "limit_reset": "monthly"});
    let after = world.put(&path, MASTER, &body).is(200).json()["limit_remaining"].as_f64().unwrap();
    assert!((after - before - 1.0).abs() < 1e-9, "{before} {after}");
}

#[test]
fn a_delete_says_its_revision_in_its_body_too() {
    let world = World::new();
    for prefix in ["/api/v1/keys", "/internal/api-keys"] {
        let key = world.any_key();
        world.patch(&format!("/api/v1/keys/{}", key.id), MASTER, &json!({"name": "newer"})).is(200);
        let path = format!("{prefix}/{}", key.id);
        let delete = |body: &str| {
            let bearer = format!("Bearer {MASTER}");
            world.send(http::Method::DELETE, &path, &[("authorization", &bearer)], body.to_owned())
        };
        delete(r#"{"revision": 1}"#).refused(412, "stale_revision");
        world.get("/api/v1/key", &key.secret).is(200);
        delete(r#"{"revisoin": 2}"#).refused(400, "unknown_parameter");
        delete(r#"{"revision": 2}"#).is(200);
    }
}
