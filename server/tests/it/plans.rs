//! How many keys a project may have (L: plans and their allowances).

use serde_json::{Value, json};

use crate::owners::owner;
use crate::world::{MASTER, Reply, Unusual, World};

fn make(world: &World, project: &str) -> Reply {
    world.post("/api/v1/keys", MASTER, &json!({"name": "k", "project_id": project}))
}

fn shown(world: &World, project: &str) -> Value {
    world.get(&format!("/api/v1/projects/{project}"), MASTER).is(200).json()
}

/// L34 Page shows keys used vs plan allowance for the project.
/// L35 Plans: Free lower, Pro higher, Enterprise custom.
#[test]
fn l34_and_l35_a_project_shows_its_plan_its_allowance_and_its_keys() {
    let world = World::new();
    let told = |project: &Value| {
        (project["plan"].clone(), project["key_allowance"].clone(), project["keys_used"].clone())
    };
    let of = |plan: &str, allowance: Value, used: u64| (json!(plan), allowance, json!(used));
    let default = shown(&world, "proj_00000000000000000000000000");
    assert_eq!(told(&default), of("enterprise", Value::Null, 0));
    let id = owner(&world, "projects", &json!({"name": "p"}));
    assert_eq!(told(&shown(&world, &id)), of("free", json!(5), 0));
    make(&world, &id).is(201);
    let path = format!("/api/v1/projects/{id}");
    let change = |body: Value| world.patch(&path, MASTER, &body);
    assert_eq!(told(&change(json!({"plan": "pro"})).is(200).json()), of("pro", json!(50), 1));
    assert_eq!(
        told(&change(json!({"key_allowance": 3})).is(200).json()),
        of("custom", json!(3), 1)
    );
    let custom = json!({"plan": "custom", "key_allowance": null});
    assert_eq!(told(&change(custom).is(200).json()), of("custom", Value::Null, 1));
    assert_eq!(told(&change(json!({"name": "q"})).is(200).json()).0, "custom");
    let listed = world.get("/api/v1/projects", MASTER).is(200).json();
    assert_eq!(told(&listed["data"][0]), of("custom", Value::Null, 1));
    for (body, code) in [
        (json!({"plan": "gold"}), "invalid_value"),
        (json!({"plan": "free", "key_allowance": 9}), "invalid_value"),
        (json!({"plan": "custom"}), "missing_required_parameter"),
        (json!({"key_allowance": -1}), "invalid_value"),
        (json!({"key_allowance": 4_294_967_296_u64}), "invalid_value"),
        (json!({"keys_used": 0}), "unknown_parameter"),
    ] {
        change(body).refused(400, code);
    }
    let team = owner(&world, "teams", &json!({"name": "t"}));
    let path = format!("/api/v1/teams/{team}");
    world.patch(&path, MASTER, &json!({"plan": "pro"})).refused(400, "unknown_parameter");
}

/// L36 At the limit the Create button is disabled until keys are deleted or plan upgraded.
/// B67 key-count limit reached: 409 `key_limit_reached`.
#[test]
fn l36_and_b67_at_the_allowance_no_key_is_made_until_one_is_deleted_or_the_plan_raised() {
    let world = World::new();
    let id = owner(&world, "projects", &json!({"name": "small", "key_allowance": 2}));
    let manager = world.key(&json!({"key_type": "management", "project_id": id}));
    let first = make(&world, &id).is(201).json();
    let second = world.post("/api/v1/keys", &manager.secret, &json!({"name": "k"})).is(201).json();
    let told = make(&world, &id).refused(409, "key_limit_reached").json();
    let message = told["error"]["message"].as_str().unwrap();
    assert!(message.contains("small") && message.contains("master key"), "{message}");
    let body = json!({"name": "k"});
    world.post("/api/v1/keys", &manager.secret, &body).refused(409, "key_limit_reached");
    // Disabled and expired ones count; management keys do not.
    let path = |key: &Value| format!("/api/v1/keys/{}", key["data"]["hash"].as_str().unwrap());
    world.patch(&path(&first), MASTER, &json!({"disabled": true})).is(200);
    let soon = json!({"expires_at": "2027-01-15T08:00:01Z"});
    world.patch(&path(&second), MASTER, &soon).is(200);
    world.clock.advance_seconds(5);
    make(&world, &id).refused(409, "key_limit_reached");
    let another = json!({"name": "m", "key_type": "management", "project_id": id});
    world.post("/api/v1/keys", MASTER, &another).is(201);
    world.delete(&path(&first), MASTER).is(200);
    make(&world, &id).is(201);
    make(&world, &id).refused(409, "key_limit_reached");
    world.patch(&format!("/api/v1/projects/{id}"), MASTER, &json!({"plan": "pro"})).is(200);
    make(&world, &id).is(201);
    // A smaller plan ends no key.
    world.patch(&format!("/api/v1/projects/{id}"), MASTER, &json!({"key_allowance": 0})).is(200);
    assert_eq!(shown(&world, &id)["keys_used"], 3);
    make(&world, &id).refused(409, "key_limit_reached");
}

#[test]
fn however_many_are_made_at_a_time_there_are_never_more_than_allowed() {
    let world = World::new();
    let id = owner(&world, "projects", &json!({"name": "p", "plan": "free"}));
    let made = std::thread::scope(|scope| {
        let posts: Vec<_> = (0..50).map(|_| scope.spawn(|| make(&world, &id).status)).collect();
        posts.into_iter().map(|post| post.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(made.iter().filter(|status| **status == 201).count(), 5, "{made:?}");
    assert!(made.iter().all(|status| [201, 409].contains(status)), "{made:?}");
    assert_eq!(shown(&world, &id)["keys_used"], 5);
}

#[test]
fn what_a_plan_allows_stands_in_the_settings() {
    let settings_file = "free_keys = 1\npro_keys = \"unlimited\"\nenterprise_keys = 2\n";
    let world = World::with(Unusual { settings_file, ..Unusual::default() });
    let id = owner(&world, "projects", &json!({"name": "p"}));
    make(&world, &id).is(201);
    make(&world, &id).refused(409, "key_limit_reached");
    let change = json!({"plan": "pro"});
    let project = world.patch(&format!("/api/v1/projects/{id}"), MASTER, &change).is(200).json();
    assert_eq!(project["key_allowance"], Value::Null);
    assert_eq!(shown(&world, "proj_00000000000000000000000000")["key_allowance"], 2);
}
