"""Makes one catalogue out of the two sources, and refuses nonsense. genai-prices is believed on
prices; LiteLLM adds limits, modes, dates, what the other does not price, and models it alone
knows. A price nobody published stays unknown: it never becomes zero.
"""

import fnmatch
import hashlib
import json
import re
from dataclasses import dataclass, field, replace
from fractions import Fraction

from names import (GENAI_PROVIDERS, alternatives, fits, is_pattern, litellm_place)
from rates import TOKENS, genai_offers, litellm_offers, shown, standard_at

DEAREST = 1000 * 10**6  # $1000 per million tokens, in pico-dollars per token
SUSPICIOUS = 3  # times
MODES = {
    "chat": "chat", "completion": "completion", "responses": "responses",
    "embedding": "embedding", "image_generation": "image", "image_edit": "image",
    "audio_speech": "speech", "audio_transcription": "transcription",
    "moderation": "moderation", "rerank": "rerank", "realtime": "realtime",
}
# For models only genai-prices knows, which does not say: the first that fits the name.
MODE_BY_NAME = (("embed", "embedding"), ("rerank", "rerank"), ("moderation", "moderation"),
                ("realtime", "realtime"), ("transcribe", "transcription"),
                ("whisper", "transcription"), ("tts", "speech"), ("image", "image"))
ANSWERS = ("chat", "completion", "responses")
SNAPSHOT = re.compile(r"-(\d{4}-\d\d-\d\d|\d{8})$")
# Groq bills a transcription as ten seconds at least.
LEAST_AUDIO_MILLIS = {"groq": 10_000}


@dataclass
class Entry:
    """One model while it is being put together."""

    provider: str
    name: str
    source: str
    offers: list
    mode: str = "chat"
    context: int | None = None
    most_output: int | None = None
    deprecated: str | None = None
    also: list = field(default_factory=list)
    match: list = field(default_factory=list)

    @property
    def label(self):
        return f"{self.provider}/{self.name}"

    def names(self):
        return {self.name.lower(), *self.also}

    def line(self):
        pairs = (("provider", self.provider), ("name", self.name), ("mode", self.mode),
                 ("context_tokens", self.context), ("max_output_tokens", self.most_output),
                 ("deprecated_on", self.deprecated), ("also", self.also),
                 ("match", self.match), ("source", self.source),
                 ("prices", shown(self.offers)))
        return {key: value for key, value in pairs if value not in (None, [])}


@dataclass
class Result:
    """The catalogue's text, what a person should know, and what stops the run."""

    text: str
    report: list
    refused: list


def build(genai, litellm, accepted, committed, pins):
    report, faults = [], []
    table = litellm_table(litellm)
    entries = []
    for provider in genai:
        slug = GENAI_PROVIDERS.get(provider["id"])
        if slug:
            own = [genai_entry(slug, model, report) for model in provider["models"]]
            own = [entry for entry in own if entry]
            listed = overruled(slug, own, table.pop(slug, {}), accepted)
            entries += join(slug, own, listed, pins, faults)
    for slug, listed in table.items():
        entries += join(slug, [], listed, pins, faults)
    entries = [entry for entry in entries if not dropped(entry, accepted)]
    for entry in entries:
        free(entry, accepted)
        least = LEAST_AUDIO_MILLIS.get(entry.provider)
        for _, rates in (step for offer in entry.offers for step in offer["ladder"]):
            if least and "audio_millis" in rates:
                rates["least_audio_millis"] = least
    entries.sort(key=lambda entry: (entry.provider, entry.name))
    faults += nonsense(entries) + changes(entries, committed, pins["as_of"])
    near = [fault for fault in faults if " apart " in fault]
    report += [f"believed genai-prices: {fault}" for fault in near]
    refused, used = judge([fault for fault in faults if fault not in near], accepted)
    kept = {entry.label for entry in entries}
    report += [f"accepted: {fault}" for fault in used]
    report += [f"unused in accepted.json: {pattern}" for pattern in accepted["keep"]
               if not any(fnmatch.fnmatchcase(fault, pattern) for fault in used)]
    report += counts(entries)
    doubled = len(entries) - len(kept)
    if doubled:
        refused.append(f"{doubled} names occur twice within a provider")
    return Result(text_of(entries, pins), report, refused)


def text_of(entries, pins):
    lines = [json.dumps(entry.line(), ensure_ascii=False, separators=(",", ":"))
             for entry in entries]
    body = "".join(line + "\n" for line in lines)
    head = {"catalogue": 1, "as_of": pins["as_of"],
            "version": hashlib.sha256(body.encode()).hexdigest()[:12],
            "sources": {"genai-prices": pins["genai-prices"], "litellm": pins["litellm"]},
            "models": len(lines)}
    return json.dumps(head, separators=(",", ":")) + "\n" + body


def genai_entry(provider, model, report):
    offers = genai_offers(model)
    if offers is None:
        report.append(f"left out, priced in a unit without a class: {provider}/{model['id']}")
        return None
    found = alternatives(model["match"])
    also = {one[0] for one in found if not is_pattern(one)} - {model["id"].lower()}
    match = sorted(one for one in found if is_pattern(one))
    return Entry(provider, model["id"], "genai-prices", offers, mode=guessed_mode(model, offers),
                 context=model.get("context_window"), also=sorted(also), match=match)


def guessed_mode(model, offers):
    for part, mode in MODE_BY_NAME:
        if part in model["id"].lower():
            return mode
    priced = {kind for offer in offers for _, rates in offer["ladder"] for kind in rates}
    return "embedding" if priced == {"input"} else "chat"


def litellm_table(litellm):
    """LiteLLM's entries by provider and name. Of two keys for one name the fuller one counts."""
    table = {}
    for key, entry in sorted(litellm.items(), key=lambda item: (-len(item[1]), item[0])):
        place = litellm_place(key, entry)
        if place and MODES.get(entry.get("mode")):
            table.setdefault(place[0], {}).setdefault(place[1], entry)
    return table


def overruled(provider, own, listed, accepted):
    """Takes the names out of genai-prices' entries on which a person believed LiteLLM."""
    for name in listed:
        if f"{provider}/{name}" not in accepted["litellm"]:
            continue
        for entry in own:
            entry.also = [other for other in entry.also if other != name.lower()]
        for entry in [entry for entry in own if entry.name.lower() == name.lower()]:
            own.remove(entry)
    return listed


def join(provider, own, listed, pins, faults):
    """The entries of one provider: genai-prices' `own`, completed and joined by LiteLLM's."""
    exact = {}
    for entry in own:
        for name in entry.names():
            exact.setdefault(name, entry)
    joined = {}
    extra = {}
    for name, told in sorted(listed.items()):
        known = exact.get(name.lower())
        if known:
            joined.setdefault(known.label, []).append((name, told))
            continue
        entry = litellm_entry(provider, name, told)
        snapshot = exact.get(SNAPSHOT.sub("", name.lower()))
        if snapshot and same_price(snapshot, entry):
            snapshot.also = sorted({*snapshot.also, name.lower()})
            continue
        pattern = next((one for one in own
                        if any(fits(found, name) for found in one.match)), None)
        if pattern and same_price(pattern, entry):
            joined.setdefault(pattern.label, []).append((name, told))
        elif entry and entry.offers and entry.name.lower() not in extra:
            extra[entry.name.lower()] = entry
            if pattern:
                faults += [fault for fault in apart(entry, pattern.offers, pins["as_of"])
                           if " apart " not in fault]
    for entry in own:
        complete(entry, joined.get(entry.label, []), pins["as_of"], faults)
    return own + list(extra.values())


def litellm_entry(provider, name, told):
    mode = MODES[told["mode"]]
    offers = litellm_offers(told, mode)
    # Zero is how LiteLLM writes that it does not know.
    if not any(price for offer in offers for _, rates in offer["ladder"]
               for price in rates.values()):
        offers = []
    if mode == "moderation" and provider == "openai":
        offers = [{"ladder": [(0, {"input": 0, "output": 0})]}]
    match = [[name.lower() + ":*"]] if name.startswith("ft:") else []
    entry = Entry(provider, name, "litellm", offers, mode=mode, match=match)
    limits(entry, [(name, told)])
    as_text(entry, [told])
    for offer in entry.offers:
        for _, rates in offer["ladder"]:
            # An embedding has no output; a zero there would only look like a free answer.
            if mode not in ANSWERS and rates.get("output") == 0 and mode != "moderation":
                del rates["output"]
            if rates.get("input") == 0 and mode in ("rerank", "speech", "transcription", "image"):
                del rates["input"]
            for kind in ("cache_write", "cache_write_hour", "cache_read", "image_output"):
                if rates.get(kind) == 0:
                    del rates[kind]
    return entry


def same_price(entry, other):
    """Whether `other` says nothing that some standard offer of `entry` does not say."""
    if not other.offers:
        return True
    told = other.offers[0]["ladder"][0][1]
    return any(all(offer["ladder"][0][1].get(kind) == told.get(kind)
                   for kind in ("input", "output", "characters", "audio_millis", "images"))
               for offer in entry.offers if "tier" not in offer)


def complete(entry, told, day, faults):
    """Adds to a genai-prices entry what LiteLLM knows beside it."""
    if told:
        named = [one for name, one in told if name.lower() == entry.name.lower()]
        entry.mode = MODES[(named[0] if named else told[0][1])["mode"]]
    limits(entry, told)
    current = standard_at(entry.offers, day)
    for name, one in told:
        offers = litellm_offers(one, entry.mode)
        if not offers or "tier" in offers[0]:
            continue
        if not entry.offers:
            entry.offers = litellm_entry(entry.provider, name, one).offers
            continue
        if name.lower() in entry.names():
            faults += apart(replace(entry, name=name), offers, day, "sources-differ")
        theirs = offers[0]["ladder"][0][1]
        if all(current.get(kind) == theirs.get(kind) for kind in ("input", "output")):
            fill(entry, offers)
    as_text(entry, [one for _, one in told])


def fill(entry, offers):
    """Classes and service tiers that only LiteLLM prices, where both agree on the rest."""
    steps = [rates for offer in offers if "tier" not in offer for _, rates in offer["ladder"]]
    for offer in entry.offers:
        if "tier" in offer:
            continue
        for _, rates in offer["ladder"]:
            agreeing = [one for one in steps
                        if all(rates.get(kind) == one.get(kind) for kind in ("input", "output"))]
            for kind in (*TOKENS, "tool_calls"):
                if agreeing and kind not in rates and agreeing[0].get(kind):
                    rates[kind] = agreeing[0][kind]
    known = {offer.get("tier") for offer in entry.offers}
    entry.offers += [offer for offer in offers if offer.get("tier") not in known]


def limits(entry, told):
    """Context, longest answer and retirement. Of several names for a model the largest counts:
    these are bounds."""
    def whole(one, key):
        text = str(one.get(key) or 0)
        return int(text) if text.isdigit() else 0

    contexts = [whole(one, "max_input_tokens") for _, one in told]
    answers = [whole(one, "max_output_tokens") for _, one in told]
    entry.context = entry.context or max(contexts, default=0) or None
    if entry.mode in ANSWERS:
        entry.most_output = max(answers, default=0) or None
    dates = [str(one["deprecation_date"]) for name, one in told
             if name.lower() == entry.name.lower() and one.get("deprecation_date")]
    entry.deprecated = next((date for date in dates if re.fullmatch(r"\d{4}-\d\d-\d\d", date)),
                            None)


def as_text(entry, told):
    """Gives pictures and sound of the prompt the text price where a model takes them and neither
    source prices them apart."""
    sees = hears = entry.provider in ("google", "vertex") and entry.name.startswith("gemini")
    for one in told:
        modalities = one.get("supported_modalities") or []
        sees = sees or one.get("supports_vision") or "image" in modalities
        hears = one.get("supports_audio_input") or "audio" in modalities or hears and not told
    apart_in = {key for one in told for key in one if key.startswith("input_cost_per_")}
    sees = sees and not any("image" in key for key in apart_in)
    hears = hears and not any("audio" in key for key in apart_in)
    separate = {kind for offer in entry.offers for _, rates in offer["ladder"] for kind in rates}
    wanted = [kind for kind, takes in (("image_input", sees), ("audio_input", hears))
              if takes and kind not in separate]
    # A model that makes or hears one thing and prices one kind of tokens means that thing.
    for mode, kind, others in (("image", "image_output", "images"),
                               ("speech", "audio_output", "characters"),
                               ("transcription", "audio_input", "audio_millis")):
        if entry.mode == mode and not separate & {kind, others} and kind not in wanted:
            wanted.append(kind)
    for offer in entry.offers:
        for _, rates in offer["ladder"]:
            for kind in wanted:
                text = "output" if kind.endswith("output") else "input"
                if rates.get(text):
                    rates[kind] = rates[text]


def free(entry, accepted):
    """A model is free because its name or a person says so, not because a price is missing."""
    if not entry.offers and (entry.name.endswith(":free") or entry.label in accepted["free"]):
        entry.offers = [{"ladder": [(0, {"input": 0, "output": 0})]}]


def dropped(entry, accepted):
    return any(fnmatch.fnmatchcase(entry.label, pattern) for pattern in accepted["drop"])


def apart(entry, offers, day, fault="own-price-differs"):
    ours, theirs = standard_at(entry.offers, day), standard_at(offers, day)
    pairs = [(kind, ours.get(kind), theirs.get(kind)) for kind in ("input", "output")]
    return [f"{entry.label} {fault if far(our, their) else 'apart'} {kind} {our} against {their}"
            for kind, our, their in pairs if our and their and our != their]


def far(one, other):
    if not one or not other:
        return False
    return max(Fraction(one, other), Fraction(other, one)) > SUSPICIOUS


def nonsense(entries):
    faults = []
    for entry in entries:
        for rates in (rates for offer in entry.offers for _, rates in offer["ladder"]):
            for kind, price in rates.items():
                if price < 0:
                    faults.append(f"{entry.label} negative {kind} {price}")
                if kind in TOKENS and price > DEAREST:
                    faults.append(f"{entry.label} too-dear {kind} {price}")
            if entry.mode in ANSWERS and rates.get("input") and rates.get("output") == 0:
                faults.append(f"{entry.label} output-free")
    return list(dict.fromkeys(faults))


def changes(entries, committed, day):
    before = {}
    for line in committed.splitlines()[1:]:
        model = json.loads(line)
        before[model["provider"], model["name"]] = read_back(model.get("prices", []))
    faults = []
    for entry in entries:
        old = standard_at(before.get((entry.provider, entry.name), []), day)
        new = standard_at(entry.offers, day)
        faults += [f"{entry.label} changed {kind} from {old[kind]} to {new[kind]}"
                   for kind in old if kind in new
                   and (far(old[kind], new[kind]) or (old[kind] and not new[kind]))]
    return faults


def read_back(prices):
    return [{**offer, "ladder": [(0, offer["rates"])]} for offer in prices]


def judge(faults, accepted):
    refused, used = [], []
    for fault in faults:
        known = any(fnmatch.fnmatchcase(fault, pattern) for pattern in accepted["keep"])
        (used if known else refused).append(fault)
    return refused, used


def counts(entries):
    totals = {}
    for entry in entries:
        total = totals.setdefault(entry.provider, [0, 0, 0])
        total[0] += 1
        total[1] += bool(entry.offers)
        total[2] += entry.most_output is not None
    return [f"{provider}: {models} models, {priced} priced, {bounded} with an output limit"
            for provider, (models, priced, bounded) in sorted(totals.items())]
