"""That Weir charges what the provider reported, and no more is spent than a key allows, whichever
client spends it. The provider's log is believed, never Weir; prices are the published ones, written
down here a second time on purpose.
"""

import collections
import concurrent.futures
import decimal
import unittest

import anthropic
import openai

import gateway
from gateway import CHAT, CLAUDE, say, user

# Dollars per million tokens, read and written.
PRICES = {CHAT: ("0.15", "0.60"), CLAUDE: ("1", "5"), "claude-opus-5 fast": ("10", "50")}


def price(model, read, written):
    """What so many tokens cost, in dollars."""
    reading, writing = (decimal.Decimal(each) for each in PRICES[model])
    return (reading * read + writing * written) / 1_000_000


def reported(seen):
    """The tokens that the provider reported, read and written, by model."""
    tokens = collections.defaultdict(lambda: [0, 0])
    for call in seen:
        usage = call["usage_reported"]
        tokens[call["model"]][0] += usage.get("input_tokens", usage.get("prompt_tokens", 0))
        tokens[call["model"]][1] += usage.get("output_tokens", usage.get("completion_tokens", 0))
    return {model: tuple(both) for model, both in tokens.items()}


def dollars(amount):
    """An amount as Weir writes it, exactly."""
    return decimal.Decimal(str(amount))


class Money(unittest.TestCase):
    def test_usage_is_the_sum_of_what_the_provider_reported(self):
        key = gateway.new_key()
        client, claude = gateway.openai_client(key), gateway.anthropic_client(key)
        with gateway.provider_calls() as seen:
            chat = client.chat.completions
            chat.create(model=CHAT, messages=user("plain", output_tokens=11, prompt_tokens=101))
            list(chat.create(model=CHAT, messages=user("streamed", output_tokens=13, prompt_tokens=103), stream=True))
            list(
                chat.create(
                    model=CHAT,
                    messages=user("counted", output_tokens=17, prompt_tokens=107),
                    stream=True,
                    stream_options={"include_usage": True},
                )
            )
            client.responses.create(model=CHAT, input=say("response", output_tokens=19, prompt_tokens=109))
            list(
                client.responses.create(
                    model=CHAT, input=say("events", output_tokens=23, prompt_tokens=113), stream=True
                )
            )
            client.embeddings.create(model="text-embedding-3-small", input=["some text", "and more of it"])
            client.completions.create(
                model="gpt-3.5-turbo-instruct", prompt=say("legacy", output_tokens=29, prompt_tokens=127)
            )
            claude.messages.create(
                model=CLAUDE, max_tokens=64, messages=user("message", output_tokens=31, prompt_tokens=131)
            )
            with claude.messages.stream(
                model=CLAUDE, max_tokens=64, messages=user("stream", output_tokens=37, prompt_tokens=137)
            ) as stream:
                stream.until_done()
        expected = reported(seen)
        self.assertEqual(len(seen), 9)
        self.assertEqual(expected[CHAT], (101 + 103 + 107 + 109 + 113, 11 + 13 + 17 + 19 + 23))
        self.assertEqual(expected[CLAUDE], (131 + 137, 31 + 37))
        rows = gateway.calls(key, 9)
        models, totals = gateway.usage_by_model(key)
        told = {model: (row["input_tokens"], row["output_tokens"]) for model, row in models.items()}
        self.assertEqual(told, expected)
        self.assertEqual(totals["calls"], 9)
        for model in (CHAT, CLAUDE):
            self.assertEqual(dollars(models[model]["cost"]), price(model, *expected[model]), model)
        self.assertEqual(sum(dollars(row["cost"]) for row in rows), dollars(totals["cost"]))
        self.assertEqual([row["stream"] for row in rows], [True, False, False, False, True, False, True, True, False])

    def test_each_call_is_written_down_with_what_it_cost(self):
        key = gateway.new_key()
        raw = gateway.openai_client(key).chat.completions.with_raw_response.create(
            model=CHAT, messages=user("dear", output_tokens=500, prompt_tokens=1000)
        )
        (row,) = gateway.calls(key, 1)
        self.assertEqual(dollars(raw.headers["x-weir-cost-usd"]), price(CHAT, 1000, 500))
        self.assertEqual(dollars(row["cost"]), price(CHAT, 1000, 500))
        self.assertEqual((row["model"], row["provider"], row["status"]), (CHAT, "openai", 200))
        self.assertEqual((row["input_tokens"], row["output_tokens"]), (1000, 500))

    def test_what_was_read_from_the_cache_costs_less(self):
        key = gateway.new_key()
        raw = gateway.openai_client(key).chat.completions.with_raw_response.create(
            model=CHAT, messages=user("again", output_tokens=10, prompt_tokens=1000, cached_tokens=600)
        )
        self.assertEqual(raw.parse().usage.prompt_tokens_details.cached_tokens, 600)
        # 400 at the full price, 600 at half of it.
        self.assertEqual(dollars(raw.headers["x-weir-cost-usd"]), price(CHAT, 700, 10))

    def test_writing_to_anthropics_cache_costs_more_and_reading_less(self):
        raw = gateway.anthropic_client(gateway.new_key()).messages.with_raw_response.create(
            model=CLAUDE,
            max_tokens=64,
            messages=user("again", output_tokens=10, prompt_tokens=1000, cached_tokens=600, cache_write_tokens=300),
        )
        # 100 at the full price, 600 at a tenth of it, 300 at a quarter more.
        self.assertEqual(dollars(raw.headers["x-weir-cost-usd"]), price(CLAUDE, 100 + 60 + 375, 10))

    def test_an_answer_given_fast_is_charged_at_the_price_of_fast_ones(self):
        key = gateway.new_key()
        usage = {"input_tokens": 1000, "output_tokens": 100, "speed": "fast", "service_tier": "standard"}
        raw = gateway.anthropic_client(key).messages.with_raw_response.create(
            model="claude-opus-5", max_tokens=100, speed="fast", messages=user("quick", output_tokens=100, usage=usage)
        )
        self.assertEqual(dollars(raw.headers["x-weir-cost-usd"]), price("claude-opus-5 fast", 1000, 100))

    def test_a_key_with_a_limit_may_not_choose_what_multiplies_the_price(self):
        client = gateway.anthropic_client(gateway.new_key(limit=5))
        question = dict(model="claude-opus-5", max_tokens=100, messages=user("dear", output_tokens=2))
        for dear in ({"speed": "fast"}, {"inference_geo": "us"}, {"service_tier": "auto"}):
            with self.subTest(dear), gateway.provider_calls() as seen:
                with self.assertRaises(anthropic.PermissionDeniedError) as caught:
                    client.messages.create(**question, **dear)
                self.assertEqual(caught.exception.body["error"]["code"], "unbounded_feature_for_hard_limit")
            self.assertEqual(seen, [])
        self.assertEqual(client.messages.create(**question, speed="standard").content[0].text, "dear dear")

    def test_free_calls_are_free(self):
        key = gateway.new_key(limit=0.000001)
        client = gateway.openai_client(key)
        client.moderations.create(model="omni-moderation-latest", input="tea")
        gateway.anthropic_client(key).messages.count_tokens(model=CLAUDE, messages=user("count"))
        client.models.list()
        _, totals = gateway.usage_by_model(key)
        self.assertEqual(dollars(totals["cost"] or 0), 0)

    def test_a_limit_holds_against_many_clients_at_once(self):
        limit = decimal.Decimal("0.01")
        key = gateway.new_key(limit=float(limit))
        client = gateway.openai_client(key, max_retries=2)

        def call(number):
            question = user(f"call {number}", output_tokens=1000)
            try:
                if number % 2:
                    client.chat.completions.create(model=CHAT, messages=question, max_tokens=1000)
                else:
                    list(client.chat.completions.create(model=CHAT, messages=question, max_tokens=1000, stream=True))
            except openai.APIStatusError as error:
                return error.status_code
            return 200

        with gateway.provider_calls() as seen, concurrent.futures.ThreadPoolExecutor(8) as pool:
            statuses = collections.Counter(pool.map(call, range(40)))
        spent = sum(price(CHAT, *tokens) for tokens in [reported(seen)[CHAT]])
        self.assertEqual(set(statuses), {200, 402})
        self.assertEqual(len(seen), statuses[200], "what was refused never reached the provider")
        self.assertLessEqual(spent, limit)
        gateway.calls(key, statuses[200])
        _, totals = gateway.usage_by_model(key)
        self.assertEqual(dollars(totals["cost"]), spent)

    def test_a_limit_also_holds_against_anthropics_client(self):
        limit = decimal.Decimal("0.02")
        key = gateway.new_key(limit=float(limit))
        client = gateway.anthropic_client(key)
        with gateway.provider_calls() as seen, self.assertRaises(anthropic.PaymentRequiredError):
            for number in range(100):
                with client.messages.stream(
                    model=CLAUDE, max_tokens=500, messages=user(f"call {number}", output_tokens=500)
                ) as stream:
                    stream.until_done()
        self.assertGreater(len(seen), 3)
        self.assertLessEqual(price(CLAUDE, *reported(seen)[CLAUDE]), limit)

    def test_a_stream_the_client_leaves_is_charged_for_at_least_what_was_sent(self):
        key = gateway.new_key()
        client = gateway.openai_client(key)
        before = gateway.last_line()
        question = user("long story", chunks=50, output_tokens=50, chunk_gap_ms=50)
        with client.chat.completions.create(model=CHAT, messages=question, stream=True) as stream:
            for chunk in stream:
                if chunk.choices[0].delta.content == " story":
                    break
        client.close()
        (row,) = gateway.calls(key, 1)
        (call,) = gateway.ended_after(before, expected=1)
        self.assertGreater(call["output_tokens_sent"], 1)
        self.assertGreaterEqual(dollars(row["cost"]), price(CHAT, call["prompt_tokens"], call["output_tokens_sent"]))
