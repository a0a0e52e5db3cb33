"""That both Python clients wait where waiting helps, and do not where it does not: their automatic
repeats must neither hammer a key that is spent nor give up on one that is free again in a moment.
"""

import time
import unittest

import anthropic
import openai

import gateway
from gateway import CHAT, CLAUDE, user

# One request every two seconds.
SLOW = [{"unit": "requests", "amount": 1, "window": {"kind": "rolling", "seconds": 2}}]


class Sent:
    """Counts what a client sends, repeats and all."""

    def __init__(self):
        self.count = 0

    def hooks(self):
        """For a client of httpx, which both clients are built on."""
        return {"request": [self._one_more]}

    def _one_more(self, _):
        self.count += 1


class Openai:
    """OpenAI's client, that counts what it sends."""

    failure, too_many, no_money = openai.APIStatusError, openai.RateLimitError, openai.APIStatusError

    def __init__(self, key, retries):
        self.sent = Sent()
        http = openai.DefaultHttpxClient(event_hooks=self.sent.hooks())
        self.client = gateway.openai_client(key, max_retries=retries, http_client=http)

    def ask(self, max_tokens=8, **script):
        """One call, as it came."""
        return self.client.chat.completions.with_raw_response.create(
            model=CHAT, max_tokens=max_tokens, messages=user("hello", **script)
        )


class Anthropic:
    """Anthropic's client, that counts what it sends."""

    failure, too_many, no_money = (
        anthropic.APIStatusError,
        anthropic.RateLimitError,
        anthropic.PaymentRequiredError,
    )

    def __init__(self, key, retries):
        self.sent = Sent()
        http = anthropic.DefaultHttpxClient(event_hooks=self.sent.hooks())
        self.client = gateway.anthropic_client(key, max_retries=retries, http_client=http)

    def ask(self, max_tokens=8, **script):
        """One call, as it came."""
        return self.client.messages.with_raw_response.create(
            model=CLAUDE, max_tokens=max_tokens, messages=user("hello", **script)
        )


class Repeats(unittest.TestCase):
    def each(self, key_with, retries):
        """Both clients, each with a key of its own."""
        for client in (Openai, Anthropic):
            key = gateway.new_key(**key_with)
            yield key, client(key, retries)

    def test_a_rate_is_waited_for_as_long_as_it_takes_and_no_longer(self):
        for key, client in self.each({"limits": SLOW}, retries=2):
            client.ask()
            begun = time.monotonic()
            again = client.ask()
            waited = time.monotonic() - begun
            self.assertEqual((again.http_response.status_code, again.retries_taken), (200, 1))
            self.assertEqual(client.sent.count, 3)
            self.assertTrue(1 < waited < 4, waited)
            self.assertEqual(len(gateway.calls(key, 2)), 2)

    def test_who_may_not_wait_is_told_how_long_it_would_take(self):
        for _, client in self.each({"limits": SLOW}, retries=0):
            client.ask()
            with self.assertRaises(client.too_many) as caught:
                client.ask()
            headers = caught.exception.response.headers
            self.assertEqual((caught.exception.status_code, headers.get("x-should-retry")), (429, None))
            self.assertTrue(1 <= int(headers["retry-after"]) <= 2, headers)
            self.assertTrue(0 < int(headers["retry-after-ms"]) <= 2000, headers)

    def until_refused(self, key, client, expected):
        """Spends all that `key` has; the refusal in the end is sent once, and leaves no row."""
        with self.assertRaises(client.failure) as caught:
            for _ in range(50):
                sent = client.sent.count
                client.ask(max_tokens=400, output_tokens=400)
        self.assertIs(type(caught.exception), expected)
        self.assertEqual(caught.exception.response.headers["x-should-retry"], "false")
        self.assertGreater(sent, 0)
        self.assertEqual(client.sent.count - sent, 1)
        self.assertEqual(len(gateway.calls(key, sent)), sent)
        return caught.exception.response

    def test_money_that_is_spent_is_asked_for_once(self):
        for key, client in self.each({"limit": 0.006}, retries=5):
            refusal = self.until_refused(key, client, client.no_money)
            self.assertEqual(refusal.status_code, 402)

    def test_tokens_that_come_back_tomorrow_are_asked_for_once(self):
        for key, client in self.each({"daily_token_limit": 2000}, retries=5):
            refusal = self.until_refused(key, client, client.too_many)
            self.assertEqual(refusal.status_code, 429)
            self.assertIn("rate_limit_exceeded", refusal.text)
