//! What the pages promise that are about what can be called: providers, credentials, prices, aliases;
//! and the audit trail.

use domain::Code;
use serde_json::{Value, json};

use super::Operation;
use super::members::{page, span};
use super::shape::{
    Members, boolean, label, list, pattern, price, secret, string, text, whole, words,
};
use crate::prices::embedded_providers;
use crate::surface::aliases::AliasView;
use crate::surface::audit::ActView;
use crate::surface::credentials::{CredentialView, Removed as RemovedCredential};
use crate::surface::page::Page;
use crate::surface::prices::{PriceView, Prices, Removed as RemovedPrice};
use crate::surface::providers::{ProviderView, Removed};

pub(super) fn operations() -> Vec<Operation> {
    [providers(), credentials(), prices(), aliases(), trail()].into_iter().flatten().collect()
}

fn providers() -> Vec<Operation> {
    let own = Members::default().required(
        "name",
        provider_name(),
        "Lower-case letters, digits, `-` and `_`.",
    );
    let example =
        json!({"name": "local", "kind": "openai", "base_url": "https://models.example.com/v1"});
    vec![
        Operation::get("/api/v1/providers", "list_providers", "List providers")
            .answers::<Page<ProviderView>>(200, "All of them."),
        Operation::post("/api/v1/providers", "create_provider", "Add a provider")
            .about(
                "In force for the next call. One that everybody knows needs no more than its name.",
            )
            .takes(own.and(provider()), example)
            .answers::<ProviderView>(201, "The provider.")
            .refuses(&[Code::Conflict, Code::DestinationNotAllowed]),
        Operation::get("/api/v1/providers/{name}", "get_provider", "Look at a provider")
            .answers::<ProviderView>(200, "The provider."),
        Operation::patch("/api/v1/providers/{name}", "update_provider", "Change a provider")
            .takes(provider(), json!({"free": false}))
            .answers::<ProviderView>(200, "The provider as it is now.")
            .refuses(&[Code::Conflict, Code::DestinationNotAllowed]),
        Operation::delete("/api/v1/providers/{name}", "delete_provider", "Take a provider away")
            .about("With its credentials and prices.")
            .answers::<Removed<'_>>(200, "It is gone.")
            .refuses(&[Code::Conflict]),
    ]
}

fn provider_name() -> Value {
    json!({"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]{0,63}$"})
}

fn provider() -> Members {
    Members::default()
        .optional("kind", words(&["openai", "anthropic"]), "The dialect it speaks.")
        .optional("base_url", address(), "Everything before `/chat/completions` or `/v1/messages`.")
        .optional(
            "models",
            list(&pattern("gpt-*"), 500),
            "Names it is asked for where no provider is named.",
        )
        .optional("catalogue", catalogues(), "The provider whose prices it has.")
        .optional("free", boolean(), "Whether it costs nothing.")
        .optional(
            "on_hangup",
            words(&["drain", "cancel"]),
            "What becomes of an answer whose client has gone.",
        )
        .optional("stream_options", boolean(), "Whether it understands the wish for usage.")
}

/// Providers whose prices are built in.
fn catalogues() -> Value {
    let names: Vec<_> = embedded_providers().collect();
    words(&names)
}

/// Of a machine outside.
fn address() -> Value {
    json!({"type": "string", "format": "uri", "pattern": "^https://[a-z]{1,20}\\.example\\.com(/[a-z0-9]{1,10}){0,3}$", "examples": ["https://models.example.com/v1"]})
}

fn credentials() -> Vec<Operation> {
    vec![
        Operation::get(
            "/api/v1/providers/{name}/credentials",
            "list_credentials",
            "List a provider's credentials",
        )
        .answers::<Page<CredentialView>>(200, "All of them, without their secrets."),
        Operation::post(
            "/api/v1/providers/{name}/credentials",
            "create_credential",
            "Add a credential",
        )
        .about("The secret goes in and never comes out.")
        .takes(
            Members::default()
                .required("secret", secret(), "What the provider gave you.")
                .optional("label", label(), "A label for people."),
            json!({"secret": "sk-what-the-provider-gave-you", "label": "second account"}),
        )
        .answers::<CredentialView>(201, "The credential.")
        .refuses(&[Code::Conflict]),
        Operation::patch("/api/v1/credentials/{id}", "update_credential", "Change a credential")
            .takes(
                Members::default()
                    .optional("secret", secret(), "Another one.")
                    .optional("label", label(), "A label for people.")
                    .optional("disabled", boolean(), "Whether it is left out."),
                json!({"disabled": true}),
            )
            .answers::<CredentialView>(200, "The credential as it is now.")
            .refuses(&[Code::Conflict]),
        Operation::delete(
            "/api/v1/credentials/{id}",
            "delete_credential",
            "Take a credential away",
        )
        .answers::<RemovedCredential>(200, "It is gone."),
    ]
}

fn prices() -> Vec<Operation> {
    const PER_MILLION: [(&str, &str); 11] = [
        ("input", "Tokens read."),
        ("output", "Tokens written."),
        ("cache_read", "Tokens read from a cache."),
        ("cache_write", "Tokens written to a cache."),
        ("cache_write_hour", "The same for an hour."),
        ("reasoning", "Tokens of reasoning."),
        ("audio_input", "Tokens of sound read."),
        ("audio_output", "Tokens of sound written."),
        ("image_input", "Tokens of pictures read."),
        ("image_output", "Tokens of pictures written."),
        ("characters", "Characters."),
    ];
    const PER_PIECE: [(&str, &str); 4] = [
        ("per_image", "A picture."),
        ("per_audio_minute", "A minute of sound."),
        ("per_tool_call", "A call of a hosted tool."),
        ("per_request", "A request."),
    ];
    let rates = PER_MILLION.iter().chain(&PER_PIECE);
    let members = rates
        .fold(Members::default(), |members, (name, about)| members.optional(name, price(), about));
    let members = members
        .optional("free", boolean(), "Costs nothing; instead of prices.")
        .optional("context_tokens", whole(1, i64::MAX), "The most it reads and writes.")
        .optional("max_output_tokens", whole(1, i64::MAX), "The most it writes.");
    vec![
        Operation::get("/api/v1/prices", "list_prices", "What models cost now")
            .query(page())
            .query(
                Members::default()
                    .optional("provider", string(), "Only of this provider.")
                    .optional("model", string(), "Only of this model.")
                    .optional("search", string(), "Only where this is in the name."),
            )
            .answers::<Prices>(200, "A page of prices."),
        Operation::put("/api/v1/prices/{*model}", "set_price", "Say what a model costs")
            .about("Dollars per million tokens, or per piece; replaces what the catalogue says. A model's name may have slashes in it.")
            .takes(members, json!({"input": "2.50", "output": "10", "cache_read": "1.25"}))
            .answers::<PriceView>(200, "The price from now on.")
            .refuses(&[Code::Conflict]),
        Operation::delete("/api/v1/prices/{*model}", "unset_price", "Take the catalogue's word again")
            .answers::<RemovedPrice<'_>>(200, "The catalogue's word counts.")
            .refuses(&[Code::Conflict]),
    ]
}

fn aliases() -> Vec<Operation> {
    let model =
        Members::default().required("model", text(256), "`provider/model`, and not another alias.");
    vec![
        Operation::get("/api/v1/aliases", "list_aliases", "List other names of models")
            .answers::<Page<AliasView>>(200, "All of them."),
        Operation::get("/api/v1/aliases/{name}", "get_alias", "Look at an alias")
            .answers::<AliasView>(200, "The alias."),
        Operation::put("/api/v1/aliases/{name}", "set_alias", "Give a model another name")
            .takes(model, json!({"model": "openai/gpt-4o"}))
            .answers::<AliasView>(200, "The alias from now on.")
            .refuses(&[Code::Conflict, Code::ModelNotFound]),
        Operation::delete("/api/v1/aliases/{name}", "unset_alias", "Take an alias away")
            .answers::<Removed<'_>>(200, "It is gone.")
            .refuses(&[Code::Conflict]),
    ]
}

fn trail() -> Vec<Operation> {
    vec![
        Operation::get("/api/v1/audit", "audit", "Who did what to which record")
            .about("Newest first, with the record before and after, and never a secret.")
            .query(page())
            .query(
                Members::default()
                    .optional(
                        "actor",
                        string(),
                        "Only what this one did: `operator`, or a key's id.",
                    )
                    .optional("action", string(), "Only acts of this name: `key.create`.")
                    .optional("subject", string(), "Only what was done to this."),
            )
            .query(span())
            .answers::<Page<ActView>>(200, "A page of acts."),
    ]
}
