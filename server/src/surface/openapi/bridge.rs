//! What the bridge's pages promise: passwords, sessions, and keys with a line in the operator's file.

use domain::Code;
use serde_json::{Value, json};

use super::Operation;
use super::members::{limits, metadata, rules};
use super::shape::{Members, id, label, moment, string, text};
use crate::surface::bridge::{Deleted, Done, FileView, Made, Updated};

pub(super) fn operations() -> Vec<Operation> {
    let password =
        Members::default().required("password", string(), "The password, or the master key.");
    let passwords = Members::default()
        .optional("current", string(), "The password as it is; the master key needs none.")
        .required("new", password_text(), "Another one.");
    let which = Members::default()
        .optional("id", text(600), "The key's id.")
        .optional("key_id", text(600), "The same.")
        .optional("key", text(600), "Its secret, or the digest of it as the file has it.")
        .optional("name", text(600), "Its name, where no other has it.");
    let update = Members::default()
        .required("id", text(600), "The key's id, its secret, or its name.")
        .optional("name", label(), "Another name.")
        .and(limits());
    let create = Members::default()
        .required("name", label(), "A label for people.")
        .optional("project_id", id("proj"), "The project it belongs to.")
        .optional("user_id", id("user"), "The user it belongs to.")
        .optional("team_id", id("team"), "The team it belongs to, where it has no user.")
        .optional("expires_at", moment(), "From then on it opens nothing.")
        .and(limits())
        .and(rules())
        .and(metadata());
    vec![
        Operation::get("/dashboard", "dashboard", "Where a log-in leads to")
            .answers_text(200, "text/html", "A page.")
            .sends_browsers_on(),
        Operation::get("/login", "login_page", "The form that asks for the password")
            .answers_text(200, "text/html", "A page."),
        Operation::post("/login", "login", "Log in")
            .about("Forms are taken as well, and sent on to a page. The cookie opens what the master key opens under `/api/v1`.")
            .takes(password, json!({"password": "admin"}))
            .answers::<Done>(200, "A session has begun: its cookie is in `set-cookie`.")
            .sends_browsers_on()
            .refuses(&[Code::WrongPassword, Code::CrossOrigin, Code::TooManyAttempts]),
        Operation::post("/logout", "logout", "Log out")
            .answers::<Done>(200, "The session has ended.")
            .sends_browsers_on(),
        Operation::post("/logout-everywhere", "logout_everywhere", "End every session")
            .answers::<Done>(200, "All have ended.")
            .sends_browsers_on(),
        Operation::post("/api/v1/password", "change_password", "Change the password")
            .about("All other sessions end.")
            .takes(passwords, json!({"new": "a better one than before"}))
            .answers::<Done>(200, "It is changed.")
            .refuses(&[Code::WrongPassword, Code::TooManyAttempts, Code::Conflict]),
        Operation::post("/create-key", "create_listed_key", "Make a key with a line in config.json")
            .about("60 requests per minute where nothing else is said. Forms are taken as well.")
            .takes(create, json!({"name": "Production App", "rpm": 120}))
            .answers::<Made<'_>>(200, "The key, and its secret in `key`.")
            .refuses(&[Code::InvalidRule, Code::Conflict, Code::KeyLimitReached]),
        Operation::post("/update-key", "update_listed_key", "Change a key's name or limits")
            .about("Forms are taken as well.")
            .takes(update, json!({"id": "Production App", "rpm": 10}))
            .answers::<Updated<'_>>(200, "The key as it is now.")
            .refuses(&[Code::NotFound, Code::Conflict]),
        Operation::post("/delete-key", "delete_listed_key", "Revoke a key")
            .about("Its line leaves the file. Forms are taken as well.")
            .takes(which, json!({"name": "Dev / Testing"}))
            .answers::<Deleted>(200, "It is revoked.")
            .refuses(&[Code::NotFound, Code::Conflict]),
        Operation::get("/api/v1/bridge", "bridge", "How config.json stands")
            .answers::<FileView>(200, "What is in force, and why its latest version is not."),
    ]
}

/// What a new password may be.
fn password_text() -> Value {
    let plain = r"^[^\u0000-\u001f\u007f-\u009f]{8,1000}$";
    json!({"type": "string", "pattern": plain, "format": "password"})
}
