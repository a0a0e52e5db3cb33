//! Every URL Weir answers, on this page. A row says the path, the methods, who may call, and what
//! serves it; nothing is answered that has no row. Rows translate and hand over: what may be done
//! is decided in `gate` (calls to models) and `admin` (everything else).

pub mod aliases;
pub mod audit;
pub mod bridge;
pub mod credentials;
pub mod effective;
pub mod explain;
pub mod fields;
pub mod inference;
pub mod internal;
pub mod keys;
pub mod leaderboard;
pub mod limits;
pub mod mark;
pub mod openapi;
pub mod operations;
pub mod owners;
pub mod page;
pub mod parts;
pub mod prices;
pub mod providers;
pub mod query;
pub mod reply;
pub mod revision;
pub mod rules;
pub mod usage;
pub mod windows;

use std::sync::LazyLock;

use futures_util::future::BoxFuture;
use http::Method;

use crate::admin::{Answering, OwnerKind};
use crate::call::Answer;
use crate::failure::Failure;
use crate::relay::{Api, Guard, Metering, Relay};
use crate::wire::Dialect;

/// What an administrative handler promises.
pub type Reply<'a> = BoxFuture<'a, Result<Answer, Failure>>;

/// An administrative handler: runs at the admin desk, off the data plane.
pub type Handler = Answering;

/// What serves a route.
#[derive(Clone, Copy)]
pub enum Serve {
    /// Passed to a provider through the gate.
    Relay(Relay),
    /// The models the calling key may use.
    Models,
    /// One of them.
    Model,
    /// Ours.
    Desk(Handler),
}

/// One row: a path and what its methods do.
pub struct Endpoint {
    /// Below `/v1` and `/api/v1` for inference; from the root otherwise.
    pub path: &'static str,
    pub methods: &'static [Method],
    pub guard: Guard,
    pub serve: Serve,
}

use Dialect as D;
use Metering::{Free, Unmetered, Usage};

const GET: &[Method] = &[Method::GET];
const POST: &[Method] = &[Method::POST];
const PUT: &[Method] = &[Method::PUT];
const PATCH: &[Method] = &[Method::PATCH];
const DELETE: &[Method] = &[Method::DELETE];
const GET_POST: &[Method] = &[Method::GET, Method::POST];
const GET_DELETE: &[Method] = &[Method::GET, Method::DELETE];
const GET_POST_DELETE: &[Method] = &[Method::GET, Method::POST, Method::DELETE];

const fn row(path: &'static str, methods: &'static [Method], relay: Relay) -> Endpoint {
    Endpoint { path, methods, guard: Guard::Caller, serve: Serve::Relay(relay) }
}

/// OpenAI's.
const fn relay(
    path: &'static str,
    methods: &'static [Method],
    dialect: Dialect,
    metering: Metering,
) -> Endpoint {
    row(path, methods, Relay { path, api: Api::OpenAi, dialect, metering, stored: false })
}

/// OpenAI's, about things it stores.
const fn stored(
    path: &'static str,
    methods: &'static [Method],
    dialect: Dialect,
    metering: Metering,
) -> Endpoint {
    row(path, methods, Relay { path, api: Api::OpenAi, dialect, metering, stored: true })
}

/// Anthropic's.
const fn anthropic(
    path: &'static str,
    methods: &'static [Method],
    dialect: Dialect,
    metering: Metering,
) -> Endpoint {
    row(path, methods, Relay { path, api: Api::Anthropic, dialect, metering, stored: false })
}

/// Anthropic's, about things it stores.
const fn anthropic_stored(
    path: &'static str,
    methods: &'static [Method],
    dialect: Dialect,
    metering: Metering,
) -> Endpoint {
    row(path, methods, Relay { path, api: Api::Anthropic, dialect, metering, stored: true })
}

const fn ours(
    path: &'static str,
    methods: &'static [Method],
    guard: Guard,
    handler: Handler,
) -> Endpoint {
    Endpoint { path, methods, guard, serve: Serve::Desk(handler) }
}

/// Answered under `/v1` and identically under `/api/v1`. Sources: OpenAI's and Anthropic's published
/// API references; a route of theirs that is missing here is refused.
pub static INFERENCE: &[Endpoint] = &[
    Endpoint { path: "/models", methods: GET, guard: Guard::Caller, serve: Serve::Models },
    Endpoint { path: "/models/{*model}", methods: GET, guard: Guard::Caller, serve: Serve::Model },
    // OpenAI: priced by what the answer reports.
    relay("/chat/completions", POST, D::Chat, Usage),
    relay("/completions", POST, D::Completions, Usage),
    relay("/embeddings", POST, D::Embeddings, Usage),
    relay("/responses", POST, D::Responses, Usage),
    relay("/images/generations", POST, D::Images, Usage),
    relay("/images/edits", POST, D::ImageEdits, Usage),
    relay("/images/variations", POST, D::ImageEdits, Usage),
    relay("/audio/speech", POST, D::Speech, Usage),
    relay("/audio/transcriptions", POST, D::Transcriptions, Usage),
    relay("/audio/translations", POST, D::Transcriptions, Usage),
    // Anthropic.
    anthropic("/messages", POST, D::Messages, Usage),
    anthropic("/messages/count_tokens", POST, D::CountTokens, Free),
    // OpenAI: free of charge, or looking at what was paid for already.
    relay("/moderations", POST, D::Moderations, Free),
    relay("/responses/input_tokens", POST, D::Json, Free),
    stored("/responses/{id}", GET_DELETE, D::Json, Free),
    stored("/responses/{id}/cancel", POST, D::Json, Free),
    stored("/responses/{id}/input_items", GET, D::Json, Free),
    stored("/chat/completions/{id}", GET_POST_DELETE, D::Json, Free),
    stored("/chat/completions/{id}/messages", GET, D::Json, Free),
    stored("/files", GET_POST, D::Raw, Free),
    stored("/files/{id}", GET_DELETE, D::Json, Free),
    stored("/files/{id}/content", GET, D::Json, Free),
    stored("/batches/{id}", GET, D::Json, Free),
    stored("/batches/{id}/cancel", POST, D::Json, Free),
    stored("/conversations", POST, D::Json, Free),
    stored("/conversations/{id}", GET_POST_DELETE, D::Json, Free),
    stored("/conversations/{id}/items", GET_POST, D::Json, Free),
    stored("/conversations/{id}/items/{item}", GET_DELETE, D::Json, Free),
    // OpenAI: costs something that no answer tells.
    stored("/batches", GET_POST, D::Json, Unmetered),
    relay("/responses/compact", POST, D::Json, Unmetered),
    stored("/uploads", POST, D::Json, Unmetered),
    stored("/uploads/{id}/parts", POST, D::Raw, Unmetered),
    stored("/uploads/{id}/complete", POST, D::Json, Unmetered),
    stored("/uploads/{id}/cancel", POST, D::Json, Unmetered),
    stored("/assistants", GET_POST, D::Json, Unmetered),
    stored("/assistants/{id}", GET_POST_DELETE, D::Json, Unmetered),
    stored("/threads", POST, D::Json, Unmetered),
    stored("/threads/runs", POST, D::Json, Unmetered),
    stored("/threads/{id}", GET_POST_DELETE, D::Json, Unmetered),
    stored("/threads/{id}/messages", GET_POST, D::Json, Unmetered),
    stored("/threads/{id}/messages/{message}", GET_POST_DELETE, D::Json, Unmetered),
    stored("/threads/{id}/runs", GET_POST, D::Json, Unmetered),
    stored("/threads/{id}/runs/{run}", GET_POST, D::Json, Unmetered),
    stored("/threads/{id}/runs/{run}/cancel", POST, D::Json, Unmetered),
    stored("/threads/{id}/runs/{run}/submit_tool_outputs", POST, D::Json, Unmetered),
    stored("/threads/{id}/runs/{run}/steps", GET, D::Json, Unmetered),
    stored("/threads/{id}/runs/{run}/steps/{step}", GET, D::Json, Unmetered),
    stored("/vector_stores", GET_POST, D::Json, Unmetered),
    stored("/vector_stores/{id}", GET_POST_DELETE, D::Json, Unmetered),
    stored("/vector_stores/{id}/search", POST, D::Json, Unmetered),
    stored("/vector_stores/{id}/files", GET_POST, D::Json, Unmetered),
    stored("/vector_stores/{id}/files/{file}", GET_POST_DELETE, D::Json, Unmetered),
    stored("/vector_stores/{id}/files/{file}/content", GET, D::Json, Unmetered),
    stored("/vector_stores/{id}/file_batches", POST, D::Json, Unmetered),
    stored("/vector_stores/{id}/file_batches/{batch}", GET, D::Json, Unmetered),
    stored("/vector_stores/{id}/file_batches/{batch}/cancel", POST, D::Json, Unmetered),
    stored("/vector_stores/{id}/file_batches/{batch}/files", GET, D::Json, Unmetered),
    stored("/fine_tuning/jobs", GET_POST, D::Json, Unmetered),
    stored("/fine_tuning/jobs/{id}", GET, D::Json, Unmetered),
    stored("/fine_tuning/jobs/{id}/cancel", POST, D::Json, Unmetered),
    stored("/fine_tuning/jobs/{id}/pause", POST, D::Json, Unmetered),
    stored("/fine_tuning/jobs/{id}/resume", POST, D::Json, Unmetered),
    stored("/fine_tuning/jobs/{id}/events", GET, D::Json, Unmetered),
    stored("/fine_tuning/jobs/{id}/checkpoints", GET, D::Json, Unmetered),
    relay("/fine_tuning/alpha/graders/run", POST, D::Json, Unmetered),
    relay("/fine_tuning/alpha/graders/validate", POST, D::Json, Unmetered),
    stored("/evals", GET_POST, D::Json, Unmetered),
    stored("/evals/{id}", GET_POST_DELETE, D::Json, Unmetered),
    stored("/evals/{id}/runs", GET_POST, D::Json, Unmetered),
    stored("/evals/{id}/runs/{run}", GET_POST_DELETE, D::Json, Unmetered),
    stored("/evals/{id}/runs/{run}/output_items", GET, D::Json, Unmetered),
    stored("/evals/{id}/runs/{run}/output_items/{item}", GET, D::Json, Unmetered),
    stored("/containers", GET_POST, D::Json, Unmetered),
    stored("/containers/{id}", GET_DELETE, D::Json, Unmetered),
    stored("/containers/{id}/files", GET_POST, D::Raw, Unmetered),
    stored("/containers/{id}/files/{file}", GET_DELETE, D::Json, Unmetered),
    stored("/containers/{id}/files/{file}/content", GET, D::Json, Unmetered),
    stored("/videos", GET_POST, D::Raw, Unmetered),
    stored("/videos/{id}", GET_DELETE, D::Json, Unmetered),
    stored("/videos/{id}/content", GET, D::Json, Unmetered),
    stored("/videos/{id}/remix", POST, D::Json, Unmetered),
    relay("/realtime/sessions", POST, D::Json, Unmetered),
    relay("/realtime/client_secrets", POST, D::Json, Unmetered),
    relay("/realtime/transcription_sessions", POST, D::Json, Unmetered),
    stored("/audio/voices", POST, D::Raw, Unmetered),
    // Anthropic: batches of messages.
    anthropic_stored("/messages/batches", GET_POST, D::Json, Unmetered),
    anthropic_stored("/messages/batches/{id}", GET_DELETE, D::Json, Unmetered),
    anthropic_stored("/messages/batches/{id}/cancel", POST, D::Json, Unmetered),
    anthropic_stored("/messages/batches/{id}/results", GET, D::Json, Unmetered),
    // Off unless the operator switches it on, and then for the master key only.
    Endpoint {
        path: "/organization/{*rest}",
        methods: GET_POST_DELETE,
        guard: Guard::Master,
        serve: Serve::Relay(Relay {
            path: "/organization",
            api: Api::OpenAi,
            dialect: D::Json,
            metering: Free,
            stored: false,
        }),
    },
];

/// Answered under exactly these paths.
pub static OURS: &[Endpoint] = &[
    ours("/api/v1/keys", GET, Guard::Manager, keys::list::list),
    ours("/api/v1/keys", POST, Guard::Manager, keys::create),
    ours("/api/v1/keys/lookup", POST, Guard::Manager, keys::look_up),
    ours("/api/v1/keys/{id}", GET, Guard::Manager, keys::show),
    ours("/api/v1/keys/{id}", PATCH, Guard::Manager, keys::update),
    ours("/api/v1/keys/{id}", DELETE, Guard::Manager, keys::revoke),
    ours("/api/v1/keys/{id}/rotate", POST, Guard::Manager, keys::rotate),
    ours("/api/v1/keys/{id}/limits", GET, Guard::Manager, parts::limits),
    ours("/api/v1/keys/{id}/limits", PUT, Guard::Manager, parts::put_limits),
    ours("/api/v1/keys/{id}/rules", GET, Guard::Manager, parts::rules),
    ours("/api/v1/keys/{id}/rules", PUT, Guard::Manager, parts::put_rules),
    ours("/api/v1/keys/{id}/usage", GET, Guard::Manager, usage::of_key),
    ours("/api/v1/keys/{id}/effective", GET, Guard::Manager, effective::of_key),
    ours("/api/v1/keys/{id}/explain", POST, Guard::Manager, explain::of_key),
    ours("/api/v1/key", GET, Guard::Holder, keys::own),
    ours("/api/v1/key/effective", GET, Guard::Holder, effective::own),
    ours("/api/v1/key/explain", POST, Guard::Holder, explain::own),
    ours("/api/v1/instance", GET, Guard::Master, owners::instance),
    ours("/api/v1/instance", PATCH, Guard::Master, owners::update_instance),
    ours("/api/v1/instance/limits", GET, Guard::Master, parts::limits),
    ours("/api/v1/instance/limits", PUT, Guard::Master, parts::put_limits),
    ours("/api/v1/instance/rules", GET, Guard::Master, parts::rules),
    ours("/api/v1/instance/rules", PUT, Guard::Master, parts::put_rules),
    ours("/api/v1/instance/effective", GET, Guard::Master, effective::of_instance),
    ours("/api/v1/projects", GET, Guard::Master, |desk, actor, call| {
        owners::list(desk, actor, call, OwnerKind::Project)
    }),
    ours("/api/v1/projects", POST, Guard::Master, |desk, actor, call| {
        owners::create(desk, actor, call, OwnerKind::Project)
    }),
    ours("/api/v1/projects/{id}", GET, Guard::Master, |desk, actor, call| {
        owners::show(desk, actor, call, OwnerKind::Project)
    }),
    ours("/api/v1/projects/{id}", PATCH, Guard::Master, |desk, actor, call| {
        owners::update(desk, actor, call, OwnerKind::Project)
    }),
    ours("/api/v1/projects/{id}/limits", GET, Guard::Master, parts::limits),
    ours("/api/v1/projects/{id}/limits", PUT, Guard::Master, parts::put_limits),
    ours("/api/v1/projects/{id}/rules", GET, Guard::Master, parts::rules),
    ours("/api/v1/projects/{id}/rules", PUT, Guard::Master, parts::put_rules),
    ours("/api/v1/projects/{id}/effective", GET, Guard::Master, |desk, actor, call| {
        effective::of_owner(desk, actor, call, OwnerKind::Project)
    }),
    ours("/api/v1/teams", GET, Guard::Master, |desk, actor, call| {
        owners::list(desk, actor, call, OwnerKind::Team)
    }),
    ours("/api/v1/teams", POST, Guard::Master, |desk, actor, call| {
        owners::create(desk, actor, call, OwnerKind::Team)
    }),
    ours("/api/v1/teams/{id}", GET, Guard::Master, |desk, actor, call| {
        owners::show(desk, actor, call, OwnerKind::Team)
    }),
    ours("/api/v1/teams/{id}", PATCH, Guard::Master, |desk, actor, call| {
        owners::update(desk, actor, call, OwnerKind::Team)
    }),
    ours("/api/v1/teams/{id}/limits", GET, Guard::Master, parts::limits),
    ours("/api/v1/teams/{id}/limits", PUT, Guard::Master, parts::put_limits),
    ours("/api/v1/teams/{id}/rules", GET, Guard::Master, parts::rules),
    ours("/api/v1/teams/{id}/rules", PUT, Guard::Master, parts::put_rules),
    ours("/api/v1/teams/{id}/effective", GET, Guard::Master, |desk, actor, call| {
        effective::of_owner(desk, actor, call, OwnerKind::Team)
    }),
    ours("/api/v1/users", GET, Guard::Master, |desk, actor, call| {
        owners::list(desk, actor, call, OwnerKind::User)
    }),
    ours("/api/v1/users", POST, Guard::Master, |desk, actor, call| {
        owners::create(desk, actor, call, OwnerKind::User)
    }),
    ours("/api/v1/users/{id}", GET, Guard::Master, |desk, actor, call| {
        owners::show(desk, actor, call, OwnerKind::User)
    }),
    ours("/api/v1/users/{id}", PATCH, Guard::Master, |desk, actor, call| {
        owners::update(desk, actor, call, OwnerKind::User)
    }),
    ours("/api/v1/users/{id}/limits", GET, Guard::Master, parts::limits),
    ours("/api/v1/users/{id}/limits", PUT, Guard::Master, parts::put_limits),
    ours("/api/v1/users/{id}/rules", GET, Guard::Master, parts::rules),
    ours("/api/v1/users/{id}/rules", PUT, Guard::Master, parts::put_rules),
    ours("/api/v1/users/{id}/effective", GET, Guard::Master, |desk, actor, call| {
        effective::of_owner(desk, actor, call, OwnerKind::User)
    }),
    ours("/internal/teams", GET, Guard::Internal, |desk, actor, call| {
        owners::list(desk, actor, call, OwnerKind::Team)
    }),
    ours("/internal/teams", POST, Guard::Internal, |desk, actor, call| {
        internal::create_owner(desk, actor, call, OwnerKind::Team)
    }),
    ours("/internal/teams/{id}", GET, Guard::Internal, |desk, actor, call| {
        owners::show(desk, actor, call, OwnerKind::Team)
    }),
    ours("/internal/teams/{id}", PATCH, Guard::Internal, |desk, actor, call| {
        owners::update(desk, actor, call, OwnerKind::Team)
    }),
    ours("/internal/users", GET, Guard::Internal, |desk, actor, call| {
        owners::list(desk, actor, call, OwnerKind::User)
    }),
    ours("/internal/users", POST, Guard::Internal, |desk, actor, call| {
        internal::create_owner(desk, actor, call, OwnerKind::User)
    }),
    ours("/internal/users/{id}", GET, Guard::Internal, |desk, actor, call| {
        owners::show(desk, actor, call, OwnerKind::User)
    }),
    ours("/internal/users/{id}", PATCH, Guard::Internal, |desk, actor, call| {
        owners::update(desk, actor, call, OwnerKind::User)
    }),
    ours("/internal/api-keys", GET, Guard::Internal, internal::list_keys),
    ours("/internal/api-keys", POST, Guard::Internal, internal::create_key),
    ours("/internal/api-keys/{id}", GET, Guard::Internal, internal::show_key),
    ours("/internal/api-keys/{id}", PATCH, Guard::Internal, internal::update_key),
    ours("/internal/api-keys/{id}", DELETE, Guard::Internal, internal::revoke_key),
    ours("/internal/api-keys/{id}/rotate", POST, Guard::Internal, internal::rotate_key),
    ours("/internal/usage", GET, Guard::Internal, |desk, actor, call| {
        usage::sums(desk, actor, call, internal::KEYS)
    }),
    ours("/internal/usage/leaderboard", GET, Guard::Internal, |desk, actor, call| {
        leaderboard::show(desk, actor, call, internal::KEYS)
    }),
    ours("/api/v1/usage", GET, Guard::Manager, |desk, actor, call| {
        usage::sums(desk, actor, call, keys::WORDS)
    }),
    ours("/api/v1/usage/leaderboard", GET, Guard::Manager, |desk, actor, call| {
        leaderboard::show(desk, actor, call, keys::WORDS)
    }),
    ours("/api/v1/usage/calls", GET, Guard::Manager, usage::calls),
    ours("/api/v1/usage/calls/{attempt}/reconcile", POST, Guard::Master, usage::reconcile),
    ours("/api/v1/providers", GET, Guard::Master, providers::list),
    ours("/api/v1/providers", POST, Guard::Master, providers::create),
    ours("/api/v1/providers/{name}", GET, Guard::Master, providers::show),
    ours("/api/v1/providers/{name}", PATCH, Guard::Master, providers::update),
    ours("/api/v1/providers/{name}", DELETE, Guard::Master, providers::remove),
    ours("/api/v1/providers/{name}/credentials", GET, Guard::Master, credentials::list),
    ours("/api/v1/providers/{name}/credentials", POST, Guard::Master, credentials::create),
    ours("/api/v1/credentials/{id}", PATCH, Guard::Master, credentials::update),
    ours("/api/v1/credentials/{id}", DELETE, Guard::Master, credentials::remove),
    ours("/api/v1/prices", GET, Guard::Master, prices::list),
    ours("/api/v1/prices/{*model}", PUT, Guard::Master, prices::set),
    ours("/api/v1/prices/{*model}", DELETE, Guard::Master, prices::unset),
    ours("/api/v1/aliases", GET, Guard::Master, aliases::list),
    ours("/api/v1/aliases/{name}", GET, Guard::Master, aliases::show),
    ours("/api/v1/aliases/{name}", PUT, Guard::Master, aliases::set),
    ours("/api/v1/aliases/{name}", DELETE, Guard::Master, aliases::unset),
    ours("/api/v1/audit", GET, Guard::Master, audit::list),
    ours("/dashboard", GET, Guard::Open, bridge::dashboard),
    ours("/login", GET, Guard::Open, bridge::login_page),
    ours("/login", POST, Guard::Open, bridge::login),
    ours("/logout", POST, Guard::Master, bridge::logout),
    ours("/logout-everywhere", POST, Guard::Master, bridge::logout_everywhere),
    ours("/create-key", POST, Guard::Master, bridge::create_key),
    ours("/update-key", POST, Guard::Master, bridge::update_key),
    ours("/delete-key", POST, Guard::Master, bridge::delete_key),
    ours("/api/v1/password", POST, Guard::Master, bridge::password),
    ours("/api/v1/bridge", GET, Guard::Master, bridge::show),
    ours("/healthz", GET, Guard::Open, operations::alive),
    ours("/readyz", GET, Guard::Open, operations::ready),
    ours("/openapi.json", GET, Guard::Open, openapi::show),
    ours("/docs", GET, Guard::Open, openapi::read),
];

/// Who may call a method of one of our own routes.
pub fn guard_of(method: &Method, path: &str) -> Guard {
    let row = OURS.iter().find(|row| row.path == path && row.methods.contains(method));
    row.map_or(Guard::Master, |row| row.guard)
}

/// What a path matched.
pub struct Matched {
    /// The rows of the path, one for each set of methods.
    rows: &'static [&'static Endpoint],
    /// The id in the path, where it has one, as the client wrote it.
    pub parameter: Option<String>,
}

impl Matched {
    /// The row for `method`.
    ///
    /// # Errors
    /// The methods the path does have.
    pub fn row(&self, method: &Method) -> Result<&'static Endpoint, String> {
        let row = self.rows.iter().find(|row| row.methods.contains(method));
        row.copied().ok_or_else(|| {
            let methods = self.rows.iter().flat_map(|row| row.methods).map(Method::as_str);
            methods.collect::<Vec<_>>().join(", ")
        })
    }
}

struct Map {
    inference: matchit::Router<&'static [&'static Endpoint]>,
    ours: matchit::Router<&'static [&'static Endpoint]>,
}

static MAP: LazyLock<Map> =
    LazyLock::new(|| Map { inference: by_path(INFERENCE), ours: by_path(OURS) });

fn by_path(rows: &'static [Endpoint]) -> matchit::Router<&'static [&'static Endpoint]> {
    let mut router = matchit::Router::new();
    let mut paths: Vec<&str> = rows.iter().map(|row| row.path).collect();
    paths.dedup();
    for path in paths {
        let same: Vec<&'static Endpoint> = rows.iter().filter(|row| row.path == path).collect();
        router.insert(path, &*same.leak()).expect("the table has no two paths that match the same");
    }
    router
}

/// Finds the rows of a path, taken literally: nothing is decoded, folded or corrected, so that a
/// path and its guard can never be understood in two ways.
pub fn find(path: &str) -> Option<Matched> {
    let inference = path.strip_prefix("/api").unwrap_or(path).strip_prefix("/v1");
    let (router, path) = match inference {
        Some(rest) if MAP.ours.at(path).is_err() => (&MAP.inference, rest),
        _ => (&MAP.ours, path),
    };
    let found = router.at(path).ok()?;
    let parameters: Vec<_> = found.params.iter().map(|(_, value)| value).collect();
    let sane = |value: &&str| {
        !value.is_empty()
            && value.len() <= 256
            && value.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
            && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.~:/@".contains(&b))
    };
    if !parameters.iter().all(sane) {
        return None;
    }
    Some(Matched {
        rows: found.value,
        parameter: parameters.first().map(|&value| value.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_prefixes_lead_to_the_same_rows_and_nothing_else_does() {
        for path in [
            "/v1/chat/completions",
            "/api/v1/chat/completions",
            "/v1/models/openai/gpt-4o",
            "/api/v1/keys",
            "/healthz",
        ] {
            assert!(find(path).is_some(), "{path}");
        }
        for path in [
            "/chat/completions",
            "/v1/keys",
            "/V1/chat/completions",
            "/v1//chat/completions",
            "/v1/chat/completions/",
            "/v1/chat/./completions",
            "/api/api/v1/chat/completions",
            "/v1/files/..",
            "/v1/files/%2e%2e",
            "/v1/models/..",
            "/v1/files/a%2fb",
            "/api/v1/keys/",
            "/v1",
            "/",
            "",
            "*",
        ] {
            assert!(find(path).is_none(), "{path}");
        }
    }
}
