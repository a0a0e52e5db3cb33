//! Reading the members of an administrative JSON body, each with a clear error that names it.
//! Members that nobody asked for are errors too. What values mean is the surfaces' business.

use std::collections::{BTreeMap, BTreeSet};

use domain::{Code, Money, Price, Refusal, Secret, Timestamp};
use serde_json::value::RawValue;

use crate::admin::{BODY_BYTES_MAX, Desk};
use crate::call::Call;
use crate::failure::Failure;
use crate::surface::query::Query;
use crate::wire::json;

/// The members of one JSON object that have not been asked for yet.
#[derive(Default)]
pub struct Fields {
    members: BTreeMap<String, Box<RawValue>>,
    /// Where the object stands, as errors name it: empty, or `recurring_limit.`.
    path: String,
    /// What was asked for, whether it was there or not.
    known: Vec<String>,
    /// Members that came as words of the query string, which has no types: a number or a list is
    /// what it is read as.
    in_query: BTreeSet<String>,
}

impl Fields {
    /// Reads the body of `call`.
    ///
    /// # Errors
    /// It does not come, or is not what [`Fields::read`] reads.
    pub async fn of(desk: &Desk, call: &mut Call) -> Result<Self, Failure> {
        let body = call.body(BODY_BYTES_MAX, desk.gate.wire.body_timeout).await?;
        Ok(Self::read(&body)?)
    }

    /// Reads the body of `call`, or its query string where that stands in place of the body. What is
    /// said in both must be the same.
    ///
    /// # Errors
    /// As [`Fields::of`] says; or the two contradict each other.
    pub async fn of_body_or_query(desk: &Desk, call: &mut Call) -> Result<Self, Failure> {
        let body = call.body(BODY_BYTES_MAX, desk.gate.wire.body_timeout).await?;
        let query = Query::read(call.head.uri.query())?;
        if query.parameters.is_empty() {
            return Ok(Self::read(&body)?);
        }
        let fields = if body.is_empty() { Self::default() } else { Self::read(&body)? };
        Ok(fields.with(query)?)
    }

    fn with(mut self, query: Query) -> Result<Self, Refusal> {
        for (name, text) in query.parameters {
            let quoted =
                |value| serde_json::from_str::<String>(value).is_ok_and(|said| said == text);
            match self.members.get(&name).map(|value| value.get()) {
                None => {
                    let value = serde_json::value::to_raw_value(&text);
                    let value = value.map_err(|_| self.invalid(&name, "a text"))?;
                    self.members.insert(name.clone(), value);
                    self.in_query.insert(name);
                }
                Some(value) if value == text || quoted(value) => {}
                Some(_) => {
                    let said = "said once, or the same in the body and in the query string";
                    return Err(self.invalid(&name, said));
                }
            }
        }
        Ok(self)
    }

    /// The same, where there may be no body: then nothing was sent.
    ///
    /// # Errors
    /// As [`Fields::of`] says.
    pub async fn of_any(desk: &Desk, call: &mut Call) -> Result<Self, Failure> {
        let body = call.body(BODY_BYTES_MAX, desk.gate.wire.body_timeout).await?;
        Ok(if body.is_empty() { Self::default() } else { Self::read(&body)? })
    }

    /// Reads one JSON object.
    ///
    /// # Errors
    /// It is no JSON, no object, or names a member twice.
    pub fn read(body: &[u8]) -> Result<Self, Refusal> {
        json::Document::read(body)?;
        serde_json::from_slice(body)
            .map(|members| Self { members, ..Self::default() })
            .map_err(|_| Refusal::new(Code::InvalidValue, "The body must be a JSON object."))
    }

    /// Reads a posted form: texts, and whole numbers where `numbers` has the name. What was left
    /// empty was not sent.
    ///
    /// # Errors
    /// It names a member twice, or its encoding is broken.
    pub fn read_form(body: &[u8], numbers: &[&str]) -> Result<Self, Refusal> {
        let text = std::str::from_utf8(body)
            .map_err(|_| Refusal::new(Code::InvalidValue, "The form is not UTF-8."))?;
        let sent = Query::read(Some(text))?.parameters;
        let mut members = BTreeMap::new();
        for (name, value) in sent.into_iter().filter(|(_, value)| !value.is_empty()) {
            let is_number =
                numbers.contains(&name.as_str()) && value.bytes().all(|byte| byte.is_ascii_digit());
            let value = if is_number {
                // Without the zeros that JSON does not have.
                let digits = value.trim_start_matches('0');
                RawValue::from_string(if digits.is_empty() { "0" } else { digits }.to_owned())
            } else {
                serde_json::value::to_raw_value(&value)
            };
            let value = value.map_err(|_| invalid(&name, "a text or a number"))?;
            members.insert(name, value);
        }
        Ok(Self { members, ..Self::default() })
    }

    /// Whether the member was sent, `null` or not.
    pub fn has(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    /// Whether the member was sent, and says something.
    pub fn says(&self, name: &str) -> bool {
        self.members.get(name).is_some_and(|value| value.get() != "null")
    }

    /// What `read` reads, where the member was sent at all: `Some(None)` for `null`.
    pub fn sent<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Self, &str) -> Result<Option<T>, Refusal>,
    ) -> Result<Option<Option<T>>, Refusal> {
        let sent = self.has(name);
        let value = read(self, name)?;
        Ok(sent.then_some(value))
    }

    /// What `read` reads, where the member must be there.
    ///
    /// # Errors
    /// It is not, or not what is wanted.
    pub fn required<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Self, &str) -> Result<Option<T>, Refusal>,
    ) -> Result<T, Refusal> {
        read(self, name)?.ok_or_else(|| {
            let name = self.named(name);
            Refusal::new(Code::MissingParameter, format!("'{name}' is missing.")).about(name)
        })
    }

    /// The member's whole name.
    fn named(&self, name: &str) -> String {
        format!("{}{name}", self.path)
    }

    /// The value of `name` is not what it takes.
    pub fn invalid(&self, name: &str, wanted: &str) -> Refusal {
        invalid(&self.named(name), wanted)
    }

    /// The member's text in JSON; `null` counts as not sent.
    fn take(&mut self, name: &str) -> Option<Box<RawValue>> {
        self.known.push(self.named(name));
        self.members.remove(name).filter(|value| value.get() != "null")
    }

    /// The member as it was written, for somebody else to read.
    pub fn raw(&mut self, name: &str) -> Option<Box<RawValue>> {
        self.take(name)
    }

    fn typed<T: serde::de::DeserializeOwned>(
        &mut self,
        name: &str,
        wanted: &str,
    ) -> Result<Option<T>, Refusal> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let read = serde_json::from_str(value.get()).ok();
        let read = read.or_else(|| {
            let text = self.unquoted(name, &value)?;
            // No member may come twice in it, as in no body.
            json::Document::read(format!("{{\"{name}\":{text}}}").as_bytes()).ok()?;
            serde_json::from_str(&text).ok()
        });
        read.map(Some).ok_or_else(|| self.invalid(name, wanted))
    }

    /// What the query string says, where the member came from there.
    fn unquoted(&self, name: &str, value: &RawValue) -> Option<String> {
        serde_json::from_str(value.get()).ok().filter(|_| self.in_query.contains(name))
    }

    /// An object within the object.
    pub fn object(&mut self, name: &str) -> Result<Option<Self>, Refusal> {
        let path = format!("{}.", self.named(name));
        Ok(self.typed(name, "an object")?.map(|members| Self { members, path, ..Self::default() }))
    }

    /// A list of objects.
    pub fn objects(&mut self, name: &str) -> Result<Option<Vec<Self>>, Refusal> {
        let Some(list) = self.typed::<Vec<_>>(name, "a list of objects")? else { return Ok(None) };
        let place = self.named(name);
        let read =
            |(at, members)| Self { members, path: format!("{place}[{at}]."), ..Self::default() };
        Ok(Some(list.into_iter().enumerate().map(read).collect()))
    }

    /// A text for people: 1 to `chars_max` characters, none of them a control character.
    pub fn text(&mut self, name: &str, chars_max: usize) -> Result<Option<String>, Refusal> {
        let Some(text) = self.typed::<String>(name, "a text")? else { return Ok(None) };
        let unfit = |c: char| {
            c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        };
        if text.trim().is_empty() || text.chars().count() > chars_max || text.chars().any(unfit) {
            let wanted =
                format!("a text of 1 to {chars_max} characters without control characters");
            return Err(self.invalid(name, &wanted));
        }
        Ok(Some(text))
    }

    /// A label for people.
    pub fn label(&mut self, name: &str) -> Result<Option<String>, Refusal> {
        const CHARS_MAX: usize = 200;
        self.text(name, CHARS_MAX)
    }

    /// One of a few words.
    pub fn word<T: Copy>(&mut self, name: &str, words: &[(&str, T)]) -> Result<Option<T>, Refusal> {
        let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        let wanted = format!("one of {}", known.join(", "));
        let Some(text) = self.typed::<String>(name, &wanted)? else { return Ok(None) };
        let found = words.iter().find(|(word, _)| *word == text);
        found.map(|(_, value)| Some(*value)).ok_or_else(|| self.invalid(name, &wanted))
    }

    /// A secret that the client chose.
    pub fn secret(&mut self, name: &str) -> Result<Option<Secret>, Refusal> {
        Ok(self.typed::<String>(name, "a text")?.map(Secret::new))
    }

    /// True or false.
    pub fn boolean(&mut self, name: &str) -> Result<Option<bool>, Refusal> {
        self.typed(name, "true or false")
    }

    /// A whole number that is not negative.
    pub fn whole(&mut self, name: &str) -> Result<Option<i64>, Refusal> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let text = self.unquoted(name, &value).unwrap_or_else(|| value.get().to_owned());
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|_| digits);
        number.map(Some).ok_or_else(|| {
            self.invalid(name, "a whole number from 0 to 9223372036854775807, without quotes")
        })
    }

    /// A whole number from `least` to `most`.
    pub fn number<T: TryFrom<i64> + PartialOrd + std::fmt::Display>(
        &mut self,
        name: &str,
        least: T,
        most: T,
    ) -> Result<Option<T>, Refusal> {
        let wanted = format!("a whole number from {least} to {most}");
        let Some(number) = self.whole(name).map_err(|_| self.invalid(name, &wanted))? else {
            return Ok(None);
        };
        let number = T::try_from(number).ok().filter(|number| (least..=most).contains(number));
        number.map(Some).ok_or_else(|| self.invalid(name, &wanted))
    }

    /// Something with a text form that `read` understands.
    pub fn form<T>(
        &mut self,
        name: &str,
        wanted: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Refusal> {
        let Some(text) = self.typed::<String>(name, wanted)? else { return Ok(None) };
        read(&text).map(Some).ok_or_else(|| self.invalid(name, wanted))
    }

    /// Whether the member is an object.
    pub fn is_object(&self, name: &str) -> bool {
        self.members.get(name).is_some_and(|value| {
            let word = self.unquoted(name, value);
            word.as_deref().unwrap_or(value.get()).starts_with('{')
        })
    }

    /// A number as it is written, or a text with one: never through a float.
    pub fn decimal(&mut self, name: &str) -> Option<String> {
        let value = self.take(name)?;
        let quoted = serde_json::from_str::<String>(value.get());
        Some(quoted.unwrap_or_else(|_| value.get().to_owned()))
    }

    /// Dollars, as a JSON number or as a text with a decimal number.
    pub fn money(&mut self, name: &str) -> Result<Option<Money>, Refusal> {
        let Some(text) = self.decimal(name) else { return Ok(None) };
        match Money::parse_dollars(&text) {
            Ok(money) if money >= Money::ZERO => Ok(Some(money)),
            _ => Err(self
                .invalid(name, "an amount of dollars, not negative, with at most nine decimals")),
        }
    }

    /// Dollars per million tokens, in the same way.
    pub fn price(&mut self, name: &str) -> Result<Option<Price>, Refusal> {
        // What can be read can be shown as well.
        const MOST: Price = Price::from_picos(i64::MAX.unsigned_abs() / 1_000);
        let Some(text) = self.decimal(name) else { return Ok(None) };
        match Price::parse_dollars_per_million(&text) {
            Ok(price) if price <= MOST => Ok(Some(price)),
            _ => Err(self.invalid(
                name,
                "dollars per million tokens, not negative, with at most six decimals",
            )),
        }
    }

    /// A moment in RFC 3339, with its zone.
    pub fn moment(&mut self, name: &str) -> Result<Option<Timestamp>, Refusal> {
        let wanted = "a moment like 2027-12-31T23:59:59Z";
        let Some(text) = self.typed::<String>(name, wanted)? else { return Ok(None) };
        let moment: jiff::Timestamp = text.parse().map_err(|_| self.invalid(name, wanted))?;
        Ok(Some(Timestamp::from_micros(moment.as_microsecond())))
    }

    /// Names and texts that nothing here reads: at most 16, of 64 and 500 characters.
    pub fn notes(&mut self, name: &str) -> Result<Option<BTreeMap<String, String>>, Refusal> {
        const MOST: usize = 16;
        let wanted = "at most 16 names of 1 to 64 characters, each with a text of at most 500";
        let notes = self.typed::<BTreeMap<String, String>>(name, wanted)?;
        let fits = |text: &str, least: usize, most: usize| {
            (least..=most).contains(&text.chars().count()) && !text.chars().any(char::is_control)
        };
        let sound = notes.as_ref().is_none_or(|notes| {
            let fit = |(name, text): (&String, &String)| fits(name, 1, 64) && fits(text, 0, 500);
            notes.len() <= MOST && notes.iter().all(fit)
        });
        if sound { Ok(notes) } else { Err(self.invalid(name, wanted)) }
    }

    /// A list of texts, each of which `read` understands, or says what is wrong with.
    pub fn entries<T>(
        &mut self,
        name: &str,
        wanted: &str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<Vec<T>>, Refusal> {
        const MOST: usize = 500;
        let Some(texts) = self.texts(name, wanted)? else { return Ok(None) };
        let no = |place: String, message: String| {
            Err(Refusal::new(Code::InvalidRule, message).about(place))
        };
        if texts.len() > MOST {
            return no(self.named(name), format!("{name} has more than {MOST} entries."));
        }
        let mut entries = Vec::with_capacity(texts.len());
        for (at, text) in texts.iter().enumerate() {
            match read(text) {
                Ok(entry) => entries.push(entry),
                Err(why) => {
                    let place = format!("{}[{at}]", self.named(name));
                    let message = format!("{place}: {why}");
                    return no(place, message);
                }
            }
        }
        Ok(Some(entries))
    }

    fn texts(&mut self, name: &str, wanted: &str) -> Result<Option<Vec<String>>, Refusal> {
        let word = self.members.get(name).and_then(|value| self.unquoted(name, value));
        match word.filter(|word| !word.starts_with('[')) {
            None => self.typed(name, wanted),
            Some(word) => {
                self.members.remove(name);
                Ok(Some(word.split(',').map(str::to_owned).collect()))
            }
        }
    }

    /// Nothing may be left.
    ///
    /// # Errors
    /// A member that this route does not know.
    pub fn end(self) -> Result<(), Refusal> {
        let path = self.path;
        let names = self.members.into_keys().map(|name| format!("{path}{name}"));
        nothing_left(names, "parameter", self.known)
    }
}

/// Nothing may be left of what was sent.
pub(super) fn nothing_left(
    mut names: impl Iterator<Item = String>,
    what: &str,
    known: Vec<String>,
) -> Result<(), Refusal> {
    let Some(name) = names.next() else { return Ok(()) };
    let shown: String = name.chars().take(60).collect();
    let message = format!("'{shown}' is not a {what} of this route.");
    let refusal = Refusal::new(Code::UnknownParameter, message).about(shown);
    Err(Refusal { known, ..refusal })
}

/// A value that is not what the parameter takes.
pub fn invalid(name: &str, wanted: &str) -> Refusal {
    Refusal::new(Code::InvalidValue, format!("'{name}' must be {wanted}.")).about(name)
}
