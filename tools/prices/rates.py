"""Restates published prices as whole pico-dollars per unit: a *rates* is {class: pico-dollars}, a
*ladder* [(input tokens above which it applies, rates)], an *offer* a ladder with when and for
which service tier it holds. Which models exist and which price to believe is `normalise`'s.
"""

import re
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Decimal

TOKENS = ("input", "cache_read", "cache_write", "cache_write_hour", "output", "reasoning",
          "audio_input", "audio_output", "image_input", "image_output")
PER_MILLION = Decimal(10) ** 6
PER_THOUSAND = Decimal(10) ** 9
PER_UNIT = Decimal(10) ** 12
# A millisecond is the unit of audio; providers quote hours and seconds.
PER_HOUR = Decimal(10) ** 12 / 3_600_000
PER_SECOND = Decimal(10) ** 9

# Video is counted with images; where both are priced, the dearer of the two is kept. The same
# for the two kinds of search that are billed by the call.
GENAI_UNITS = {
    "input_mtok": ("input", PER_MILLION),
    "output_mtok": ("output", PER_MILLION),
    "cache_read_mtok": ("cache_read", PER_MILLION),
    "cache_write_mtok": ("cache_write", PER_MILLION),
    "cache_write_1h_mtok": ("cache_write_hour", PER_MILLION),
    "output_reasoning_mtok": ("reasoning", PER_MILLION),
    "input_audio_mtok": ("audio_input", PER_MILLION),
    "output_audio_mtok": ("audio_output", PER_MILLION),
    "input_image_mtok": ("image_input", PER_MILLION),
    "input_video_mtok": ("image_input", PER_MILLION),
    "output_image_mtok": ("image_output", PER_MILLION),
    "output_video_mtok": ("image_output", PER_MILLION),
    "input_mchars": ("characters", PER_MILLION),
    "web_searches_kcount": ("tool_calls", PER_THOUSAND),
    "storage_searches_kcount": ("tool_calls", PER_THOUSAND),
    "requests_kcount": ("per_request", PER_THOUSAND),
    "audio_hours": ("audio_millis", PER_HOUR),
    "input_audio_hours": ("audio_millis", PER_HOUR),
}
# No class of usage is that fine: cached audio and images are to be counted as uncached ones,
# citations as input. Their prices are never the dearer ones.
GENAI_IGNORED = {"t", "cache_audio_read_mtok", "cache_image_read_mtok", "output_citation_mtok"}

LITELLM_UNITS = {
    "input_cost_per_token": ("input", PER_UNIT),
    "output_cost_per_token": ("output", PER_UNIT),
    "cache_read_input_token_cost": ("cache_read", PER_UNIT),
    "cache_creation_input_token_cost": ("cache_write", PER_UNIT),
    "cache_creation_input_token_cost_above_1hr": ("cache_write_hour", PER_UNIT),
    "output_cost_per_reasoning_token": ("reasoning", PER_UNIT),
    "input_cost_per_audio_token": ("audio_input", PER_UNIT),
    "output_cost_per_audio_token": ("audio_output", PER_UNIT),
    "input_cost_per_image_token": ("image_input", PER_UNIT),
    "input_cost_per_video_token": ("image_input", PER_UNIT),
    "output_cost_per_image_token": ("image_output", PER_UNIT),
    "input_cost_per_query": ("per_request", PER_UNIT),
    "input_cost_per_request": ("per_request", PER_UNIT),
}
LITELLM_KEY = re.compile(
    "(" + "|".join(sorted(LITELLM_UNITS, key=len, reverse=True)) + ")"
    r"(?:_above_(\d+)k_tokens)?(?:_(batches|flex|priority|ultrafast))?")
LITELLM_TIERS = {"batches": "batch"}


def picos(amount, factor):
    """`amount` × `factor` as whole pico-dollars. What a binary float blurred is put right; what
    is truly finer is rounded up."""
    exact = amount * factor
    nearest = exact.to_integral_value(ROUND_HALF_EVEN)
    if abs(exact - nearest) <= abs(nearest) * Decimal("1e-9"):
        return int(nearest)
    return int(exact.to_integral_value(ROUND_CEILING))


def put(rates, kind, price):
    rates[kind] = max(price, rates[kind]) if kind in rates else price


def genai_ladder(prices):
    """The ladder of a genai-prices `ModelPrice`, or None where it prices what no class counts."""
    starts = {0}
    for price in prices.values():
        if isinstance(price, dict):
            starts.update(tier["start"] for tier in price["tiers"])
    ladder = []
    for start in sorted(starts):
        rates = {}
        for key, price in prices.items():
            if key in GENAI_IGNORED or price is None:
                continue
            if key not in GENAI_UNITS:
                return None
            if isinstance(price, dict):
                reached = [tier for tier in price["tiers"] if tier["start"] <= start]
                price = max(reached, key=lambda tier: tier["start"])["price"] if reached \
                    else price["base"]
            kind, factor = GENAI_UNITS[key]
            put(rates, kind, picos(price, factor))
        ladder.append((start, rates))
    return ladder


def genai_offers(model):
    """All offers of a genai-prices model; the last one that fits is the one that counts.
    A service tier's partial prices are completed from the standard ones they override."""
    prices = model["prices"]
    listed = prices if isinstance(prices, list) else [{"prices": prices}]
    offers = []
    for number, entry in enumerate(listed):
        # The first price is the one that holds when no other does.
        when = window(entry.get("constraint")) if number else {}
        ladder = genai_ladder(entry["prices"])
        if ladder is None:
            return None
        offers.append({**when, "ladder": ladder, "raw": entry["prices"]})
    tiers = []
    for variant in reversed(model.get("price_variants") or []):
        tier = tier_of(variant["when"])
        if tier is None or not set(variant["prices"]) - {"t"}:
            continue
        when = window(variant.get("constraint"))
        for offer in offers:
            since = max(offer.get("from", ""), when.get("from", ""))
            minutes = when.get("minutes") or offer.get("minutes")
            ladder = genai_ladder({**offer["raw"], **variant["prices"]})
            if ladder is None:
                return None
            tiers.append({"tier": tier, **({"from": since} if since else {}),
                          **({"minutes": minutes} if minutes else {}), "ladder": ladder})
    for offer in offers:
        del offer["raw"]
    return [offer for offer in offers + tiers if any(rates for _, rates in offer["ladder"])]


def tier_of(when):
    """The name a response gives the tier, or None where it is no service tier of ours."""
    if when == {"processing": "batch"}:
        return "batch"
    if set(when) in ({"service_tier"}, {"speed"}):
        return next(iter(when.values()))
    return None


def window(constraint):
    if constraint is None:
        return {}
    if constraint["t"] == "StartDateConstraint":
        return {"from": constraint["start_date"]}
    if constraint["t"] == "TimeOfDateConstraint":
        return {"minutes": [minute(constraint["start_time"]), minute(constraint["end_time"])]}
    raise SystemExit(f"unknown constraint {constraint}")


def minute(time):
    if time.get("tzinfo") != "datetime.UTC" or len(time["a"]) != 2:
        raise SystemExit(f"not a UTC minute: {time}")
    return time["a"][0] * 60 + time["a"][1]


def litellm_offers(entry, mode):
    """All offers of a LiteLLM entry: the standard one first, then its service tiers."""
    found = {}
    for key, price in entry.items():
        matched = LITELLM_KEY.fullmatch(key)
        if not matched or price is None:
            continue
        kind, factor = LITELLM_UNITS[matched[1]]
        tier = LITELLM_TIERS.get(matched[3], matched[3])
        start = int(matched[2] or 0) * 1000
        put(found.setdefault(tier, {}).setdefault(kind, {}), start, picos(price, factor))
    for step in entry.get("tiered_pricing") or []:
        for key, price in step.items():
            if key in LITELLM_UNITS:
                kind, factor = LITELLM_UNITS[key]
                start = int(step["range"][0])
                found.setdefault(None, {}).setdefault(kind, {})[start] = picos(price, factor)
    standard = found.setdefault(None, {})
    for kind, price in litellm_units(entry, mode).items():
        standard.setdefault(kind, {0: price})
    offers = []
    for tier in sorted(found, key=lambda tier: tier or ""):
        starts = sorted({0} | {start for kinds in (standard, found[tier])
                               for prices in kinds.values() for start in prices})
        ladder = []
        for start in starts:
            rates = rung(standard, found[tier], start)
            if not ladder or ladder[-1][1] != rates:
                ladder.append((start, rates))
        offers.append({**({"tier": tier} if tier else {}), "ladder": ladder})
    return [offer for offer in offers if any(rates for _, rates in offer["ladder"])]


def rung(standard, own, start):
    """The rates of a tier above `start`. Where the tier says nothing about a step the standard
    price takes, the dearer of the two counts: it may not be a way around the step."""
    rates = {}
    for kind in {**standard, **own}:
        at = {name: max((step for step in prices.get(kind, ()) if step <= start), default=None)
              for name, prices in (("standard", standard), ("own", own))}
        if at["own"] is None:
            if at["standard"] is not None:
                rates[kind] = standard[kind][at["standard"]]
            continue
        rates[kind] = own[kind][at["own"]]
        if at["standard"] is not None and at["standard"] > at["own"]:
            rates[kind] = max(rates[kind], standard[kind][at["standard"]])
    if rates.get("reasoning") == rates.get("output"):
        rates.pop("reasoning", None)
    return rates


def litellm_units(entry, mode):
    """What LiteLLM prices by something else than tokens, where a class counts it."""
    rates = {}
    if mode == "image" and "output_cost_per_image_token" not in entry:
        if entry.get("output_cost_per_image"):
            rates["images"] = picos(entry["output_cost_per_image"], PER_UNIT)
    if mode == "transcription" and entry.get("input_cost_per_second"):
        rates["audio_millis"] = picos(entry["input_cost_per_second"], PER_SECOND)
    if mode == "speech" and entry.get("input_cost_per_character"):
        rates["characters"] = picos(entry["input_cost_per_character"], PER_UNIT)
    search = entry.get("search_context_cost_per_query")
    if search:
        price = picos(max(search.values()), PER_UNIT)
        # Perplexity bills its search with every call, the others call it a tool.
        kind = "per_request" if entry.get("litellm_provider") == "perplexity" else "tool_calls"
        rates[kind] = price
    return rates


def standard_at(offers, day):
    """The base rates that hold at noon UTC of `day` without a service tier."""
    for offer in reversed(offers):
        lower, upper = offer.get("minutes", (0, 1440))
        inside = lower <= 720 < upper if lower <= upper else 720 >= lower or 720 < upper
        if "tier" not in offer and offer.get("from", "") <= day and inside:
            return offer["ladder"][0][1]
    return {}


def shown(offers):
    """Offers as the catalogue's lines hold them."""
    lines = []
    for offer in offers:
        ladder = offer["ladder"]
        line = {key: offer[key] for key in ("tier", "from", "minutes") if key in offer}
        line["rates"] = ordered(ladder[0][1])
        over = [{"input_tokens": start, "rates": ordered(rates)} for start, rates in ladder[1:]]
        lines.append({**line, "over": over} if over else line)
    return lines


def ordered(rates):
    order = TOKENS + ("images", "audio_millis", "characters", "tool_calls", "per_request",
                      "least_audio_millis")
    return {kind: rates[kind] for kind in order if kind in rates}
