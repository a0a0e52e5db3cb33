"""What a refusal or a failure looks like to both Python clients: which exception, which code, and
whether the client tries again. Exceptions decide what an application does next, so each test names
the exact class. The sentences themselves are not looked at.
"""

import unittest

import anthropic
import openai

import gateway
from gateway import CHAT, CLAUDE, user

WRONG = gateway.Key("key_none", "lr_live_0000000000000000000000000000000000000000000")


def ask_openai(key, messages=None, model=CHAT, **options):
    """One chat completion."""
    with gateway.openai_client(key, **options) as client:
        return client.chat.completions.create(model=model, messages=messages or user("hello"))


def ask_anthropic(key, messages=None, model=CLAUDE, **options):
    """One message."""
    with gateway.anthropic_client(key, **options) as client:
        return client.messages.create(model=model, max_tokens=64, messages=messages or user("hello"))


class OpenAIRefusals(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.key = gateway.new_key()

    def refused(self, expected, *arguments, reaching_provider=0, **options):
        """The exception of exactly the class `expected`, and how often the provider was called."""
        with gateway.provider_calls() as seen, self.assertRaises(openai.APIStatusError) as caught:
            ask_openai(*arguments, **options)
        self.assertIs(type(caught.exception), expected)
        self.assertEqual(len(seen), reaching_provider)
        self.assertTrue(caught.exception.request_id)
        return caught.exception

    def test_a_wrong_key_is_an_authentication_error(self):
        error = self.refused(openai.AuthenticationError, WRONG)
        self.assertEqual((error.status_code, error.code), (401, "invalid_api_key"))

    def test_a_disabled_key_is_an_authentication_error(self):
        key = gateway.new_key()
        gateway.change_key(key, disabled=True)
        error = self.refused(openai.AuthenticationError, key)
        self.assertEqual((error.status_code, error.code), (401, "key_disabled"))

    def test_an_unknown_model_is_not_found(self):
        error = self.refused(openai.NotFoundError, self.key, model="no-such-model")
        self.assertEqual((error.code, error.type, error.param), ("model_not_found", "invalid_request_error", "model"))

    def test_a_model_the_key_may_not_use_is_a_denied_permission(self):
        error = self.refused(openai.PermissionDeniedError, gateway.new_key(allowed_models=[CHAT]), model="gpt-4o")
        self.assertEqual(error.code, "model_not_allowed")
        self.assertEqual(ask_openai(gateway.new_key(allowed_models=[CHAT])).model, CHAT)

    def test_a_provider_the_key_may_not_use_is_a_denied_permission(self):
        error = self.refused(openai.PermissionDeniedError, gateway.new_key(allowed_providers=["anthropic"]))
        self.assertEqual(error.code, "provider_not_allowed")

    def test_a_management_key_may_not_call_models(self):
        error = self.refused(openai.PermissionDeniedError, gateway.new_key(key_type="management"))
        self.assertEqual(error.code, "wrong_key_type")

    def test_a_request_that_makes_no_sense_is_a_bad_request(self):
        with gateway.provider_calls() as seen, self.assertRaises(openai.BadRequestError) as caught:
            gateway.openai_client(self.key).chat.completions.create(model=CHAT, messages=user("hi"), n=-1)
        self.assertEqual((caught.exception.code, caught.exception.param), ("invalid_value", "n"))
        self.assertEqual(seen, [])

    def test_what_the_provider_finds_wrong_with_a_request_is_a_bad_request_too(self):
        body = {"error": {"message": "no", "type": "invalid_request_error", "param": "messages", "code": "odd"}}
        error = self.refused(
            openai.BadRequestError, self.key, user("x", status=400, error_body=body), reaching_provider=1
        )
        self.assertEqual((error.code, error.param), ("odd", "messages"))

    def test_a_spent_limit_is_a_402_that_the_client_does_not_repeat(self):
        error = self.refused(openai.APIStatusError, gateway.new_key(limit=0.000001), max_retries=5)
        self.assertEqual((error.status_code, error.code), (402, "insufficient_quota"))
        self.assertEqual(error.response.headers["x-should-retry"], "false")
        self.assertEqual(error.response.request.headers["x-stainless-retry-count"], "0")

    def test_the_providers_rate_limit_is_repeated_and_then_a_rate_limit_error(self):
        error = self.refused(
            openai.RateLimitError, self.key, user("x", status=429), max_retries=2, reaching_provider=3
        )
        self.assertEqual((error.status_code, error.code), (429, "upstream_rate_limited"))

    def test_how_long_the_provider_wants_us_to_wait_is_passed_on(self):
        error = self.refused(
            openai.RateLimitError, self.key, user("x", status=429, retry_after="7"), reaching_provider=1
        )
        self.assertEqual(error.response.headers["retry-after"], "7")

    def test_a_failure_of_the_provider_is_repeated_and_then_a_server_error(self):
        error = self.refused(
            openai.InternalServerError, self.key, user("x", status=500), max_retries=1, reaching_provider=2
        )
        self.assertEqual((error.status_code, error.code), (502, "upstream_failed"))

    def test_a_provider_that_refuses_our_credential_does_not_look_like_a_wrong_key(self):
        key = gateway.new_key(gateway.REJECTED)
        for attempt in ("first", "while the credential rests"):
            with self.subTest(attempt):
                with self.assertRaises(openai.InternalServerError) as caught:
                    ask_openai(key, weir=gateway.REJECTED, max_retries=2)
                error = caught.exception
                self.assertEqual((error.status_code, error.code), (502, "upstream_credential_rejected"))
                repeated = error.response.request.headers["x-stainless-retry-count"]
                self.assertEqual(repeated, "0", "repeating cannot help until somebody changes the credential")

    def test_what_a_provider_denies_to_one_request_it_still_gives_to_the_next(self):
        # Providers answer 403 for a model or a feature that an account does not have, too.
        key = gateway.new_key(gateway.SPARE)
        with self.assertRaises(openai.APIStatusError):
            ask_openai(key, user("x", status=403), weir=gateway.SPARE)
        self.assertEqual(ask_openai(key, weir=gateway.SPARE).model, CHAT)

    def test_a_page_instead_of_an_answer_is_a_server_error(self):
        error = self.refused(openai.InternalServerError, self.key, user("x", garbage="html"), reaching_provider=1)
        self.assertEqual((error.status_code, error.code), (502, "upstream_invalid_response"))

    def test_a_url_that_does_not_exist_is_not_found(self):
        with self.assertRaises(openai.NotFoundError) as caught:
            gateway.openai_client(self.key).post("/no/such/thing", body={}, cast_to=object)
        self.assertEqual(caught.exception.code, "unknown_url")


class AnthropicRefusals(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.key = gateway.new_key()

    def refused(self, expected, status, kind, code, *arguments, reaching_provider=0, **options):
        """Checks that the exception is exactly of that class and says exactly that."""
        with gateway.provider_calls() as seen, self.assertRaises(anthropic.APIStatusError) as caught:
            ask_anthropic(*arguments, **options)
        error = caught.exception
        self.assertIs(type(error), expected)
        said = error.body["error"]
        self.assertEqual((error.status_code, said["type"], said["code"]), (status, kind, code))
        self.assertEqual(len(seen), reaching_provider)
        return error

    def test_a_wrong_key_is_an_authentication_error(self):
        self.refused(anthropic.AuthenticationError, 401, "authentication_error", "invalid_api_key", WRONG)

    def test_an_unknown_model_is_not_found(self):
        self.refused(
            anthropic.NotFoundError, 404, "not_found_error", "model_not_found", self.key, model="no-such-model"
        )

    def test_a_model_the_key_may_not_use_is_a_denied_permission(self):
        key = gateway.new_key(denied_models=[CLAUDE])
        self.refused(anthropic.PermissionDeniedError, 403, "permission_error", "model_not_allowed", key)

    def test_a_spent_limit_is_a_402_that_the_client_does_not_repeat(self):
        error = self.refused(
            anthropic.PaymentRequiredError,
            402,
            "billing_error",
            "insufficient_quota",
            gateway.new_key(limit=0.000001),
            max_retries=5,
        )
        self.assertEqual(error.response.request.headers["x-stainless-retry-count"], "0")

    def test_the_providers_rate_limit_is_repeated_and_then_a_rate_limit_error(self):
        self.refused(
            anthropic.RateLimitError,
            429,
            "rate_limit_error",
            "upstream_rate_limited",
            self.key,
            user("x", status=429),
            max_retries=2,
            reaching_provider=3,
        )

    def test_a_failure_of_the_provider_is_a_server_error(self):
        self.refused(
            anthropic.InternalServerError, 502, "api_error", "upstream_failed", self.key, user("x", status=500),
            reaching_provider=1,
        )

    def test_a_provider_that_refuses_our_credential_does_not_look_like_a_wrong_key(self):
        with self.assertRaises(anthropic.InternalServerError) as caught:
            ask_anthropic(gateway.new_key(gateway.REJECTED), weir=gateway.REJECTED)
        self.assertEqual(caught.exception.status_code, 502)
        self.assertEqual(caught.exception.body["error"]["code"], "upstream_credential_rejected")

    def test_a_refusal_carries_the_id_of_its_request(self):
        with self.assertRaises(anthropic.AuthenticationError) as caught:
            ask_anthropic(WRONG)
        self.assertTrue(caught.exception.request_id, "the client reads it from `request-id`")
