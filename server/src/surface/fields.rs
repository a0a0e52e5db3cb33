//! Reading the members of an administrative JSON body, each with a clear error that names it.
//! Members that nobody asked for are errors too. What values mean is the surfaces' business.

use std::collections::BTreeMap;

use domain::{Code, Money, Pattern, Refusal, Secret, Timestamp};
use serde_json::value::RawValue;

use crate::wire::json;

/// The members of one JSON object that have not been asked for yet.
pub struct Fields(BTreeMap<String, Box<RawValue>>);

impl Fields {
    /// Reads one JSON object.
    ///
    /// # Errors
    /// It is no JSON, no object, or names a member twice.
    pub fn read(body: &[u8]) -> Result<Self, Refusal> {
        json::Document::read(body)?;
        serde_json::from_slice(body)
            .map(Self)
            .map_err(|_| Refusal::new(Code::InvalidValue, "The body must be a JSON object."))
    }

    /// Whether the member was sent, `null` or not.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The member's text in JSON; `null` counts as not sent.
    fn take(&mut self, name: &str) -> Option<Box<RawValue>> {
        self.0.remove(name).filter(|value| value.get() != "null")
    }

    fn typed<T: serde::de::DeserializeOwned>(
        &mut self,
        name: &str,
        wanted: &str,
    ) -> Result<Option<T>, Refusal> {
        let value = self.take(name);
        value
            .map(|value| serde_json::from_str(value.get()).map_err(|_| invalid(name, wanted)))
            .transpose()
    }

    /// A label for people: 1 to 200 characters, none of them a control character.
    pub fn label(&mut self, name: &str) -> Result<Option<String>, Refusal> {
        const CHARS_MAX: usize = 200;
        let Some(text) = self.typed::<String>(name, "a text")? else { return Ok(None) };
        let unfit = |c: char| {
            c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        };
        if text.trim().is_empty() || text.chars().count() > CHARS_MAX || text.chars().any(unfit) {
            return Err(invalid(name, "a text of 1 to 200 characters without control characters"));
        }
        Ok(Some(text))
    }

    /// One of a few words.
    pub fn word<T: Copy>(&mut self, name: &str, words: &[(&str, T)]) -> Result<Option<T>, Refusal> {
        let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        let wanted = format!("one of {}", known.join(", "));
        let Some(text) = self.typed::<String>(name, &wanted)? else { return Ok(None) };
        let found = words.iter().find(|(word, _)| *word == text);
        found.map(|(_, value)| Some(*value)).ok_or_else(|| invalid(name, &wanted))
    }

    /// A secret that the client chose.
    pub fn secret(&mut self, name: &str) -> Result<Option<Secret>, Refusal> {
        Ok(self.typed::<String>(name, "a text")?.map(Secret::new))
    }

    /// True or false.
    pub fn boolean(&mut self, name: &str) -> Result<Option<bool>, Refusal> {
        self.typed(name, "true or false")
    }

    /// Dollars, as a JSON number or as a text with a decimal number.
    pub fn money(&mut self, name: &str) -> Result<Option<Money>, Refusal> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let quoted = serde_json::from_str::<String>(value.get());
        let text = quoted.as_deref().unwrap_or(value.get());
        match Money::parse_dollars(text) {
            Ok(money) if money >= Money::ZERO => Ok(Some(money)),
            _ => {
                Err(invalid(name, "an amount of dollars, not negative, with at most nine decimals"))
            }
        }
    }

    /// A whole number, not negative.
    pub fn number(&mut self, name: &str) -> Result<Option<i64>, Refusal> {
        let wanted = "a whole number, not negative";
        match self.typed::<i64>(name, wanted)? {
            Some(number) if number < 0 => Err(invalid(name, wanted)),
            number => Ok(number),
        }
    }

    /// A moment in RFC 3339, with its zone.
    pub fn moment(&mut self, name: &str) -> Result<Option<Timestamp>, Refusal> {
        let wanted = "a moment like 2027-12-31T23:59:59Z";
        let Some(text) = self.typed::<String>(name, wanted)? else { return Ok(None) };
        let moment: jiff::Timestamp = text.parse().map_err(|_| invalid(name, wanted))?;
        Ok(Some(Timestamp::from_micros(moment.as_microsecond())))
    }

    /// A list of model or provider names, with `*` for any run of characters.
    pub fn patterns(&mut self, name: &str) -> Result<Option<Vec<Pattern>>, Refusal> {
        const MOST: usize = 500;
        let Some(texts) = self.typed::<Vec<String>>(name, "a list of names")? else {
            return Ok(None);
        };
        if texts.len() > MOST {
            return Err(Refusal::new(
                Code::InvalidRule,
                format!("{name} has more than {MOST} names."),
            )
            .about(name));
        }
        let read = |(at, text): (usize, &String)| {
            Pattern::new(text).ok_or_else(|| {
                let message =
                    format!("{name}[{at}] is no name: 1 to 256 characters without spaces.");
                Refusal::new(Code::InvalidRule, message).about(format!("{name}[{at}]"))
            })
        };
        texts.iter().enumerate().map(read).collect::<Result<_, _>>().map(Some)
    }

    /// Nothing may be left.
    ///
    /// # Errors
    /// A member that this route does not know.
    pub fn end(self) -> Result<(), Refusal> {
        nothing_left(self.0.into_keys(), "parameter")
    }
}

/// The parameters of a query string that have not been asked for yet.
pub struct Query(BTreeMap<String, String>);

impl Query {
    /// Reads `a=1&b=2`, percent-encoded.
    ///
    /// # Errors
    /// A parameter comes twice, or its encoding is broken.
    pub fn read(query: Option<&str>) -> Result<Self, Refusal> {
        let mut parameters = BTreeMap::new();
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (Some(name), Some(value)) = (decode(name), decode(value)) else {
                return Err(Refusal::new(
                    Code::InvalidValue,
                    "The query string's encoding is broken.",
                ));
            };
            let shown: String = name.chars().take(40).collect();
            if parameters.insert(name, value).is_some() {
                return Err(Refusal::new(
                    Code::InvalidValue,
                    format!("The query parameter '{shown}' comes twice."),
                )
                .about(shown));
            }
        }
        Ok(Self(parameters))
    }

    /// A parameter's text.
    pub fn text(&mut self, name: &str) -> Option<String> {
        self.0.remove(name).filter(|text| !text.is_empty())
    }

    /// A whole number from `least` to `most`.
    pub fn number(&mut self, name: &str, least: u32, most: u32) -> Result<Option<u32>, Refusal> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let number = text.parse().ok().filter(|number| (least..=most).contains(number));
        number
            .map(Some)
            .ok_or_else(|| invalid(name, &format!("a whole number from {least} to {most}")))
    }

    /// True or false.
    pub fn boolean(&mut self, name: &str) -> Result<Option<bool>, Refusal> {
        match self.text(name).as_deref() {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(invalid(name, "true or false")),
        }
    }

    /// A moment in RFC 3339, or a date, which is its UTC midnight.
    pub fn moment(&mut self, name: &str) -> Result<Option<Timestamp>, Refusal> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let moment =
            text.parse::<jiff::Timestamp>().or_else(|_| format!("{text}T00:00:00Z").parse());
        let moment = moment.map_err(|_| {
            invalid(name, "a moment like 2026-11-01T00:00:00Z or a date like 2026-11-01")
        })?;
        Ok(Some(Timestamp::from_micros(moment.as_microsecond())))
    }

    /// Something with a text form.
    pub fn parsed<T: std::str::FromStr>(
        &mut self,
        name: &str,
        wanted: &str,
    ) -> Result<Option<T>, Refusal> {
        let text = self.text(name);
        text.map(|text| text.parse().map_err(|_| invalid(name, wanted))).transpose()
    }

    /// Nothing may be left.
    ///
    /// # Errors
    /// A parameter that this route does not know.
    pub fn end(self) -> Result<(), Refusal> {
        nothing_left(self.0.into_keys(), "query parameter")
    }
}

fn nothing_left(mut names: impl Iterator<Item = String>, what: &str) -> Result<(), Refusal> {
    let Some(name) = names.next() else { return Ok(()) };
    let shown: String = name.chars().take(40).collect();
    let message = format!("'{shown}' is not a {what} of this route.");
    Err(Refusal::new(Code::UnknownParameter, message).about(shown))
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
                u8::try_from(high * 16 + low).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

/// A value that is not what the parameter takes.
pub fn invalid(name: &str, wanted: &str) -> Refusal {
    Refusal::new(Code::InvalidValue, format!("'{name}' must be {wanted}.")).about(name)
}
