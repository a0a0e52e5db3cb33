//! Images: a picture of one pixel, as often as wanted. GPT image models report tokens, DALL·E
//! does not.

use serde_json::{Value, json};

use super::require;
use crate::fake_provider::ask::Ask;
use crate::fake_provider::envelope::Refusal;
use crate::fake_provider::reply::Reply;
use crate::fake_provider::words;

/// A transparent PNG of one pixel.
const PIXEL: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA\
                     60e6kgAAAABJRU5ErkJggg==";

/// Answers `POST /v1/images/{generations,edits,variations}`; the latter two come as forms.
pub(super) fn answer(ask: &Ask) -> Result<Reply, Refusal> {
    let edit = !ask.path.ends_with("/generations");
    if edit && !ask.form.iter().any(|field| field.name.starts_with("image")) {
        return Err(Refusal::new(400, "Missing required parameter: 'image'.").about("image"));
    }
    if !ask.path.ends_with("/variations") {
        require(ask, &["prompt"])?;
    }
    let model = ask.text("model").unwrap_or("dall-e-2");
    let by_tokens = model.contains("gpt-image");
    let count = ask.number("n").unwrap_or(1).clamp(1, 10);
    let packed = by_tokens || ask.text("response_format") == Some("b64_json");
    let data: Vec<Value> = (0..count)
        .map(|_| {
            if packed {
                return json!({"b64_json": PIXEL});
            }
            let url = format!("https://images.invalid/{}.png", words::id("img-", 24));
            json!({"url": url, "revised_prompt": ask.text("prompt")})
        })
        .collect();
    let mut body = json!({"created": words::unix_seconds(), "data": data});
    if !by_tokens {
        return Ok(Reply::json(200, &body));
    }
    let quality = ask.text("quality").unwrap_or("medium");
    for (field, usual) in [("size", "1024x1024"), ("background", "opaque")] {
        body[field] = ask.text(field).unwrap_or(usual).into();
    }
    body["quality"] = quality.into();
    body["output_format"] = ask.text("output_format").unwrap_or("png").into();
    let each = match quality {
        "low" => 272,
        "high" => 4160,
        _ => 1056,
    };
    let (text, pictures) = (ask.prompt_tokens(), if edit { 323 } else { 0 });
    let output = ask.script.output_tokens.unwrap_or(count * each);
    let usage = json!({
        "input_tokens": text + pictures,
        "input_tokens_details": {"text_tokens": text, "image_tokens": pictures},
        "output_tokens": output,
        "total_tokens": text + pictures + output,
    });
    let reply = Reply::metered(body, &usage, output, &ask.script);
    Ok(reply.with_prompt_tokens(text + pictures))
}
