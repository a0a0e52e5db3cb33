"""What the price tool must never do: round a price down, make an unknown one zero, or let nonsense
through. Runs on made-up sources, without the wheels: `python3 -m unittest` in this folder.
"""

import json
import pathlib
import sys
import unittest
from decimal import Decimal

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import names  # noqa: E402
import normalise  # noqa: E402
import rates  # noqa: E402

PINS = {"genai-prices": "0", "litellm": "0", "as_of": "2026-11-21"}
NOTHING = {"free": {}, "keep": {}, "litellm": {}, "drop": {}}


def equals(name):
    return {"t": "ClauseEquals", "equals": name}


def genai(*models):
    return [{"id": "openai", "models": list(models)}]


def model(name, prices, **more):
    prices = [{"prices": prices}] if isinstance(prices, dict) else prices
    prices = [{**one, "prices": {key: Decimal(value) if isinstance(value, str) else value
                                 for key, value in one["prices"].items()}} for one in prices]
    return {"id": name, "match": equals(name), "prices": prices, **more}


def told(**more):
    table = {"litellm_provider": "openai", "mode": "chat", **more}
    return {key: Decimal(value) if key.find("cost") >= 0 else value
            for key, value in table.items()}


def build(sources, table=(), accepted=None, committed=""):
    return normalise.build(sources, dict(table), {**NOTHING, **(accepted or {})}, committed, PINS)


def lines(result):
    return {line["name"]: line for line in map(json.loads, result.text.splitlines()[1:])}


class Rounding(unittest.TestCase):
    def test_float_noise_is_put_right_and_the_rest_is_rounded_up(self):
        for amount, factor, picos in [
            ("2.5", rates.PER_MILLION, 2_500_000),
            ("0.18000000000000002", rates.PER_MILLION, 180_000),
            ("0.17999999999999999", rates.PER_MILLION, 180_000),
            ("0.000001", rates.PER_MILLION, 1),
            ("0.0000004", rates.PER_MILLION, 1),
            ("1.0000001", rates.PER_MILLION, 1_000_001),
            ("0", rates.PER_MILLION, 0),
            ("2.5e-06", rates.PER_UNIT, 2_500_000),
            ("2.9999999999999997e-06", rates.PER_UNIT, 3_000_000),
            ("0.36", rates.PER_HOUR, 100_000),
            ("0.111", rates.PER_HOUR, 30_834),
            ("10", rates.PER_THOUSAND, 10_000_000_000),
        ]:
            self.assertEqual(rates.picos(Decimal(amount), factor), picos, amount)


class Refusals(unittest.TestCase):
    def refused(self, prices, table=(), **more):
        return build(genai(model("m", prices)), table, **more).refused

    def test_nonsense_is_refused(self):
        for prices, fault in [
            ({"input_mtok": "-1", "output_mtok": "1"}, "openai/m negative input -1000000"),
            ({"input_mtok": "1", "output_mtok": "1001"}, "openai/m too-dear output 1001000000"),
            ({"input_mtok": "1", "output_mtok": "0"}, "openai/m output-free"),
        ]:
            self.assertEqual(self.refused(prices), [fault])
        self.assertEqual(self.refused({"input_mtok": "1", "output_mtok": "1000"}), [])

    def test_sources_far_apart_are_refused_unless_a_person_decided(self):
        prices = {"input_mtok": "1", "output_mtok": "3"}
        near = {"m": told(input_cost_per_token="3e-06", output_cost_per_token="1e-06")}
        far = {"m": told(input_cost_per_token="3.1e-06", output_cost_per_token="3e-06")}
        fault = "openai/m sources-differ input 1000000 against 3100000"
        self.assertEqual(self.refused(prices, near), [])
        self.assertEqual(self.refused(prices, far), [fault])
        keep = {"keep": {"openai/m sources-differ input *": "why"}}
        self.assertEqual(self.refused(prices, far, accepted=keep), [])
        believed = build(genai(model("m", prices)), far, {"litellm": {"openai/m": "why"}})
        self.assertEqual(believed.refused, [])
        self.assertEqual(lines(believed)["m"]["prices"][0]["rates"]["input"], 3_100_000)

    def test_a_jump_against_the_committed_catalogue_is_refused(self):
        before = build(genai(model("m", {"input_mtok": "1", "output_mtok": "3"}))).text
        after = {"input_mtok": "1", "output_mtok": "9.1"}
        self.assertEqual(self.refused(after, committed=before),
                         ["openai/m changed output from 3000000 to 9100000"])
        self.assertEqual(self.refused({"input_mtok": "3", "output_mtok": "9"}, committed=before),
                         [])

    def test_nothing_is_written_that_was_refused_twice_over(self):
        twins = build(genai(model("m", {"input_mtok": "1"}), model("m", {"input_mtok": "2"})))
        self.assertEqual(twins.refused, ["1 names occur twice within a provider"])


class Unknown(unittest.TestCase):
    def test_an_unknown_price_stays_unknown(self):
        zero = told(input_cost_per_token="0", output_cost_per_token="0")
        found = lines(build(genai(model("none", {})), {"none": zero, "zero": zero}))
        self.assertNotIn("prices", found["none"])
        self.assertNotIn("zero", found)

    def test_free_is_what_a_name_or_a_person_calls_so(self):
        free = {"rates": {"input": 0, "output": 0}}
        found = lines(build(genai(model("a:free", {}), model("b", {})),
                            accepted={"free": {"openai/b": "why"}}))
        self.assertEqual([found[name]["prices"] for name in ("a:free", "b")], [[free], [free]])


class Shape(unittest.TestCase):
    def test_a_tier_is_completed_from_the_standard_price(self):
        standard = {"input_mtok": {"t": "TieredPrices", "base": Decimal(1),
                                   "tiers": [{"start": 200, "price": Decimal(2)}]},
                    "output_mtok": "8"}
        variant = {"when": {"processing": "batch"}, "prices": {"output_mtok": Decimal(4)},
                   "constraint": {"t": "StartDateConstraint", "start_date": "2026-10-14"}}
        found = lines(build(genai(model("m", standard, price_variants=[variant]))))["m"]
        self.assertEqual(found["prices"], [
            {"rates": {"input": 1_000_000, "output": 8_000_000},
             "over": [{"input_tokens": 200,
                       "rates": {"input": 2_000_000, "output": 8_000_000}}]},
            {"tier": "batch", "from": "2026-10-14",
             "rates": {"input": 1_000_000, "output": 4_000_000},
             "over": [{"input_tokens": 200,
                       "rates": {"input": 2_000_000, "output": 4_000_000}}]},
        ])

    def test_a_tier_is_no_way_around_a_step(self):
        entry = told(input_cost_per_token="2e-06", input_cost_per_token_flex="1e-06",
                     input_cost_per_token_above_200k_tokens="4e-06",
                     input_cost_per_token_priority="5e-06")
        offers = rates.litellm_offers(entry, "chat")
        ladders = {offer.get("tier"): [(start, step["input"]) for start, step in offer["ladder"]]
                   for offer in offers}
        self.assertEqual(ladders, {None: [(0, 2_000_000), (200_000, 4_000_000)],
                                   "flex": [(0, 1_000_000), (200_000, 4_000_000)],
                                   "priority": [(0, 5_000_000)]})

    def test_the_first_line_names_the_content(self):
        one = build(genai(model("m", {"input_mtok": "1"}))).text.splitlines()[0]
        other = build(genai(model("m", {"input_mtok": "2"}))).text.splitlines()[0]
        self.assertNotEqual(json.loads(one)["version"], json.loads(other)["version"])

    def test_match_clauses_become_aliases_and_globs(self):
        for clause, found in [
            (equals("GPT-4o"), [["gpt-4o"]]),
            ({"t": "ClauseStartsWith", "starts_with": "a"}, [["a*"]]),
            ({"t": "ClauseContains", "contains": "a"}, [["*a*"]]),
            ({"t": "ClauseRegex", "regex": r"^a-1\.5[-@]\d{2}$"}, [["a-1.5-##"], ["a-1.5@##"]]),
            ({"t": "ClauseRegex", "regex": r"^a-\d"}, [["a-#*"]]),
            ({"t": "ClauseAnd", "and_": [equals("a"), {"t": "ClauseOr",
                                                       "or_": [equals("b"), equals("c")]}]},
             [["a", "b"], ["a", "c"]]),
        ]:
            self.assertEqual(names.alternatives(clause), found)
        for unknown in (r"a", r"^a+", r"^a|b"):
            with self.assertRaises(SystemExit):
                names.expression(unknown)
        self.assertTrue(names.fits(["gemini*", "!*-tts"], "Gemini-2"))
        self.assertFalse(names.fits(["gemini*", "!*-tts"], "gemini-2-tts"))


if __name__ == "__main__":
    unittest.main()
