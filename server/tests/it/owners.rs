//! Projects, teams, users and the instance: who may manage them, and how.

use http::Method;
use serde_json::{Value, json};

use crate::world::{MASTER, World};

/// Makes an owner; its id.
pub(crate) fn owner(world: &World, kind: &str, body: &Value) -> String {
    let made = world.post(&format!("/api/v1/{kind}"), MASTER, body).is(201).json();
    made["id"].as_str().unwrap().to_owned()
}

#[test]
fn owners_are_made_shown_changed_and_listed() {
    let world = World::new();
    for (kind, prefix, name) in [
        ("projects", "proj_", "name"),
        ("teams", "team_", "name"),
        ("users", "user_", "external_id"),
    ] {
        let path = format!("/api/v1/{kind}");
        let body = json!({name: "first", "tpm_limit": 1_000, "daily_token_limit": 20_000, "limit": 5, "allowed_models": ["gpt-*"]});
        let made = world.post(&path, MASTER, &body).is(201).json();
        for (member, value) in body.as_object().unwrap() {
            assert_eq!(&made[member], value, "{kind} {member}");
        }
        assert_eq!((&made["limit_remaining"], &made["rpm"]), (&json!(5), &Value::Null));
        assert_eq!(made["created_at"], made["updated_at"]);
        let id = made["id"].as_str().unwrap();
        assert!(id.starts_with(prefix), "{id}");
        assert_eq!(world.get(&format!("{path}/{id}"), MASTER).is(200).json(), made);
        let change = json!({name: "renamed", "tpm_limit": null, "rpm": 3});
        let changed = world.patch(&format!("{path}/{id}"), MASTER, &change).is(200).json();
        for (member, value) in change.as_object().unwrap() {
            assert_eq!(&changed[member], value, "{kind} {member}");
        }
        assert_eq!(changed["daily_token_limit"], 20_000);
        world.clock.advance_seconds(1);
        world.post(&path, MASTER, &json!({name: "second"})).is(201);
        let listed = world.get(&path, MASTER).is(200).json();
        let names = listed["data"].as_array().unwrap().iter().map(|one| one[name].clone());
        let names: Vec<_> = names.filter(|name| name != "default").collect();
        assert_eq!(names, ["second", "renamed"], "{kind}");
        let page = world.get(&format!("{path}?page_size=1"), MASTER).is(200).json();
        let token = page["next_page_token"].as_str().unwrap();
        let next = format!("{path}?page_size=1&page_token={token}");
        assert_eq!(world.get(&next, MASTER).is(200).json()["data"][0][name], "renamed");
        let found = world.get(&format!("{path}?{name}=second"), MASTER).is(200).json();
        assert_eq!(found["data"].as_array().unwrap().len(), 1);
        for nobody in [format!("{prefix}01aryz6s410000000000000000"), "x".to_owned()] {
            world.get(&format!("{path}/{nobody}"), MASTER).refused(404, "not_found");
            let change = json!({"rpm": 1});
            world.patch(&format!("{path}/{nobody}"), MASTER, &change).refused(404, "not_found");
        }
        world.post(&path, MASTER, &json!({})).refused(400, "missing_required_parameter");
        world.post(&path, MASTER, &json!({name: "a\nb"})).refused(400, "invalid_value");
        world.post(&path, MASTER, &json!({name: "x", "rpm": -1})).refused(400, "invalid_value");
        world.post(&path, MASTER, &json!({name: "x", "nmae": 1})).refused(400, "unknown_parameter");
    }
}

#[test]
fn the_instance_is_one_and_always_there() {
    let world = World::new();
    let shown = world.get("/api/v1/instance", MASTER).is(200).json();
    assert_eq!((&shown["id"], &shown["limits"]), (&json!("instance"), &json!([])));
    let changed = world.patch("/api/v1/instance", MASTER, &json!({"max_parallel": 100})).is(200);
    assert_eq!(changed.json()["max_parallel"], 100);
    let name = json!({"name": "mine"});
    world.patch("/api/v1/instance", MASTER, &name).refused(400, "unknown_parameter");
    world.send(Method::POST, "/api/v1/instance", &[], "").refused(405, "method_not_allowed");
}

#[test]
fn a_user_has_a_name_of_its_own_and_may_have_a_team() {
    let world = World::new();
    let team = owner(&world, "teams", &json!({"name": "search"}));
    let user = json!({"external_id": "u-1", "team_id": team});
    let id = owner(&world, "users", &user);
    let shown = world.get(&format!("/api/v1/users/{id}"), MASTER).is(200).json();
    assert_eq!(shown["team_id"], json!(team));
    let twice = world.post("/api/v1/users", MASTER, &user).refused(409, "conflict").json();
    assert_eq!(twice["error"]["param"], "external_id");
    let nobody = json!({"external_id": "u-2", "team_id": "team_01aryz6s410000000000000000"});
    world.post("/api/v1/users", MASTER, &nobody).refused(404, "not_found");
    let path = format!("/api/v1/users/{id}");
    assert_eq!(
        world.patch(&path, MASTER, &json!({"team_id": null})).is(200).json()["team_id"],
        Value::Null
    );
    world.patch(&path, MASTER, &json!({"team_id": team})).is(200);
    let members = world.get(&format!("/api/v1/teams/{team}"), MASTER).is(200).json();
    assert_eq!(members["members"], 1);
    let of_team = world.get(&format!("/api/v1/users?team_id={team}"), MASTER).is(200).json();
    assert_eq!(of_team["data"].as_array().unwrap().len(), 1);
    let other = owner(&world, "users", &json!({"external_id": "u-3"}));
    let change = json!({"external_id": "u-1"});
    world.patch(&format!("/api/v1/users/{other}"), MASTER, &change).refused(409, "conflict");
}

#[test]
fn the_internal_routes_make_the_same_teams_and_users() {
    let world = World::new();
    let body = json!({"name": "search", "tpm_limit": 10, "daily_token_limit": 100});
    let team = world.post("/internal/teams", MASTER, &body).is(201).json();
    assert_eq!((&team["tpm_limit"], &team["daily_token_limit"]), (&json!(10), &json!(100)));
    let id = team["id"].as_str().unwrap();
    let body = json!({"external_id": "u-1", "team_id": id, "tpm_limit": 5});
    let user = world.post("/internal/users", MASTER, &body).is(201).json();
    assert_eq!((&user["team_id"], &user["tpm_limit"]), (&json!(id), &json!(5)));
    assert_eq!(world.get(&format!("/api/v1/teams/{id}"), MASTER).is(200).json()["name"], "search");
    for path in ["/internal/teams", "/internal/users"] {
        assert_eq!(world.get(path, MASTER).is(200).json()["data"].as_array().unwrap().len(), 1);
        world.send(Method::GET, path, &[], "").refused(401, "missing_api_key");
        world.get(path, "not-the-master-key").refused(403, "wrong_key_type");
    }
}

#[test]
fn a_key_belongs_to_a_project_a_user_or_a_team() {
    let world = World::new();
    let project = owner(&world, "projects", &json!({"name": "p"}));
    let team = owner(&world, "teams", &json!({"name": "t"}));
    let user = owner(&world, "users", &json!({"external_id": "u", "team_id": team}));
    let key = |body: &Value| {
        let mut body = body.clone();
        body["name"] = json!("k");
        world.post("/api/v1/keys", MASTER, &body)
    };
    let made = key(&json!({"project_id": project, "user_id": user})).is(201).json()["data"].clone();
    assert_eq!(
        (&made["project_id"], &made["user_id"], &made["team_id"]),
        (&json!(project), &json!(user), &json!(team))
    );
    let made = key(&json!({"team_id": team})).is(201).json()["data"].clone();
    assert_eq!((&made["user_id"], &made["team_id"]), (&Value::Null, &json!(team)));
    assert!(made["project_id"].as_str().unwrap().starts_with("proj_"));
    let other = owner(&world, "teams", &json!({"name": "other"}));
    let refused = key(&json!({"user_id": user, "team_id": other})).refused(400, "invalid_value");
    assert_eq!(refused.json()["error"]["param"], "team_id");
    let path = format!("/api/v1/keys/{}", made["hash"].as_str().unwrap());
    world.patch(&path, MASTER, &json!({"team_id": other})).refused(400, "unknown_parameter");
    // What a management key makes stays where it belongs itself.
    let manager = world.key(&json!({"key_type": "management", "project_id": project}));
    let made = world.post("/api/v1/keys", &manager.secret, &json!({"name": "k"})).is(201).json();
    assert_eq!(made["data"]["project_id"], json!(project));
    let elsewhere = owner(&world, "projects", &json!({"name": "elsewhere"}));
    let body = json!({"name": "k", "project_id": elsewhere});
    let refused = world.post("/api/v1/keys", &manager.secret, &body);
    assert_eq!(refused.refused(403, "exceeds_ceiling").json()["error"]["param"], "project_id");
}

#[test]
fn a_regular_or_a_management_key_manages_no_owner() {
    let world = World::new();
    let manager = world.key(&json!({"key_type": "management"}));
    let regular = world.any_key();
    for secret in [&manager.secret, &regular.secret] {
        let body = json!({"name": "x"});
        world.post("/api/v1/teams", secret, &body).refused(403, "wrong_key_type");
        world.get("/api/v1/instance", secret).refused(403, "wrong_key_type");
        world.post("/internal/teams", secret, &body).refused(403, "wrong_key_type");
    }
    assert_eq!(world.get("/api/v1/teams", MASTER).is(200).json()["data"], json!([]));
}
