"""Where a client finds Weir and how it shows its key: base URLs, environment, headers, request ids.
What is answered there is in the other files.
"""

import os
import unittest
import unittest.mock

import anthropic
import openai

import gateway
from gateway import CHAT, CLAUDE, WEIR, user


def said_by_openai(client, **options):
    """What one short chat completion says."""
    with client:
        answer = client.chat.completions.create(
            model=CHAT, messages=user("here I am", output_tokens=3), **options
        )
    return answer.choices[0].message.content


def said_by_anthropic(client):
    """What one short message says."""
    with client:
        answer = client.messages.create(model=CLAUDE, max_tokens=64, messages=user("here I am", output_tokens=3))
    return answer.content[0].text


class Addresses(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.key = gateway.new_key()

    def test_both_base_urls_serve_openais_client(self):
        for base in ("/v1", "/api/v1"):
            with self.subTest(base=base):
                self.assertEqual(said_by_openai(gateway.openai_client(self.key, base)), "here I am")

    def test_keys_of_config_json_serve_openais_client(self):
        by_hand = gateway.Key("", "lmb-yourKeyHere")
        for key in (by_hand, gateway.new_bridge_key("made by form")):
            self.assertEqual(said_by_openai(gateway.openai_client(key, "/api/v1")), "here I am")

    def test_both_base_urls_serve_anthropics_client(self):
        for base in ("", "/api"):
            with self.subTest(base=base):
                self.assertEqual(said_by_anthropic(gateway.anthropic_client(self.key, base)), "here I am")

    def test_the_environment_is_all_that_either_client_needs(self):
        ours = {
            "OPENAI_BASE_URL": WEIR + "/v1",
            "OPENAI_API_KEY": self.key.secret,
            "ANTHROPIC_BASE_URL": WEIR,
            "ANTHROPIC_API_KEY": self.key.secret,
        }
        with unittest.mock.patch.dict(os.environ, ours):
            self.assertEqual(said_by_openai(openai.OpenAI()), "here I am")
            self.assertEqual(said_by_anthropic(anthropic.Anthropic()), "here I am")

    def test_anthropics_client_may_show_the_key_as_a_bearer_token(self):
        client = anthropic.Anthropic(base_url=WEIR, api_key=None, auth_token=self.key.secret, max_retries=0)
        self.assertEqual(said_by_anthropic(client), "here I am")

    def test_openais_client_may_show_the_key_in_other_headers(self):
        for name in ("api-key", "x-api-key"):
            with self.subTest(header=name):
                headers = {"Authorization": openai.Omit(), name: self.key.secret}
                client = openai.OpenAI(base_url=WEIR + "/v1", api_key="not sent", max_retries=0)
                with gateway.provider_calls() as seen:
                    self.assertEqual(said_by_openai(client, extra_headers=headers), "here I am")
                self.assertEqual(seen[0]["credential"], "openai")

    def test_no_key_at_all_is_an_authentication_error(self):
        client = openai.OpenAI(base_url=WEIR + "/v1", api_key="not sent", max_retries=0)
        with self.assertRaises(openai.AuthenticationError) as caught:
            said_by_openai(client, extra_headers={"Authorization": openai.Omit()})
        self.assertEqual(caught.exception.code, "missing_api_key")

    def test_the_provider_never_sees_the_key(self):
        with gateway.provider_calls() as seen:
            said_by_openai(gateway.openai_client(self.key))
            said_by_anthropic(gateway.anthropic_client(self.key))
        self.assertEqual([call["credential"] for call in seen], ["openai", "anthropic"])
        for call in seen:
            self.assertNotIn(self.key.secret[-4:], [call["secret_seen"], *call["headers"].values()])
            self.assertNotIn(self.key.secret, call["body"])

    def test_openais_client_knows_the_id_of_its_request(self):
        client = gateway.openai_client(self.key)
        answer = client.chat.completions.create(model=CHAT, messages=user("id"))
        (row,) = gateway.calls_with_id(answer._request_id)
        self.assertEqual((row["model"], row["status"]), (CHAT, 200))

    def test_anthropics_client_knows_the_id_of_its_request(self):
        client = gateway.anthropic_client(self.key)
        answer = client.messages.create(model=CLAUDE, max_tokens=64, messages=user("id"))
        self.assertTrue(answer._request_id, "the client reads it from `request-id`")
        (row,) = gateway.calls_with_id(answer._request_id)
        self.assertEqual(row["model"], CLAUDE)

    def test_raw_answers_show_what_the_call_cost_and_its_id(self):
        key = gateway.new_key()
        raw = gateway.openai_client(key).chat.completions.with_raw_response.create(
            model=CHAT, messages=user("raw", output_tokens=100, prompt_tokens=1000)
        )
        self.assertEqual(raw.parse().usage.completion_tokens, 100)
        self.assertGreater(float(raw.headers["x-weir-cost-usd"]), 0)
        self.assertEqual(raw.headers["x-request-id"], raw.request_id)
        (row,) = gateway.calls(key, 1)
        self.assertEqual(float(row["cost"]), float(raw.headers["x-weir-cost-usd"]))
