//! Lists of keys: filters, orders, and pages that stay true while keys come and go.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::owners::owner;
use crate::world::{MASTER, World};

fn page(world: &World, query: &str) -> Value {
    world.get(&format!("/api/v1/keys?{query}"), MASTER).is(200).json()
}

fn names(page: &Value) -> Vec<String> {
    let name = |key: &Value| key["name"].as_str().unwrap().to_owned();
    page["data"].as_array().unwrap().iter().map(name).collect()
}

/// All pages, one after the other.
fn walk(world: &World, query: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut at = page(world, query);
    loop {
        found.extend(names(&at));
        let Some(token) = at["next_page_token"].as_str() else { return found };
        at = page(world, &format!("{query}&page_token={token}"));
    }
}

/// Keys of every kind: `a` to `f`, each a second younger than the one before.
fn filled(world: &World) -> (String, String, String) {
    let project = owner(world, "projects", &json!({"name": "p"}));
    let team = owner(world, "teams", &json!({"name": "t"}));
    let user = owner(world, "users", &json!({"external_id": "u", "team_id": team}));
    let mut ids = Vec::new();
    for body in [
        json!({"name": "alpha", "project_id": project, "expires_at": "2027-01-15T09:00:00Z"}),
        json!({"name": "Bravo", "user_id": user}),
        json!({"name": "100%_c", "team_id": team, "expires_at": "2027-01-15T08:00:10Z"}),
        json!({"name": "delta", "key_type": "management"}),
        json!({"name": "echo", "project_id": project}),
        json!({"name": "alphabet"}),
    ] {
        world.clock.advance_seconds(1);
        ids.push(world.key(&body).id);
    }
    world.patch(&format!("/api/v1/keys/{}", ids[4]), MASTER, &json!({"disabled": true})).is(200);
    world.delete(&format!("/api/v1/keys/{}", ids[5]), MASTER).is(200);
    world.clock.advance_seconds(10);
    (project, team, user)
}

#[test]
fn filters_leave_what_they_say() {
    let world = World::new();
    let (project, team, user) = filled(&world);
    let of = |query: &str| {
        let found = page(&world, &format!("{query}&sort=created_at&include_total=true"));
        assert_eq!(found["total"], found["data"].as_array().unwrap().len(), "{query}");
        names(&found).join(" ")
    };
    for (query, found) in [
        ("", "alpha Bravo 100%_c delta echo"),
        ("include_disabled=false", "alpha Bravo 100%_c delta"),
        ("include_revoked=true", "alpha Bravo 100%_c delta echo alphabet"),
        ("status=active", "alpha Bravo delta"),
        ("status=disabled", "echo"),
        ("status=expired", "100%_c"),
        ("status=revoked", "alphabet"),
        ("status=revoked&search=alp", "alphabet"),
        ("status=disabled&include_disabled=false", "echo"),
        ("key_type=management", "delta"),
        ("key_type=regular", "alpha Bravo 100%_c echo"),
        ("search=alpha", "alpha"),
        ("search=ALPHA&include_revoked=true", "alpha alphabet"),
        ("search=o", "Bravo echo"),
        ("search=%25", "100%_c"),
        ("search=%25_", "100%_c"),
        ("search=0%25_c", "100%_c"),
        ("search=_____", ""),
        ("search=no+such+name", ""),
        ("search=%22%27", ""),
        ("search=alpha%22+OR+%22echo", ""),
    ] {
        assert_eq!(of(query), found, "{query}");
    }
    assert_eq!(of(&format!("project_id={project}")), "alpha echo");
    assert_eq!(of(&format!("project_id={project}&status=active")), "alpha");
    assert_eq!(of(&format!("user_id={user}")), "Bravo");
    assert_eq!(of(&format!("team_id={team}")), "Bravo 100%_c");
    assert_eq!(of(&format!("team_id={team}&search=100")), "100%_c");
    // A renamed key is found by its new name, and no longer by the old one.
    let echo = page(&world, "search=echo")["data"][0]["hash"].as_str().unwrap().to_owned();
    let rename = json!({"name": "foxtrot"});
    world.patch(&format!("/api/v1/keys/{echo}"), MASTER, &rename).is(200);
    assert_eq!((of("search=echo"), of("search=foxtrot")), (String::new(), "foxtrot".to_owned()));
}

#[test]
fn every_order_is_the_same_in_pages_of_any_size() {
    let world = World::new();
    filled(&world);
    for (sort, found) in [
        ("created_at", "alpha Bravo 100%_c delta echo"),
        ("-created_at", "echo delta 100%_c Bravo alpha"),
        ("name", "100%_c Bravo alpha delta echo"),
        ("-name", "echo delta alpha Bravo 100%_c"),
        // What never expires comes behind everything else.
        ("expires_at", "100%_c alpha Bravo delta echo"),
        ("-expires_at", "echo delta Bravo alpha 100%_c"),
    ] {
        for size in 1..=6 {
            let query = format!("sort={sort}&page_size={size}");
            assert_eq!(walk(&world, &query).join(" "), found, "{query}");
        }
        assert_eq!(
            names(&page(&world, &format!("sort={sort}&offset=2&page_size=1"))).join(" "),
            found.split(' ').nth(2).unwrap()
        );
    }
    assert_eq!(names(&page(&world, ""))[0], "echo");
}

/// B68: list `page_size` 0, -1, 10^9; garbage cursor; other tenant's cursor; search `%_%_%` × 100:
/// 400 `invalid_value` (cursors are MAC'd).
#[test]
fn b68_nonsense_in_a_list_is_told() {
    let world = World::new();
    filled(&world);
    let refused = |query: &str, param: &str| {
        let told = world.get(&format!("/api/v1/keys?{query}"), MASTER);
        let told = told.refused(400, "invalid_value").json();
        assert_eq!(told["error"]["param"], param, "{query}");
    };
    for size in ["0", "-1", "1001", "1000000000", "ten", "1e2", "+5%20"] {
        refused(&format!("page_size={size}"), "page_size");
    }
    page(&world, "page_size=1000");
    refused(&format!("search={}", "%25_".repeat(101)), "search");
    page(&world, &format!("search={}", "%25_".repeat(100)));
    for (query, param) in [
        ("sort=size", "sort"),
        ("sort=name,created_at", "sort"),
        ("status=gone", "status"),
        ("status=ACTIVE", "status"),
        ("key_type=root", "key_type"),
        ("project_id=x", "project_id"),
        ("user_id=key_00000000000000000000000000", "user_id"),
        ("created_by=me", "created_by"),
        ("include_total=1", "include_total"),
        ("include_revoked=yes", "include_revoked"),
        ("offset=-1", "offset"),
        ("page_token=garbage", "page_token"),
        ("page_token=%00", "page_token"),
    ] {
        refused(query, param);
    }
    world.get("/api/v1/keys?statu=active", MASTER).refused(400, "unknown_parameter");
    // A cursor leads on in the list it came from, and in no other; nor does a forged one.
    let first = page(&world, "page_size=1&sort=name&include_disabled=true");
    let token = first["next_page_token"].as_str().unwrap();
    page(&world, &format!("page_size=3&include_disabled=true&sort=name&page_token={token}"));
    refused(&format!("page_size=1&page_token={token}"), "page_token");
    refused(&format!("sort=-name&include_disabled=true&page_token={token}"), "page_token");
    refused(&format!("sort=name&include_disabled=false&page_token={token}"), "page_token");
    let forged =
        format!("{}{}", &token[..token.len() - 1], if token.ends_with('a') { 'b' } else { 'a' });
    refused(&format!("sort=name&include_disabled=true&page_token={forged}"), "page_token");
    let manager = world.key(&json!({"key_type": "management"}));
    let path = format!("/api/v1/keys?sort=name&include_disabled=true&page_token={token}");
    world.get(&path, &manager.secret).refused(400, "invalid_value");
}

#[test]
fn a_management_key_lists_its_own_whatever_it_asks_for() {
    let world = World::new();
    filled(&world);
    let manager = world.key(&json!({"key_type": "management"}));
    let mine = json!({"name": "mine"});
    world.post("/api/v1/keys", &manager.secret, &mine).is(201);
    let list = |query: &str| {
        let found = world.get(&format!("/api/v1/keys?include_total=true&{query}"), &manager.secret);
        let found = found.is(200).json();
        assert_eq!(found["total"], found["data"].as_array().unwrap().len(), "{query}");
        names(&found).join(" ")
    };
    for query in ["", "sort=name", "sort=expires_at", "include_revoked=true", "search=mine"] {
        assert_eq!(list(query), "mine", "{query}");
    }
    assert_eq!(list(&format!("created_by={}", manager.id)), "mine");
    for query in
        ["search=alpha", "key_type=management", "created_by=key_00000000000000000000000000"]
    {
        assert_eq!(list(query), "", "{query}");
    }
}

#[test]
fn pages_give_each_key_that_was_there_all_along_exactly_once() {
    let world = World::new();
    for number in 0..60 {
        world.clock.advance_seconds(1);
        world.key(&json!({"name": format!("there {:02}", number * 7 % 60)}));
    }
    let fleeting: Vec<_> = (0..20).map(|_| world.key(&json!({"name": "there and gone"}))).collect();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for key in &fleeting {
                world.key(&json!({"name": "there since a moment ago"}));
                world.delete(&format!("/api/v1/keys/{}", key.id), MASTER).is(200);
            }
            done.store(true, Ordering::Relaxed);
        });
        loop {
            let last_round = done.load(Ordering::Relaxed);
            for query in [
                "page_size=7",
                "page_size=7&sort=created_at",
                "page_size=7&sort=name&search=there",
                "page_size=7&sort=-name&status=active",
                "page_size=7&sort=expires_at",
            ] {
                let mut seen: HashMap<String, u32> = HashMap::new();
                for name in walk(&world, query) {
                    *seen.entry(name).or_default() += 1;
                }
                for number in 0..60 {
                    assert_eq!(seen.get(&format!("there {number:02}")), Some(&1), "{query}");
                }
            }
            if last_round {
                break;
            }
        }
    });
}

#[test]
fn the_usage_of_one_key_is_that_of_the_usage_route() {
    let world = World::new();
    let manager = world.key(&json!({"key_type": "management"}));
    let made = world.post("/api/v1/keys", &manager.secret, &json!({"name": "k"})).is(201).json();
    let (id, secret) = (made["data"]["hash"].as_str().unwrap(), made["key"].as_str().unwrap());
    world.chat(secret, "").is(200);
    world.chat(&world.any_key().secret, "").is(200);
    let path = format!("/api/v1/keys/{id}/usage?group_by=model,day");
    let own = world.get(&path, &manager.secret).is(200).json();
    assert_eq!(own["totals"]["calls"], 1);
    let wide = format!("/api/v1/usage?group_by=model,day&key={id}");
    assert_eq!(own, world.get(&wide, MASTER).is(200).json());
    let wrong = format!("/api/v1/keys/{id}/usage?key={id}");
    world.get(&wrong, MASTER).refused(400, "unknown_parameter");
    let other = world.any_key().id;
    world.get(&format!("/api/v1/keys/{other}/usage"), &manager.secret).refused(404, "not_found");
}

#[test]
fn a_search_has_no_control_characters_and_a_token_is_of_one_list() {
    let world = World::new();
    for search in ["%00", "a%00", "a%0a"] {
        world.get(&format!("/api/v1/keys?search={search}"), MASTER).refused(400, "invalid_value");
    }
    for name in ["a", "b"] {
        world.post("/api/v1/teams", MASTER, &json!({"name": name})).is(201);
    }
    let page = world.get("/api/v1/teams?page_size=1", MASTER).is(200).json();
    let token = page["next_page_token"].as_str().unwrap();
    world.get(&format!("/api/v1/teams?page_token={token}"), MASTER).is(200);
    for other in ["/internal/teams?", "/api/v1/projects?", "/api/v1/teams?name=a&"] {
        world.get(&format!("{other}page_token={token}"), MASTER).refused(400, "invalid_value");
    }
}

#[test]
fn a_key_keeps_what_its_maker_wants_to_know_of_it() {
    let world = World::new();
    let own = json!({"cost_centre": "4711", "owner": "<b>ada</b>"});
    for (create, shown) in [
        ("/api/v1/keys", "/api/v1/keys"),
        ("/internal/api-keys", "/internal/api-keys"),
        ("/create-key", "/api/v1/keys"),
    ] {
        let made = world.post(create, MASTER, &json!({"name": "k", "metadata": own})).json();
        let id = made["data"]["hash"].as_str().or(made["id"].as_str()).unwrap();
        let path = format!("{shown}/{id}");
        let read = |reply: &crate::world::Reply| {
            let key = reply.json();
            key.get("data").unwrap_or(&key)["metadata"].clone()
        };
        assert_eq!(read(&world.get(&path, MASTER).is(200)), own, "{create}");
        assert_eq!(read(&world.patch(&path, MASTER, &json!({"rpm": 7})).is(200)), own);
        let other = json!({"metadata": {"a": "b"}});
        assert_eq!(read(&world.patch(&path, MASTER, &other).is(200)), json!({"a": "b"}));
        assert_eq!(
            read(&world.patch(&path, MASTER, &json!({"metadata": null})).is(200)),
            json!({})
        );
        for wrong in [
            json!({"a": 1}),
            json!({"": "a"}),
            json!(["a"]),
            json!({"a": "x".repeat(501)}),
            json!({"a": "\u{0}"}),
        ] {
            let refused = world.patch(&path, MASTER, &json!({"metadata": wrong}));
            assert_eq!(refused.refused(400, "invalid_value").json()["error"]["param"], "metadata");
        }
    }
}
