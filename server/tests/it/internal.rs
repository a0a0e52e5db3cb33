//! The internal API, as its document shows it command by command: teams, users, keys, what is
//! answered and what is stored.

use http::Method;
use serde_json::{Value, json};

use crate::world::{MASTER, Reply, World, chat};

/// One of the document's commands.
fn curl(world: &World, method: Method, path: &str, body: &str) -> Reply {
    let bearer = format!("Bearer {MASTER}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    world.send(method, path, &headers, body.to_owned())
}

fn made(world: &World, path: &str, body: &Value) -> Value {
    curl(world, Method::POST, path, &body.to_string()).is(201).json()
}

fn api_key(world: &World, body: &Value) -> Value {
    made(world, "/internal/api-keys", body)
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_else(|| panic!("{member} of {value}"))
}

fn members(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// A chat of at most `most` tokens, whose answer is told to have used so much.
fn used(most: u64, prompt: u64, output: u64) -> Value {
    let script = format!(r#"{{"prompt_tokens":{prompt},"output_tokens":{output}}}"#);
    let mut body = chat("gpt-4o", &script);
    body["max_tokens"] = json!(most);
    body
}

/// R1: all admin endpoints need `Authorization: Bearer <PROXY_MASTER_KEY>`; anything else is refused.
/// R22: the master key is the only secret with admin access.
#[test]
fn r1_and_r22_only_the_master_key_opens_anything() {
    let world = World::new();
    let made = api_key(&world, &json!({"name": "laptop-dev"}));
    let id = text(&made, "id");
    let manager = world.key(&json!({"key_type": "management"}));
    for (method, path) in [
        (Method::POST, "/internal/teams".to_owned()),
        (Method::GET, "/internal/teams".to_owned()),
        (Method::POST, "/internal/users".to_owned()),
        (Method::GET, "/internal/users".to_owned()),
        (Method::POST, "/internal/api-keys".to_owned()),
        (Method::GET, "/internal/api-keys".to_owned()),
        (Method::GET, format!("/internal/api-keys/{id}")),
        (Method::PATCH, format!("/internal/api-keys/{id}")),
        (Method::DELETE, format!("/internal/api-keys/{id}")),
        (Method::GET, "/internal/usage".to_owned()),
        (Method::GET, "/internal/usage/leaderboard".to_owned()),
    ] {
        let body = r#"{"name": "x", "external_id": "x"}"#;
        world.send(method.clone(), &path, &[], body).refused(401, "missing_api_key");
        for secret in [text(&made, "key"), &manager.secret, "sk-nobody", id] {
            let bearer = format!("Bearer {secret}");
            let headers = [("authorization", bearer.as_str())];
            let refused = world.send(method.clone(), &path, &headers, body);
            refused.refused(403, "wrong_key_type");
        }
    }
    let keys = world.get("/internal/api-keys", MASTER).is(200).json();
    assert_eq!(keys["data"].as_array().unwrap().len(), 2);
    world.chat(text(&made, "key"), "").is(200);
}

/// R3: `POST /internal/teams` JSON `{"name","tpm_limit","daily_token_limit"}`. R4: name string
/// required, display name. R5: `tpm_limit` int optional. R6: `daily_token_limit` int optional. R7:
/// `GET /internal/teams` lists teams.
#[test]
fn r3_to_r7_teams_are_made_and_listed() {
    let world = World::new();
    let body = r#"{
"name": "engineering",
"tpm_limit": 200000,
"daily_token_limit": 5000000
}"#;
    let team = curl(&world, Method::POST, "/internal/teams", body).is(201).json();
    let told = (&team["name"], &team["tpm_limit"], &team["daily_token_limit"]);
    assert_eq!(told, (&json!("engineering"), &json!(200_000), &json!(5_000_000)));
    let bare = made(&world, "/internal/teams", &json!({"name": "sales"}));
    assert_eq!((&bare["tpm_limit"], &bare["daily_token_limit"]), (&Value::Null, &Value::Null));
    let missing = curl(&world, Method::POST, "/internal/teams", r#"{"tpm_limit": 1}"#);
    assert_eq!(missing.refused(400, "missing_required_parameter").json()["error"]["param"], "name");
    for wrong in [
        r#"{"name": 5}"#,
        r#"{"name": ""}"#,
        r#"{"name": "x", "tpm_limit": -1}"#,
        r#"{"name": "x", "tpm_limit": 1.5}"#,
        r#"{"name": "x", "tpm_limit": "200000"}"#,
        r#"{"name": "x", "daily_token_limit": 1e999}"#,
        r#"{"name": "x", "daily_token_limit": 9223372036854775808}"#,
    ] {
        let refused = curl(&world, Method::POST, "/internal/teams", wrong);
        assert_eq!((refused.status, refused.code()), (400, "invalid_value".to_owned()), "{wrong}");
    }
    let listed = curl(&world, Method::GET, "/internal/teams", "").is(200).json();
    let names: Vec<_> = listed["data"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert!(names.contains(&&json!("engineering")) && names.len() == 2, "{listed}");
    assert_eq!(listed["next_page_token"], Value::Null);
    let path = format!("/internal/teams/{}", text(&team, "id"));
    assert_eq!(world.get(&path, MASTER).is(200).json(), team);
    let changed = world.patch(&path, MASTER, &json!({"tpm_limit": 7})).is(200).json();
    assert_eq!((&changed["tpm_limit"], &changed["name"]), (&json!(7), &json!("engineering")));
    world.delete(&path, MASTER).refused(405, "method_not_allowed");
}

/// R8: `POST /internal/users` JSON `{"external_id","team_id"}`; `external_id` required. R9: `team_id`
/// optional; ids look like `team_01j...`. R10: `GET /internal/users` lists users.
#[test]
fn r8_to_r10_users_are_made_and_listed() {
    let world = World::new();
    let team = made(&world, "/internal/teams", &json!({"name": "engineering"}));
    let team = text(&team, "id");
    assert!(team.starts_with("team_01") && team.len() == 31, "{team}");
    let body = json!({"external_id": "alice@example.com", "team_id": team});
    let user = made(&world, "/internal/users", &body);
    assert!(text(&user, "id").starts_with("user_01"), "{user}");
    assert_eq!((&user["external_id"], &user["team_id"]), (&body["external_id"], &body["team_id"]));
    let alone = made(&world, "/internal/users", &json!({"external_id": "bob"}));
    assert_eq!(alone["team_id"], Value::Null);
    let missing = curl(&world, Method::POST, "/internal/users", "{}");
    let missing = missing.refused(400, "missing_required_parameter").json();
    assert_eq!(missing["error"]["param"], "external_id");
    let nobody = json!({"external_id": "c", "team_id": "team_01aryz6s410000000000000000"});
    world.post("/internal/users", MASTER, &nobody).refused(404, "not_found");
    let listed = curl(&world, Method::GET, "/internal/users", "").is(200).json();
    assert_eq!(listed["data"].as_array().unwrap().len(), 2);
    let path = format!("/internal/users/{}", text(&user, "id"));
    assert_eq!(world.get(&path, MASTER).is(200).json(), user);
    let moved = world.patch(&path, MASTER, &json!({"team_id": null})).is(200).json();
    assert_eq!(moved["team_id"], Value::Null);
}

/// R11: `POST /internal/api-keys` JSON `{"name","user_id"}`. R12: the response has exactly id, name,
/// key, `key_prefix`, `user_id`, `created_at`. R13: id looks like `ak_01j...`. R14: key = `llmp_` + 32
/// chars. R15: `key_prefix` = `llmp_` + first 4 chars. R16: `created_at` ISO 8601 UTC.
#[test]
fn r11_to_r16_the_answer_has_exactly_these_members() {
    let world = World::new();
    let user = made(&world, "/internal/users", &json!({"external_id": "alice@example.com"}));
    let user = text(&user, "id");
    let key = api_key(&world, &json!({"name": "laptop-dev", "user_id": user}));
    let mut names = members(&key);
    names.sort_unstable();
    assert_eq!(names, ["created_at", "id", "key", "key_prefix", "name", "user_id"]);
    let (id, secret) = (text(&key, "id"), text(&key, "key"));
    assert!(id.starts_with("ak_01") && id.len() == 29, "{id}");
    assert_eq!(id, id.to_lowercase());
    let body = secret.strip_prefix("llmp_").unwrap();
    assert!(body.len() == 32 && body.bytes().all(|b| b.is_ascii_alphanumeric()), "{secret}");
    assert_eq!(text(&key, "key_prefix"), &secret[..9]);
    assert_eq!((&key["name"], &key["user_id"]), (&json!("laptop-dev"), &json!(user)));
    // 1,800,000,000 seconds.
    assert_eq!(key["created_at"], "2027-01-15T08:00:00Z");
    world.chat(secret, "").is(200);
    let alone = api_key(&world, &json!({"name": "ci"}));
    assert!(alone["user_id"].is_null() && alone.as_object().unwrap().contains_key("user_id"));
    world.post("/internal/api-keys", MASTER, &json!({})).refused(400, "missing_required_parameter");
    for wrong in [
        json!({"name": "x", "user_id": 5}),
        json!({"name": "x", "user_id": "alice@example.com"}),
        json!({"name": "x".repeat(10_000)}),
        json!({"name": "\u{202e}x"}),
        json!({"name": "x", "limit": "-0.01"}),
        json!({"name": "x", "rpm": u64::MAX}),
        json!({"name": "x", "expires_at": "tomorrow"}),
    ] {
        world.post("/internal/api-keys", MASTER, &wrong).refused(400, "invalid_value");
    }
    let nobody = json!({"name": "x", "user_id": "user_01aryz6s410000000000000000"});
    world.post("/internal/api-keys", MASTER, &nobody).refused(404, "not_found");
    for unknown in ["key_type", "id", "key"] {
        let body = json!({"name": "x", unknown: "management"});
        world.post("/internal/api-keys", MASTER, &body).refused(400, "unknown_parameter");
    }
}

/// The other optional members of creation are accepted too, kept, and shown by the key itself.
#[test]
fn a_key_takes_limits_and_rules_here_too() {
    let world = World::new();
    let body = json!({
        "name": "k", "rpm": 1, "limit": 5, "limit_reset": "monthly", "allowed_models": ["gpt-4o"],
        "expires_at": "2027-12-31T23:59:59Z",
    });
    let key = api_key(&world, &body);
    assert_eq!(key.as_object().unwrap().len(), 6);
    let path = format!("/internal/api-keys/{}", text(&key, "id"));
    let shown = world.get(&path, MASTER).is(200).json();
    for (member, value) in body.as_object().unwrap() {
        assert_eq!(&shown[member], value, "{member}");
    }
    let secret = text(&key, "key");
    let other = chat("gpt-4o-mini", "");
    world.post("/v1/chat/completions", secret, &other).refused(403, "model_not_allowed");
    world.chat(secret, "").is(200);
    world.chat(secret, "").refused(429, "rate_limit_exceeded");
    let change = json!({"rpm": null, "allowed_models": null, "name": "renamed"});
    let changed = world.patch(&path, MASTER, &change).is(200).json();
    assert_eq!((&changed["rpm"], &changed["name"]), (&Value::Null, &json!("renamed")));
    world.post("/v1/chat/completions", secret, &other).is(200);
    world.patch(&path, MASTER, &json!({"disabled": true})).is(200);
    world.chat(secret, "").refused(401, "key_disabled");
}

/// R17: `GET /internal/api-keys` lists. R18: the list returns metadata only (prefix, name, user,
/// dates), never the full key.
#[test]
fn r17_and_r18_the_list_shows_metadata_and_no_secret() {
    let world = World::new();
    let user = made(&world, "/internal/users", &json!({"external_id": "alice"}));
    let mine = json!({"name": "laptop-dev", "user_id": user["id"]});
    let first = api_key(&world, &mine);
    world.clock.advance_seconds(60);
    let second = api_key(&world, &json!({"name": "ci"}));
    let elsewhere = world.any_key();
    world.chat(text(&first, "key"), "").is(200);
    let answer = curl(&world, Method::GET, "/internal/api-keys", "").is(200);
    for secret in [text(&first, "key"), text(&second, "key"), &elsewhere.secret] {
        assert!(!answer.text.contains(secret) && !answer.text.contains(&secret[9..]));
        // Nor the checksum at its end.
        assert!(!answer.text.contains(&secret[secret.len() - 4..]));
    }
    let listed = answer.json();
    assert_eq!(members(&listed), ["data", "next_page_token"]);
    let keys = listed["data"].as_array().unwrap();
    assert_eq!(keys.len(), 3);
    let found = keys.iter().find(|key| key["id"] == first["id"]).unwrap();
    let expected = json!({
        "id": first["id"], "name": "laptop-dev", "key_prefix": first["key_prefix"],
        "user_id": user["id"], "status": "active", "disabled": false,
        "created_at": "2027-01-15T08:00:00Z", "expires_at": null,
        "last_used_at": "2027-01-15T08:01:00Z",
    });
    assert_eq!(found, &expected);
    let found = keys.iter().find(|key| key["id"] == second["id"]).unwrap();
    assert_eq!(found["last_used_at"], Value::Null);
    let other = keys.iter().find(|key| key["key_prefix"] == "lr_live_").unwrap();
    assert_eq!(text(other, "id"), elsewhere.id.replace("key_", "ak_"));
    // By pages, and by user.
    let page = world.get("/internal/api-keys?page_size=2", MASTER).is(200).json();
    let token = text(&page, "next_page_token");
    let path = format!("/internal/api-keys?page_size=2&page_token={token}");
    let last = world.get(&path, MASTER).is(200).json();
    assert_eq!((&last["data"][0]["id"], &last["next_page_token"]), (&first["id"], &Value::Null));
    let path = format!("/internal/api-keys?user_id={}", text(&user, "id"));
    let of_user = world.get(&path, MASTER).is(200).json();
    assert_eq!(of_user["data"].as_array().unwrap().len(), 1);
    for wrong in ["page_size=0", "page_token=x", "user_id=alice", "colour=red"] {
        assert_eq!(
            world.get(&format!("/internal/api-keys?{wrong}"), MASTER).status,
            400,
            "{wrong}"
        );
    }
}

/// R19: no dedicated rotation endpoint needed: several keys per user are valid together. R20:
/// `DELETE /internal/api-keys/{id}` with id `ak_01j...`; key invalid afterwards.
#[test]
fn r19_and_r20_a_second_key_replaces_the_first() {
    let mut world = World::new();
    let user = made(&world, "/internal/users", &json!({"external_id": "alice"}));
    let body = json!({"name": "laptop-dev", "user_id": user["id"]});
    let (old, new) = (api_key(&world, &body), api_key(&world, &body));
    world.chat(text(&old, "key"), "").is(200);
    world.chat(text(&new, "key"), "").is(200);
    let path = format!("/internal/api-keys/{}", text(&old, "id"));
    let first = curl(&world, Method::DELETE, &path, "").is(200).json();
    assert_eq!(first, json!({"deleted": true, "id": old["id"]}));
    world.chat(text(&old, "key"), "").refused(401, "key_revoked");
    world.chat(text(&new, "key"), "").is(200);
    assert_eq!(curl(&world, Method::DELETE, &path, "").is(200).json(), first);
    let listed = world.get("/internal/api-keys", MASTER).is(200).json();
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
    for nobody in ["ak_01aryz6s410000000000000000", "ak_", "x", text(&new, "key_prefix")] {
        let path = format!("/internal/api-keys/{nobody}");
        world.delete(&path, MASTER).refused(404, "not_found");
        world.get(&path, MASTER).refused(404, "not_found");
        world.patch(&path, MASTER, &json!({"name": "x"})).refused(404, "not_found");
    }
    world.restart();
    world.chat(text(&old, "key"), "").refused(401, "key_revoked");
    world.chat(text(&new, "key"), "").is(200);
}

/// A key is the same thing on both surfaces, under either of its names.
#[test]
fn either_name_of_a_key_is_understood_on_both_surfaces() {
    let world = World::new();
    let made = api_key(&world, &json!({"name": "k"}));
    let ak = text(&made, "id");
    let key = ak.replace("ak_", "key_");
    for id in [ak, &key, &ak.to_uppercase().replace("AK_", "ak_")] {
        let shown = world.get(&format!("/internal/api-keys/{id}"), MASTER).is(200).json();
        assert_eq!(shown["id"], json!(ak));
        let shown = world.get(&format!("/api/v1/keys/{id}"), MASTER).is(200).json();
        assert_eq!(shown["data"]["hash"], json!(key));
    }
    world.get(&format!("/internal/teams/{ak}"), MASTER).refused(404, "not_found");
    world.delete(&format!("/api/v1/keys/{ak}"), MASTER).is(200);
    world.chat(text(&made, "key"), "").refused(401, "key_revoked");
}

/// R21: keys stored as SHA-256 hashes; a database dump holds no usable key.
#[test]
fn r21_what_is_on_the_disk_opens_nothing() {
    let mut world = World::new();
    let name = [("idempotency-key", "a-name-for-a-request")];
    let bearer = format!("Bearer {MASTER}");
    let headers = [("authorization", bearer.as_str()), name[0]];
    let body = json!({"name": "laptop-dev"}).to_string();
    let key = world.send(Method::POST, "/internal/api-keys", &headers, body).is(201).json();
    let secrets = [text(&key, "key").to_owned(), world.any_key().secret, MASTER.to_owned()];
    world.chat(&secrets[0], "").is(200);
    world.restart();
    let mut files = 0;
    let mut folders = vec![world.data.path().join("data")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            files += 1;
            let bytes = std::fs::read(&path).unwrap();
            let holds = |text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
            for secret in &secrets {
                assert!(!holds(secret), "{} holds a secret", path.display());
                // Nor what would be left to guess.
                assert!(!holds(&secret[9..]), "{} holds most of a secret", path.display());
            }
            assert!(!holds("a-name-for-a-request"), "{}", path.display());
        }
    }
    assert!(files >= 3, "{files}");
    // What the database does hold of a key, its digest, is no key.
    let digest = domain::Digest::of(secrets[0].as_bytes());
    let hex = data_encoding::HEXLOWER.encode(digest.bytes());
    world.chat(&hex, "").refused(401, "invalid_api_key");
    world.chat(&secrets[0], "").is(200);
}

/// R23: the master key rotates by changing the (Kubernetes) Secret / env and restarting; the old one
/// then fails, client keys keep working.
#[test]
fn r23_another_master_key_takes_over_at_a_restart() {
    const NEXT: &str = "another-master-key-for-tests-9876543210";
    let mut world = World::new();
    let key = api_key(&world, &json!({"name": "laptop-dev"}));
    world.restart_with("PROXY_MASTER_KEY", NEXT);
    world.get("/internal/api-keys", MASTER).refused(403, "wrong_key_type");
    world.get("/api/v1/keys", MASTER).refused(401, "invalid_api_key");
    let listed = world.get("/internal/api-keys", NEXT).is(200).json();
    assert_eq!(listed["data"][0]["id"], key["id"]);
    world.chat(text(&key, "key"), "").is(200);
}

/// R25: user usage aggregates up to the team limit. R26: one user cannot exhaust the team quota alone
/// unless the only user in the team.
#[test]
fn r25_and_r26_users_share_the_teams_limit_and_none_takes_all_of_it() {
    let world = World::new();
    let team = json!({"name": "engineering", "daily_token_limit": 1_000});
    let team = made(&world, "/internal/teams", &team)["id"].clone();
    let key_of = |name: &str| {
        let user = json!({"external_id": name, "team_id": team});
        let user = made(&world, "/internal/users", &user)["id"].clone();
        text(&api_key(&world, &json!({"name": name, "user_id": user})), "key").to_owned()
    };
    let call = |secret: &str, prompt: u64, output: u64| {
        world.post("/v1/chat/completions", secret, &used(output, prompt, output))
    };
    let (alice, bob) = (key_of("alice"), key_of("bob"));
    call(&alice, 100, 300).is(200);
    // Of 1,000, 800 are the most that either may take.
    call(&alice, 50, 300).is(200);
    let refused = call(&alice, 10, 100).refused(429, "rate_limit_exceeded").json();
    assert_eq!(refused["error"]["scope"], "user");
    assert_eq!(
        (&refused["error"]["amount"], &refused["error"]["spent"]),
        (&json!(800), &json!(750))
    );
    // Bob has what is left of the team's, and no more.
    call(&bob, 10, 100).is(200);
    let refused = call(&bob, 10, 200).refused(429, "rate_limit_exceeded").json();
    assert_eq!(
        (&refused["error"]["scope"], &refused["error"]["scope_id"]),
        (&json!("team"), &team)
    );
    assert_eq!(refused["error"]["spent"], 860);
    // Whoever is alone in a team may take all of it.
    let team = json!({"name": "one", "daily_token_limit": 1_000});
    let team = made(&world, "/internal/teams", &team)["id"].clone();
    let user = made(&world, "/internal/users", &json!({"external_id": "carol", "team_id": team}));
    let carol = api_key(&world, &json!({"name": "carol", "user_id": user["id"]}));
    call(text(&carol, "key"), 300, 600).is(200);
}

/// What has no body may say it in the query string.
#[test]
fn members_may_stand_in_the_query_string() {
    let world = World::new();
    let post = |path: &str, body: &str| curl(&world, Method::POST, path, body);
    let team =
        post("/internal/teams?name=engineering&tpm_limit=200000&daily_token_limit=5000000", "");
    let team = team.is(201).json();
    let told = (&team["name"], &team["tpm_limit"], &team["daily_token_limit"]);
    assert_eq!(told, (&json!("engineering"), &json!(200_000), &json!(5_000_000)));
    let path =
        format!("/internal/users?external_id=alice%40example.com&team_id={}", text(&team, "id"));
    let user = post(&path, "").is(201).json();
    assert_eq!(
        (&user["external_id"], &user["team_id"]),
        (&json!("alice@example.com"), &team["id"])
    );
    let path = format!("/internal/api-keys?name=42&user_id={}&limit=0.5", text(&user, "id"));
    let path = format!("{path}&allowed_models=gpt-4o,o3&max_price=%7B%22input%22:5%7D&force=true");
    let key = post(&path, "").is(201).json();
    assert_eq!((&key["name"], &key["user_id"]), (&json!("42"), &user["id"]));
    let path = format!("/internal/api-keys/{}", text(&key, "id"));
    let shown = world.get(&path, MASTER).is(200).json();
    assert_eq!(
        (&shown["limit"], &shown["allowed_models"]),
        (&json!(0.5), &json!(["gpt-4o", "o3"]))
    );
    assert_eq!(shown["max_price"]["input"], 5);
    // Both at once, as long as they agree.
    let path = "/internal/teams?name=both&tpm_limit=5";
    post(path, r#"{"name": "both", "tpm_limit": 5}"#).is(201);
    post(path, r#"{"n\u0061me": "b\u006fth", "daily_token_limit": 9}"#).is(201);
    for (query, body, param) in [
        ("name=a", r#"{"name": "b"}"#, "name"),
        ("name=a&tpm_limit=5", r#"{"tpm_limit": 6}"#, "tpm_limit"),
        ("name=a&tpm_limit=x", "", "tpm_limit"),
        ("name=a&tpm_limit=-1", "", "tpm_limit"),
        ("name=a&tpm_limit=", "", "tpm_limit"),
        ("name=", "", "name"),
        ("name=a&name=a", "", "name"),
        ("name=a&force=yes", "", "force"),
        ("name=a&limits=5", "", "limits"),
        ("name=a&recurring_limit=%7B%22amount%22:1,%22amount%22:2%7D", "", "recurring_limit"),
    ] {
        let refused = post(&format!("/internal/teams?{query}"), body);
        let refused = refused.refused(400, "invalid_value").json();
        assert_eq!(refused["error"]["param"], param, "{query} {body}");
    }
    post("/internal/teams?name=a&colour=red", "").refused(400, "unknown_parameter");
    post("/internal/teams?name=%zz", "").refused(400, "invalid_value");
    post("/internal/teams", "").refused(400, "invalid_json");
    // A body's types stay what they are.
    post("/internal/teams?rpm=1", r#"{"name": "x", "tpm_limit": "5"}"#)
        .refused(400, "invalid_value");
}

/// When a key was last used is told on both surfaces, and after a restart.
#[test]
fn when_a_key_was_last_used_outlives_a_restart() {
    let mut world = World::new();
    let key = api_key(&world, &json!({"name": "k"}));
    let (secret, id) = (text(&key, "key"), text(&key, "id"));
    let last = |world: &World| {
        let here = world.get(&format!("/internal/api-keys/{id}"), MASTER).is(200).json();
        let there = world.get(&format!("/api/v1/keys/{id}"), MASTER).is(200).json();
        assert_eq!(here["last_used_at"], there["data"]["last_used_at"]);
        here["last_used_at"].clone()
    };
    assert_eq!(last(&world), Value::Null);
    // A look at itself, and what is refused, is no use of it.
    world.get("/api/v1/key", secret).is(200);
    world
        .post("/v1/chat/completions", secret, &chat("nothing", ""))
        .refused(404, "model_not_found");
    assert_eq!(last(&world), Value::Null);
    world.clock.advance_seconds(90);
    world.chat(secret, "").is(200);
    assert_eq!(last(&world), "2027-01-15T08:01:30Z");
    world.clock.advance_seconds(5);
    world.chat(secret, "").is(200);
    assert_eq!(last(&world), "2027-01-15T08:01:35Z");
    world.restart();
    assert_eq!(last(&world), "2027-01-15T08:01:35Z");
}

/// R19 asks for none; whoever has one key only is glad of it.
#[test]
fn a_key_is_rotated_and_the_old_secret_ends() {
    let world = World::new();
    let made = api_key(&world, &json!({"name": "laptop"}));
    let (id, old) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    let path = format!("/internal/api-keys/{id}/rotate");
    let bearer = format!("Bearer {MASTER}");
    let turned = world.send(http::Method::POST, &path, &[("authorization", &bearer)], "");
    let turned = turned.is(200).json();
    let new = turned["key"].as_str().unwrap();
    assert!(new.starts_with("llmp_") && new != old && turned["id"] == made["id"]);
    assert_eq!(turned["key_prefix"], new[..9]);
    world.get("/api/v1/key", old).refused(401, "key_revoked");
    world.get("/api/v1/key", new).is(200);
    let graceful = world.post(&path, MASTER, &json!({"grace_seconds": 60})).is(200).json();
    world.get("/api/v1/key", new).is(200);
    world.clock.advance_seconds(60);
    world.get("/api/v1/key", new).refused(401, "key_revoked");
    world.get("/api/v1/key", graceful["key"].as_str().unwrap()).is(200);
}

#[test]
fn a_key_shows_its_revision_and_its_users_team() {
    let world = World::new();
    let team = world.post("/internal/teams", MASTER, &json!({"name": "t"})).is(201).json();
    let user = json!({"external_id": "u", "team_id": team["id"]});
    let user = world.post("/internal/users", MASTER, &user).is(201).json();
    let made = api_key(&world, &json!({"name": "laptop", "user_id": user["id"]}));
    let path = format!("/internal/api-keys/{}", made["id"].as_str().unwrap());
    let shown = world.get(&path, MASTER).is(200);
    assert_eq!(shown.header("etag"), "\"1\"");
    let shown = shown.json();
    assert_eq!((&shown["revision"], &shown["team_id"]), (&json!(1), &team["id"]));
    // The bridge's forms put keys where they belong as well.
    let listed = json!({"name": "listed", "user_id": user["id"]});
    let listed = world.post("/create-key", MASTER, &listed).is(200).json();
    let path = format!("/internal/api-keys/{}", listed["id"].as_str().unwrap());
    assert_eq!(world.get(&path, MASTER).is(200).json()["user_id"], user["id"]);
}

#[test]
fn b58_b59_what_no_minute_can_hold_and_what_nobody_knows() {
    let world = World::new();
    for (path, name) in [("/internal/api-keys", "rpm"), ("/api/v1/keys", "max_parallel")] {
        let most = json!({"name": "k", name: u32::MAX});
        world.post(path, MASTER, &most).is(201);
        let beyond = json!({"name": "k", name: u64::from(u32::MAX) + 1});
        let refused = world.post(path, MASTER, &beyond).refused(400, "invalid_value").json();
        assert_eq!(refused["error"]["param"], name);
    }
    let odd = world.put("/api/v1/prices/openai/gpt-4o", MASTER, &json!({"foo": 1}));
    assert_eq!(odd.refused(400, "unknown_parameter").json()["error"]["param"], "foo");
}
