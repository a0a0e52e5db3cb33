//! What the pages promise that are for whoever runs Weir.

use super::Operation;
use crate::surface::operations::State;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/healthz", "alive", "Whether the process answers")
            .answers::<State>(200, "It does."),
        Operation::get("/readyz", "ready", "Whether calls would be served and written down")
            .answers::<State>(200, "They would.")
            .answers::<State>(503, "They would not."),
        Operation::get("/openapi.json", "openapi", "This document").answers_text(
            200,
            "application/json",
            "An OpenAPI 3.1 document.",
        ),
        Operation::get("/docs", "docs", "This document, to be read in a browser").answers_text(
            200,
            "text/html",
            "A page that needs nothing from elsewhere.",
        ),
    ]
}
