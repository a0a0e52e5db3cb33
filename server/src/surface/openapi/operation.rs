//! One method of one route, as the document tells of it: what it takes, what it answers, how it can
//! say no. Written beside the handler that does it.

use domain::Code;
use http::Method;
use schemars::generate::SchemaGenerator;
use schemars::{JsonSchema, Schema};
use serde_json::Value;

use super::shape::{Members, whole};

/// What a method of a route promises.
pub(super) struct Operation {
    pub method: Method,
    /// As the table of routes writes it.
    pub path: &'static str,
    /// Its name in generated clients.
    pub name: &'static str,
    /// What it does, in a line.
    pub summary: &'static str,
    /// What there is to know beside that.
    pub about: &'static str,
    pub query: Members,
    pub body: Option<Body>,
    pub answers: Vec<Promised>,
    /// How it can say no, beside the ways that all routes of its kind have.
    pub refusals: Vec<Code>,
    /// Whether it can be meant for one revision of the record alone.
    pub revised: bool,
    /// Whether a browser that sends a form is sent on to a page.
    pub sends_on: bool,
}

/// What it takes.
pub(super) struct Body {
    pub members: Members,
    /// It may be left out altogether.
    pub optional: bool,
    pub example: Value,
}

/// What it answers.
pub(super) struct Promised {
    pub status: u16,
    pub about: &'static str,
    pub content: &'static str,
    pub schema: fn(&mut SchemaGenerator) -> Schema,
}

impl Operation {
    pub(super) fn get(path: &'static str, name: &'static str, summary: &'static str) -> Self {
        Self::new(Method::GET, path, name, summary)
    }

    pub(super) fn post(path: &'static str, name: &'static str, summary: &'static str) -> Self {
        Self::new(Method::POST, path, name, summary)
    }

    pub(super) fn put(path: &'static str, name: &'static str, summary: &'static str) -> Self {
        Self::new(Method::PUT, path, name, summary)
    }

    pub(super) fn patch(path: &'static str, name: &'static str, summary: &'static str) -> Self {
        Self::new(Method::PATCH, path, name, summary)
    }

    pub(super) fn delete(path: &'static str, name: &'static str, summary: &'static str) -> Self {
        Self::new(Method::DELETE, path, name, summary)
    }

    fn new(method: Method, path: &'static str, name: &'static str, summary: &'static str) -> Self {
        Self {
            method,
            path,
            name,
            summary,
            about: "",
            query: Members::default(),
            body: None,
            answers: Vec::new(),
            refusals: Vec::new(),
            revised: false,
            sends_on: false,
        }
    }

    /// What there is to know beside the summary.
    #[must_use]
    pub(super) fn about(mut self, about: &'static str) -> Self {
        self.about = about;
        self
    }

    /// Parameters of its query.
    #[must_use]
    pub(super) fn query(mut self, members: Members) -> Self {
        self.query = self.query.and(members);
        self
    }

    /// The body it takes, with one that is accepted.
    #[must_use]
    pub(super) fn takes(mut self, members: Members, example: Value) -> Self {
        self.body = Some(Body { members, optional: false, example });
        self
    }

    /// The same, where it may be left out.
    #[must_use]
    pub(super) fn may_take(mut self, members: Members, example: Value) -> Self {
        self.body = Some(Body { members, optional: true, example });
        self
    }

    /// What it answers in JSON when all goes well.
    #[must_use]
    pub(super) fn answers<T: JsonSchema>(mut self, status: u16, about: &'static str) -> Self {
        let schema = |generator: &mut SchemaGenerator| generator.subschema_for::<T>();
        self.answers.push(Promised { status, about, content: "application/json", schema });
        self
    }

    /// What it answers in another form.
    #[must_use]
    pub(super) fn answers_text(
        mut self,
        status: u16,
        content: &'static str,
        about: &'static str,
    ) -> Self {
        let schema = |generator: &mut SchemaGenerator| generator.subschema_for::<String>();
        self.answers.push(Promised { status, about, content, schema });
        self
    }

    /// A browser that sends a form is sent on to a page.
    #[must_use]
    pub(super) fn sends_browsers_on(mut self) -> Self {
        self.sends_on = true;
        self
    }

    /// It can be meant for one revision of the record alone, and then changes no other.
    #[must_use]
    pub(super) fn for_one_revision(mut self) -> Self {
        self.revised = true;
        self.refusals.push(Code::StaleRevision);
        if let Some(body) = &mut self.body {
            let members = std::mem::take(&mut body.members);
            let about = "The revision it is meant for, as `If-Match` says it.";
            body.members = members.optional("revision", whole(1, i64::MAX), about);
        }
        self
    }

    /// How it can say no, beside the ways that all routes of its kind have.
    #[must_use]
    pub(super) fn refuses(mut self, codes: &[Code]) -> Self {
        self.refusals.extend(codes);
        self
    }
}
