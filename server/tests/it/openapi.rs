//! The OpenAPI document says what is served: every route, every member of every body, with examples
//! that work. That answers are as promised is checked wherever any test gets one (`promises`).

use http::Method;
use serde_json::{Map, Value, json};
use server::surface::openapi;

use crate::world::{MASTER, World};

#[test]
fn every_route_promises_something_and_nothing_else_does() {
    assert_eq!(openapi::differences(), Vec::<String>::new());
}

#[test]
fn names_of_operations_are_unique() {
    let mut names: Vec<String> =
        operations().iter().map(|(.., operation)| operation["operationId"].to_string()).collect();
    names.sort();
    let all = names.len();
    names.dedup();
    assert_eq!(names.len(), all);
}

#[test]
fn the_document_and_its_page_are_served_to_anybody() {
    let world = World::new();
    let document = world.send(Method::GET, "/openapi.json", &[], "").is(200).json();
    assert_eq!(&document, openapi::value());
    assert_eq!(document["openapi"], "3.1.0");
    let page = world.send(Method::GET, "/docs", &[], "").is(200);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert!(page.header("content-security-policy").contains("default-src 'none'"));
    assert!(!page.text.contains("<script") && !page.text.contains("src="));
    for (path, _, operation) in operations() {
        let summary = operation["summary"].as_str().unwrap();
        assert!(page.text.contains(summary) && page.text.contains(&path), "{summary}");
    }
}

/// Path, method and operation of everything that is ours.
fn operations() -> Vec<(String, Method, Value)> {
    let mut operations = Vec::new();
    for (path, item) in openapi::value()["paths"].as_object().unwrap() {
        for (name, operation) in item.as_object().unwrap() {
            if let Ok(method) = Method::from_bytes(name.to_uppercase().as_bytes())
                && operation.is_object()
            {
                operations.push((path.clone(), method, operation.clone()));
            }
        }
    }
    operations
}

fn ours() -> Vec<(String, Method, Value)> {
    let mut operations = operations();
    operations.retain(|(.., operation)| operation["tags"][0] != "models");
    // With the password as it is at first, and while there is something.
    operations.sort_by_key(|(path, method, _)| (path != "/login", *method == Method::DELETE));
    operations
}

/// Things to fill paths with.
struct Things {
    key: String,
    own: String,
    project: String,
    team: String,
    user: String,
    credential: String,
}

impl Things {
    fn make(world: &World) -> Self {
        let made = |path: &str, body: &Value| {
            world.post(path, MASTER, body).is(201).json()["id"].as_str().unwrap().to_owned()
        };
        let key = world.any_key();
        let provider = json!({"name": "things", "base_url": "https://things.example.com/v1"});
        world.post("/api/v1/providers", MASTER, &provider).is(201);
        world.post("/create-key", MASTER, &json!({"name": "Dev / Testing"})).is(200);
        world.key(&json!({"secret": "sk-found-on-the-street"}));
        Self {
            credential: made(
                "/api/v1/providers/things/credentials",
                &json!({"secret": "sk-thing"}),
            ),
            own: key.secret,
            key: key.id,
            project: made("/api/v1/projects", &json!({"name": "p"})),
            team: made("/api/v1/teams", &json!({"name": "t"})),
            user: made("/api/v1/users", &json!({"external_id": "u"})),
        }
    }

    fn fill(&self, path: &str) -> String {
        let id = match path {
            path if path.contains("/projects") => &self.project,
            path if path.contains("/teams") => &self.team,
            path if path.contains("/users") => &self.user,
            path if path.contains("/credentials") => &self.credential,
            _ => &self.key,
        };
        let price = path.replace("{provider}/{model}", "things/thing");
        price.replace("{id}", id).replace("{name}", "things")
    }

    fn secret<'a>(&'a self, path: &str) -> &'a str {
        if path == "/api/v1/key" || path.starts_with("/api/v1/key/") { &self.own } else { MASTER }
    }
}

fn send(
    world: &World,
    things: &Things,
    path: &str,
    method: &Method,
    body: &Value,
) -> crate::world::Reply {
    let bearer = format!("Bearer {}", things.secret(path));
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    world.send(method.clone(), &things.fill(path), &headers, body.to_string())
}

fn content(operation: &Value) -> &Value {
    &operation["requestBody"]["content"]["application/json"]
}

#[test]
fn examples_are_accepted() {
    let world = World::new();
    let things = Things::make(&world);
    for (path, method, operation) in ours() {
        let Some(example) = content(&operation).get("example") else { continue };
        // There is no call to correct.
        if path.ends_with("/reconcile") {
            continue;
        }
        let reply = send(&world, &things, &path, &method, example);
        assert!(reply.status < 300, "{method} {path} {example}: {}", reply.text);
    }
}

/// The members that a body may have are those that are asked for, no more and no fewer.
#[test]
fn members_are_those_that_are_read() {
    let world = World::new();
    let things = Things::make(&world);
    for (path, method, operation) in ours() {
        let content = content(&operation);
        let Some(properties) = content["schema"]["properties"].as_object() else { continue };
        let mut body = content["example"].clone();
        body["nobody_knows_this"] = json!(1);
        let path = path.replace("{attempt}", "att_00000000000000000000000000");
        let reply = send(&world, &things, &path, &method, &body).refused(400, "unknown_parameter");
        let mut known: Vec<String> =
            serde_json::from_value(reply.json()["error"]["known"].clone()).unwrap();
        known.sort();
        known.dedup();
        let mut promised: Vec<String> = properties.keys().cloned().collect();
        promised.sort();
        assert_eq!(promised, known, "{method} {path}");
    }
}

/// Each member is read as what the document says: something of another type is refused by its name.
#[test]
fn members_of_another_type_are_refused() {
    let world = World::new();
    let things = Things::make(&world);
    for (path, method, operation) in ours() {
        let content = content(&operation);
        let Some(properties) = content["schema"]["properties"].as_object() else { continue };
        let path = path.replace("{attempt}", "att_00000000000000000000000000");
        for (name, shape) in properties {
            let required = content["schema"]["required"].as_array().cloned().unwrap_or_default();
            let mut body: Map<String, Value> = content["example"].as_object().unwrap().clone();
            body.retain(|member, _| required.iter().any(|required| required == member));
            body.insert(name.clone(), wrong(shape));
            let reply = send(&world, &things, &path, &method, &Value::Object(body));
            let param = reply.json()["error"]["param"].as_str().unwrap_or_default().to_owned();
            assert_eq!(reply.status, 400, "{method} {path} {name}: {}", reply.text);
            assert!(param.starts_with(name.as_str()), "{method} {path} {name}: {}", reply.text);
        }
    }
}

/// Something that the shape is not.
fn wrong(shape: &Value) -> Value {
    let is = |kind: &str| match &shape["type"] {
        Value::String(one) => one == kind,
        Value::Array(some) => some.iter().any(|one| one == kind),
        _ => false,
    };
    if is("boolean") { json!("yes") } else { json!(true) }
}

/// The parameters that a query may have are those that are asked for.
#[test]
fn queries_are_those_that_are_read() {
    let world = World::new();
    let things = Things::make(&world);
    for (path, method, operation) in ours() {
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let mut promised: Vec<&str> = parameters
            .iter()
            .filter(|parameter| parameter["in"] == "query")
            .map(|parameter| parameter["name"].as_str().unwrap())
            .collect();
        if promised.is_empty() {
            continue;
        }
        promised.sort_unstable();
        let asked = format!("{path}?nobody_knows_this=1");
        let reply = send(&world, &things, &asked, &method, &json!({}));
        let reply = reply.refused(400, "unknown_parameter");
        let mut known: Vec<String> =
            serde_json::from_value(reply.json()["error"]["known"].clone()).unwrap();
        known.sort();
        known.dedup();
        assert_eq!(promised, known, "{method} {path}");
    }
}
