//! What a person needs next, printed once Weir serves: the address, the master key if it was just
//! made, and commands to paste. The log is elsewhere, on standard error.

use std::io::Write as _;
use std::path::PathBuf;

use domain::Secret;

use crate::app::App;
use crate::config::Config;
use crate::providers::{DEMO, Speaks};

/// What is known before the start and told after it.
pub(super) struct Facts {
    example: Option<(String, Speaks)>,
    master_key_given: bool,
    data: PathBuf,
}

impl Facts {
    pub(super) fn of(config: &Config) -> Self {
        // Chat is what most people try first: Anthropic's own dialect only where there is no other.
        let mut known: Vec<_> = config
            .providers
            .iter()
            .filter_map(|provider| Some((provider.example.clone()?, provider.speaks)))
            .collect();
        known.sort_by_key(|(_, speaks)| *speaks == Speaks::Anthropic);
        Self {
            example: known.into_iter().next(),
            master_key_given: config.master_key.is_some(),
            data: config.data.clone(),
        }
    }
}

/// Prints it. The master key is shown here once.
pub(super) fn print(app: &mut App, facts: &Facts) -> std::io::Result<()> {
    let url = format!("http://{}", app.address());
    let master = app.take_made_master_key();
    let mut out = std::io::stdout().lock();
    writeln!(out, "\nWeir {} is listening on {url}", env!("CARGO_PKG_VERSION"))?;
    writeln!(out, "Its data is in {}", facts.data.display())?;
    let models = app.gate().models.load_full();
    let providers: Vec<&str> = models.providers().iter().map(|provider| &*provider.name).collect();
    match providers.as_slice() {
        [] => writeln!(
            out,
            "Providers: none, so every call is refused. Set OPENAI_API_KEY, ANTHROPIC_API_KEY or another, or add one with `weir provider add`."
        )?,
        [only] if *only == DEMO => writeln!(
            out,
            "Providers: demo (built in; set OPENAI_API_KEY or another and start again)"
        )?,
        providers => writeln!(out, "Providers: {}", providers.join(", "))?,
    }
    match (&master, facts.master_key_given) {
        (Some(secret), _) => {
            writeln!(out, "\nMaster key (shown this once, keep it):\n")?;
            writeln!(out, "  export PROXY_MASTER_KEY={}", secret.expose())?;
        }
        (None, true) => writeln!(out, "\nMaster key: the one in PROXY_MASTER_KEY.")?,
        (None, false) => writeln!(
            out,
            "\nMaster key: the one made at the first start. Lost it? Start once more with PROXY_MASTER_KEY set to a new one."
        )?,
    }
    // The demo may have stepped aside for a provider that was added since.
    if let Some((model, speaks)) = &facts.example
        && !models.named(model).is_empty()
    {
        tutorial(&mut out, &url, model, *speaks, master.as_ref())?;
    }
    out.flush()
}

fn tutorial(
    out: &mut impl std::io::Write,
    url: &str,
    model: &str,
    speaks: Speaks,
    master: Option<&Secret>,
) -> std::io::Result<()> {
    let json = "-H 'Content-Type: application/json'";
    let shown = if master.is_some() { "" } else { ", with PROXY_MASTER_KEY exported" };
    writeln!(out, "\nMake a key, and call a model with it{shown}:\n")?;
    writeln!(out, "  export WEIR_KEY=$(curl -s {url}/api/v1/keys {json} \\")?;
    writeln!(
        out,
        "    -H \"Authorization: Bearer $PROXY_MASTER_KEY\" -d '{{\"name\":\"my first key\"}}' \\"
    )?;
    writeln!(out, "    | sed -n 's/.*\"key\":\"\\([^\"]*\\)\".*/\\1/p')")?;
    let (path, members) = match speaks {
        Speaks::Anthropic => ("messages", ",\"max_tokens\":200"),
        Speaks::OpenAi | Speaks::Demo => ("chat/completions", ""),
    };
    writeln!(out, "  curl -N {url}/v1/{path} {json} -H \"Authorization: Bearer $WEIR_KEY\" \\")?;
    writeln!(
        out,
        "    -d '{{\"model\":\"{model}\",\"stream\":true{members},\"messages\":[{{\"role\":\"user\",\"content\":\"Tell me a story\"}}]}}'"
    )?;
    writeln!(out, "\nWhat it cost:\n")?;
    writeln!(out, "  curl -s {url}/api/v1/key -H \"Authorization: Bearer $WEIR_KEY\"\n")
}
