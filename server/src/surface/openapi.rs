//! Everything Weir answers, as an OpenAPI 3.1 document: made from the table of routes, from what
//! stands beside each handler, from the types that are answered and from the table of refusals. No
//! second list of routes is kept here.

mod bridge;
mod inference;
mod internal;
mod keys;
mod members;
mod operation;
mod owners;
mod page;
mod running;
mod shape;
mod supply;
mod usage;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use domain::Code;
use domain::command::Actor;
use futures_util::FutureExt as _;
use http::{HeaderValue, Method, Response, header};
use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};

use crate::admin::Desk;
use crate::call::{Answer, Call, OutBody};
use crate::relay::Guard;
use crate::surface::{self, Reply};

use operation::Operation;

static DOCUMENT: LazyLock<Value> = LazyLock::new(document);
static TEXT: LazyLock<String> = LazyLock::new(|| DOCUMENT.to_string());
static PAGE: LazyLock<String> = LazyLock::new(|| page::write(&DOCUMENT));

/// `GET /openapi.json`
pub fn show(_desk: &Desk, _actor: Actor, _call: Call) -> Reply<'_> {
    async { Ok(text("application/json", &TEXT)) }.boxed()
}

/// `GET /docs`: the same, to be read.
pub fn read(_desk: &Desk, _actor: Actor, _call: Call) -> Reply<'_> {
    async {
        let mut answer = text("text/html; charset=utf-8", &PAGE);
        let policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
        let policy = HeaderValue::from_static(policy);
        answer.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
        Ok(answer)
    }
    .boxed()
}

fn text(content: &'static str, text: &'static str) -> Answer {
    let mut answer = Response::new(OutBody::full(text));
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content));
    answer
}

/// What our own routes promise, page by page.
fn operations() -> Vec<Operation> {
    [
        keys::operations(),
        owners::operations(),
        usage::operations(),
        internal::operations(),
        supply::operations(),
        bridge::operations(),
        running::operations(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

const ABOUT: &str = "A gateway to language models whose keys cannot overspend. Amounts of money are dollars; no digit passes through a float. Every answer carries `x-request-id`.";

fn document() -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
    });
    let mut generator = settings.into_generator();
    let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for operation in operations() {
        let guard = surface::guard_of(&operation.method, operation.path);
        // A model's name goes on over slashes, which the document has no word for.
        let path = operation.path.replace("{*model}", "{provider}/{model}");
        let item = paths.entry(path).or_default();
        let method = operation.method.as_str().to_lowercase();
        item.insert(method, describe(&operation, guard, &mut generator));
    }
    inference::describe(&mut paths);
    let mut schemas = generator.take_definitions(true);
    schemas.extend(errors());
    schemas.extend(members::shared());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Weir",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": tags(),
        "paths": paths,
        "components": {
            "schemas": schemas,
            "headers": {
                "request_id": {
                    "description": "The request's id, as the log has it.",
                    "schema": {"type": "string", "pattern": "^req_[0-9a-z]{26}$"},
                },
            },
            "securitySchemes": {
                "bearer": {
                    "type": "http", "scheme": "bearer",
                    "description": "A key's secret, or the master key: see each route. The headers `x-api-key` and `api-key` are understood in the same way.",
                },
            },
        },
    })
}

/// Groups of routes, in the order they are shown.
const TAGS: [(&str, &str); 8] = [
    ("models", "Calling models: OpenAI's and Anthropic's routes, with a regular key."),
    ("keys", "Keys: made, limited, looked at, ended."),
    ("owners", "What stands above keys: projects, teams, users, the instance."),
    ("usage", "What was used, and what it cost."),
    ("providers", "Who is asked, with which credentials, at which prices."),
    ("internal", "For programs around Weir, with the master key."),
    ("bridge", "Passwords, sessions, and the keys of config.json."),
    ("operations", "For whoever runs it."),
];

fn tags() -> Value {
    TAGS.iter().map(|(name, about)| json!({"name": name, "description": about})).collect()
}

/// The group a path belongs to.
fn tag(path: &str) -> &'static str {
    let first = path.strip_prefix("/api/v1/").unwrap_or(path);
    let first = first.split('/').find(|part| !part.is_empty()).unwrap_or_default();
    match first {
        "keys" | "key" => "keys",
        "projects" | "teams" | "users" | "instance" => "owners",
        "usage" | "audit" => "usage",
        "providers" | "credentials" | "prices" | "aliases" => "providers",
        "internal" => "internal",
        "healthz" | "readyz" | "metrics" | "openapi.json" | "docs" => "operations",
        _ => "bridge",
    }
}

/// The refusals that every route of a kind has.
fn common(operation: &Operation, guard: Guard) -> Vec<Code> {
    let mut codes = vec![Code::MethodNotAllowed, Code::Internal, Code::LedgerUnavailable];
    if guard != Guard::Open {
        codes.extend([
            Code::ConflictingCredentials,
            Code::MissingApiKey,
            Code::InvalidApiKey,
            Code::KeyDisabled,
            Code::KeyExpired,
            Code::KeyRevoked,
            Code::WrongKeyType,
            Code::AddressNotAllowed,
        ]);
    }
    if matches!(guard, Guard::Manager | Guard::Master) {
        codes.extend([Code::SessionEnded, Code::CrossOrigin]);
    }
    if operation.method != Method::GET {
        codes.extend([
            Code::InvalidValue,
            Code::IdempotencyKeyReused,
            Code::IdempotencyInProgress,
            Code::IdempotencyAnswerLost,
        ]);
    }
    if operation.body.is_some() {
        codes.extend([
            Code::InvalidJson,
            Code::DuplicateJsonKey,
            Code::InvalidValue,
            Code::MissingParameter,
            Code::UnknownParameter,
            Code::RequestTimeout,
            Code::RequestTooLarge,
            Code::UnsupportedEncoding,
        ]);
    }
    if !operation.query.is_empty() {
        codes.extend([Code::InvalidValue, Code::UnknownParameter]);
    }
    if operation.path.contains('{') {
        codes.push(Code::NotFound);
    }
    let names = |name: &str| {
        let body = operation.body.as_ref();
        body.is_some_and(|body| body.members.iter().any(|member| member.name == name))
    };
    if names("limit_reset") {
        codes.push(Code::Conflict);
    }
    if names("team_id") || names("project_id") {
        codes.push(Code::NotFound);
    }
    codes
}

fn describe(operation: &Operation, guard: Guard, generator: &mut SchemaGenerator) -> Value {
    let mut responses = Map::new();
    for promised in &operation.answers {
        let schema = (promised.schema)(generator);
        let mut content = Map::new();
        content.insert(promised.content.to_owned(), json!({"schema": schema}));
        let answer = json!({
            "description": promised.about, "headers": request_id(), "content": content,
        });
        responses.insert(promised.status.to_string(), answer);
    }
    if operation.sends_on {
        let location = json!({"description": "Where to.", "schema": {"type": "string"}});
        let mut headers = request_id();
        headers["location"] = location;
        let about = "A browser that sent a form is sent on to a page.";
        responses.insert("303".to_owned(), json!({"description": about, "headers": headers}));
    }
    let mut codes = common(operation, guard);
    codes.extend(&operation.refusals);
    responses.extend(refusals(&codes, "error"));
    let mut described = json!({
        "operationId": operation.name,
        "tags": [tag(operation.path)],
        "summary": operation.summary,
        "description": about(operation, guard),
        "responses": responses,
        "security": security(guard),
    });
    let parameters = parameters(operation);
    if !parameters.is_empty() {
        described["parameters"] = json!(parameters);
    }
    if let Some(body) = &operation.body {
        let mut schema = body.members.object();
        if body.members.iter().any(|member| member.name == "limits") {
            members::one_way_of_limits(&mut schema);
        }
        described["requestBody"] = json!({
            "required": !body.optional,
            "content": {"application/json": {
                "schema": schema, "example": body.example,
            }},
        });
    }
    described
}

fn about(operation: &Operation, guard: Guard) -> String {
    let who = match guard {
        Guard::Caller => "With a regular key.",
        Guard::Manager => "With the master key, or with a management key for the keys it made.",
        Guard::Holder => "With any key: about itself.",
        Guard::Master | Guard::Internal => "With the master key.",
        Guard::Open => "Without a secret.",
    };
    format!("{} {who}", operation.about).trim_start().to_owned()
}

fn security(guard: Guard) -> Value {
    if guard == Guard::Open { json!([]) } else { json!([{"bearer": []}]) }
}

fn request_id() -> Value {
    json!({"x-request-id": {"$ref": "#/components/headers/request_id"}})
}

/// The parts of the path and of the query.
fn parameters(operation: &Operation) -> Vec<Value> {
    let mut parameters = path_parameters(operation.path);
    if operation.method != Method::GET {
        parameters.push(json!({
            "name": "idempotency-key", "in": "header", "required": false,
            "description": "The same key, route and body within 24 hours give the first answer again, and change nothing twice.",
            "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
        }));
    }
    if operation.revised {
        parameters.push(json!({
            "name": "if-match", "in": "header", "required": false,
            "description": "The `ETag` of the revision it is meant for: refused where there is another by now.",
            "schema": {"type": "string", "pattern": "^(\\*|\"[1-9][0-9]{0,17}\")$"},
        }));
    }
    for member in operation.query.iter() {
        parameters.push(json!({
            "name": member.name, "in": "query", "required": member.required,
            "description": member.about, "schema": member.shape,
        }));
    }
    parameters
}

fn path_parameters(path: &str) -> Vec<Value> {
    let path = path.replace("{*model}", "{provider}/{model}");
    let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let parameter = |name: &str| {
        json!({
            "name": name, "in": "path", "required": true,
            "schema": {"type": "string", "minLength": 1, "maxLength": 256, "pattern": "^[A-Za-z0-9_.:@-]+$"},
        })
    };
    names.map(parameter).collect()
}

/// Refusals by status: which codes, and what each means.
fn refusals(codes: &[Code], schema: &str) -> Map<String, Value> {
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in Code::ALL.iter().filter(|code| codes.contains(code)) {
        by_status.entry(code.status()).or_default().push(*code);
    }
    let answer = |(status, codes): (u16, Vec<Code>)| {
        let lines: Vec<_> =
            codes.iter().map(|code| format!("`{}`: {}", code.name(), code.about())).collect();
        let content = json!({"application/json": {
            "schema": {"$ref": format!("#/components/schemas/{schema}")},
        }});
        let answer = json!({
            "description": lines.join("\n\n"), "headers": headers(status), "content": content,
        });
        (status.to_string(), answer)
    };
    by_status.into_iter().map(answer).collect()
}

/// The headers of a refusal with this status.
fn headers(status: u16) -> Value {
    let mut headers = request_id();
    let texts: &[(&str, &str)] = match status {
        401 => &[("www-authenticate", "`Bearer`.")],
        405 => &[("allow", "The methods that this URL has.")],
        429 | 503 => &[
            ("retry-after", "Seconds until the same request can pass, where that is known."),
            ("retry-after-ms", "The same in milliseconds."),
        ],
        _ => &[],
    };
    for (name, about) in texts {
        headers[*name] = json!({"description": about, "schema": {"type": "string"}});
    }
    headers["x-should-retry"] = json!({
        "description": "`false` where sending the same again cannot help.",
        "schema": {"type": "string", "enum": ["false"]},
    });
    headers
}

/// What every error looks like.
fn errors() -> Map<String, Value> {
    let codes: Vec<_> = Code::ALL.iter().map(|code| code.name()).collect();
    let message = json!({"type": "string", "description": "A sentence for people: what, whose, until when, and who can mend it."});
    let mut members = json!({
        "message": message,
        "type": {"type": "string"},
        "code": {"type": "string", "enum": codes, "description": "Why, as a word for programs."},
        "param": {"type": ["string", "null"], "description": "The member of the request at fault."},
    });
    let limit = json!({
        "limit_id": {"type": "string", "description": "The limit that refused; the members below are about it."},
        "scope": {"type": "string"},
        "scope_id": {"type": "string"},
        "unit": {"type": "string", "enum": ["money", "tokens", "requests", "in_flight"]},
        "window": {"type": ["string", "null"]},
        "amount": {"type": ["string", "integer"], "description": "Money as decimal text."},
        "spent": {"type": ["string", "integer"]},
        "held": {"type": ["string", "integer"]},
        "wanted": {"type": ["string", "integer"]},
        "resets_at": {"type": ["string", "null"]},
    });
    if let (Some(members), Value::Object(limit)) = (members.as_object_mut(), limit.clone()) {
        members.extend(limit);
    }
    let mut anthropic = json!({"type": {"type": "string"}, "message": message, "code": {"type": "string", "enum": codes}});
    if let (Some(members), Value::Object(limit)) = (anthropic.as_object_mut(), limit) {
        members.extend(limit);
    }
    let openai = json!({
        "type": "object", "required": ["error"],
        "properties": {"error": {
            "type": "object", "required": ["message", "type", "code"], "properties": members,
        }},
    });
    let anthropic = json!({
        "type": "object", "required": ["type", "error", "request_id"],
        "properties": {
            "type": {"type": "string", "enum": ["error"]},
            "error": {"type": "object", "required": ["type", "message", "code"], "properties": anthropic},
            "request_id": {"type": "string"},
        },
    });
    Map::from_iter([("error".to_owned(), openai), ("anthropic_error".to_owned(), anthropic)])
}

/// The document itself.
pub fn value() -> &'static Value {
    &DOCUMENT
}

/// The methods of our own routes, each with what it promises: what is missing, and what is too much.
pub fn differences() -> Vec<String> {
    let operations = operations();
    let promised: Vec<(Method, &str)> =
        operations.iter().map(|operation| (operation.method.clone(), operation.path)).collect();
    let served: Vec<(Method, &str)> = surface::OURS
        .iter()
        .flat_map(|row| row.methods.iter().map(|method| (method.clone(), row.path)))
        .collect();
    let missing = served.iter().filter(|row| !promised.contains(row));
    let extra = promised.iter().filter(|row| !served.contains(row));
    let missing = missing.map(|(method, path)| format!("{method} {path} promises nothing"));
    missing.chain(extra.map(|(method, path)| format!("{method} {path} is not served"))).collect()
}
