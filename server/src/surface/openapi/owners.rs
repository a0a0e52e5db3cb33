//! What the pages of projects, teams, users and the instance promise.

use domain::Code;
use serde_json::{Value, json};

use super::Operation;
use super::members::{limits, page, rules};
use super::shape::{Members, id, label, string};
use crate::surface::effective::EffectiveView;
use crate::surface::owners::OwnerView;
use crate::surface::page::Page;

/// One kind of owner: its paths, the names of its operations, what it is called.
struct Kind {
    paths: [&'static str; 3],
    names: [&'static str; 5],
    summaries: [&'static str; 5],
    own: fn() -> Members,
    query: fn() -> Members,
    example: Value,
}

pub(super) fn operations() -> Vec<Operation> {
    let mut operations = vec![
        Operation::get("/api/v1/instance", "get_instance", "Look at the whole installation")
            .answers::<OwnerView<'_>>(200, "The instance."),
        Operation::patch("/api/v1/instance", "update_instance", "Change what applies to everybody")
            .about("What is not sent stays, `null` clears.")
            .takes(limits().and(rules()), json!({"limit": 1000, "limit_reset": "daily"}))
            .answers::<OwnerView<'_>>(200, "The instance as it is now.")
            .refuses(&[Code::InvalidRule, Code::Conflict]),
        Operation::get(
            "/api/v1/instance/effective",
            "effective_on_instance",
            "What applies to everybody",
        )
        .answers::<EffectiveView<'_>>(200, "Limits and rules."),
    ];
    operations.extend(kinds().into_iter().flat_map(of));
    operations
}

fn kinds() -> [Kind; 3] {
    [
        Kind {
            paths: ["/api/v1/projects", "/api/v1/projects/{id}", "/api/v1/projects/{id}/effective"],
            names: [
                "list_projects",
                "create_project",
                "get_project",
                "update_project",
                "effective_on_project",
            ],
            summaries: [
                "List projects",
                "Make a project",
                "Look at a project",
                "Change a project",
                "What applies to a project",
            ],
            own: named,
            query: named_query,
            example: json!({"name": "search", "limit": 500, "limit_reset": "monthly"}),
        },
        Kind {
            paths: ["/api/v1/teams", "/api/v1/teams/{id}", "/api/v1/teams/{id}/effective"],
            names: ["list_teams", "create_team", "get_team", "update_team", "effective_on_team"],
            summaries: [
                "List teams",
                "Make a team",
                "Look at a team",
                "Change a team",
                "What applies to a team",
            ],
            own: named,
            query: named_query,
            example: json!({"name": "engineering", "tpm_limit": 200_000, "daily_token_limit": 5_000_000}),
        },
        Kind {
            paths: ["/api/v1/users", "/api/v1/users/{id}", "/api/v1/users/{id}/effective"],
            names: ["list_users", "create_user", "get_user", "update_user", "effective_on_user"],
            summaries: [
                "List users",
                "Make a user",
                "Look at a user",
                "Change a user",
                "What applies to a user",
            ],
            own: user,
            query: user_query,
            example: json!({"external_id": "alice@example.com"}),
        },
    ]
}

fn of(kind: Kind) -> Vec<Operation> {
    let Kind { paths: [all, one, effective], names, summaries, own, query, example } = kind;
    let about = "What is not sent stays, `null` clears.";
    let changes = || own().all_optional().and(limits()).and(rules());
    vec![
        Operation::get(all, names[0], summaries[0])
            .query(page())
            .query(query())
            .answers::<Page<OwnerView<'_>>>(200, "A page of them."),
        Operation::post(all, names[1], summaries[1])
            .takes(own().and(limits()).and(rules()), example)
            .answers::<OwnerView<'_>>(201, "What was made.")
            .refuses(&[Code::InvalidRule, Code::Conflict]),
        Operation::get(one, names[2], summaries[2]).answers::<OwnerView<'_>>(200, "As it is now."),
        Operation::patch(one, names[3], summaries[3])
            .about(about)
            .takes(changes(), json!({"rpm": 600}))
            .answers::<OwnerView<'_>>(200, "As it is now.")
            .refuses(&[Code::InvalidRule, Code::Conflict]),
        Operation::get(effective, names[4], summaries[4])
            .answers::<EffectiveView<'_>>(200, "Limits and rules, the widest scope first."),
    ]
}

/// The same teams and users, for programs around Weir.
pub(super) fn internal() -> Vec<Operation> {
    const TEAM: [&str; 4] = [
        "internal_list_teams",
        "internal_create_team",
        "internal_get_team",
        "internal_update_team",
    ];
    const USER: [&str; 4] = [
        "internal_list_users",
        "internal_create_user",
        "internal_get_user",
        "internal_update_user",
    ];
    let [_, team, mut user] = kinds();
    user.example = json!({"external_id": "bob@example.com"});
    let kinds = [
        (["/internal/teams", "/internal/teams/{id}"], TEAM, team),
        (["/internal/users", "/internal/users/{id}"], USER, user),
    ];
    let of = |([all, one], names, kind): ([&'static str; 2], [&'static str; 4], Kind)| {
        let mut operations = self::of(kind);
        operations.truncate(names.len());
        for (operation, name) in operations.iter_mut().zip(names) {
            operation.path = if operation.path.ends_with('}') { one } else { all };
            operation.name = name;
        }
        operations
    };
    kinds.into_iter().flat_map(of).collect()
}

fn named() -> Members {
    Members::default().required("name", label(), "A label for people.")
}

fn named_query() -> Members {
    Members::default().optional("name", string(), "Only the one of this name.")
}

fn user() -> Members {
    Members::default()
        .required("external_id", label(), "The name it has elsewhere; no two users have the same.")
        .optional("team_id", id("team"), "The team it belongs to.")
}

fn user_query() -> Members {
    Members::default().optional("external_id", string(), "Only the one of this name.").optional(
        "team_id",
        id("team"),
        "Only those of this team.",
    )
}
