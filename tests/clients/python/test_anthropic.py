"""Anthropic's Python client: messages, streams, tools, token counts, caching. How refusals look to it
is in `test_refusals.py`, what calls cost in `test_money.py`.
"""

import asyncio
import json
import unittest

import anthropic

import gateway
from gateway import CLAUDE, user

WEATHER = {
    "name": "weather",
    "description": "The weather in a city",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city", "days"],
    },
}
CLOCK = {"name": "clock", "input_schema": {"type": "object", "properties": {"zone": {"type": "string"}}}}


class Messages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.client = gateway.anthropic_client(gateway.new_key())

    def test_an_answer_is_what_the_provider_said(self):
        answer = self.client.messages.create(
            model=CLAUDE, max_tokens=64, messages=user("alpha beta gamma", output_tokens=4, prompt_tokens=21)
        )
        self.assertEqual([block.text for block in answer.content], ["alpha beta gamma alpha"])
        self.assertEqual((answer.role, answer.stop_reason, answer.model), ("assistant", "end_turn", CLAUDE))
        self.assertEqual((answer.usage.input_tokens, answer.usage.output_tokens), (21, 4))

    def test_the_maximum_of_the_caller_ends_an_answer(self):
        answer = self.client.messages.create(
            model=CLAUDE, max_tokens=2, messages=user("one two three four", output_tokens=4)
        )
        self.assertEqual((answer.content[0].text, answer.stop_reason), ("one two", "max_tokens"))

    def test_the_stream_helper_gathers_the_text_and_the_whole_message(self):
        with self.client.messages.stream(
            model=CLAUDE, max_tokens=64, messages=user("alpha beta", output_tokens=3, prompt_tokens=21)
        ) as stream:
            said = list(stream.text_stream)
            whole = stream.get_final_message()
        self.assertEqual(said, ["alpha", " beta", " alpha"])
        self.assertEqual(whole.content[0].text, "alpha beta alpha")
        self.assertEqual((whole.usage.input_tokens, whole.usage.output_tokens), (21, 3))
        self.assertEqual(whole.stop_reason, "end_turn")

    def test_the_events_of_a_stream_come_in_order(self):
        stream = self.client.messages.create(
            model=CLAUDE, max_tokens=64, messages=user("alpha beta", output_tokens=2), stream=True
        )
        self.assertEqual(
            [event.type for event in stream if event.type != "ping"],
            [
                "message_start",
                "content_block_start",
                "content_block_delta",
                "content_block_delta",
                "content_block_stop",
                "message_delta",
                "message_stop",
            ],
        )

    def test_a_stream_is_passed_on_as_it_comes_and_not_at_its_end(self):
        before = gateway.last_line()
        with self.client.messages.stream(
            model=CLAUDE, max_tokens=64, messages=user("early late", chunks=2, output_tokens=2, chunk_gap_ms=600)
        ) as stream:
            self.assertEqual(next(iter(stream.text_stream)), "early")
            self.assertEqual(gateway.ended_after(before), [], "the provider is still speaking")
            self.assertEqual(stream.get_final_text(), "early late")
        self.assertEqual(len(gateway.ended_after(before)), 1)

    def test_an_error_in_the_middle_of_a_stream_is_raised(self):
        with self.assertRaises(anthropic.APIStatusError) as caught:
            with self.client.messages.stream(
                model=CLAUDE, max_tokens=64, messages=user("half of this", output_tokens=8, error_midstream=True)
            ) as stream:
                stream.get_final_message()
        self.assertEqual(caught.exception.body["type"], "error")

    def test_tools_are_called_with_input_that_fits_their_schemas(self):
        answer = self.client.messages.create(
            model=CLAUDE, max_tokens=64, messages=user("Oslo now", output_tokens=8, tool_calls=2), tools=[WEATHER, CLOCK]
        )
        self.assertEqual(answer.stop_reason, "tool_use")
        self.assertEqual([(block.type, block.name) for block in answer.content], [("tool_use", "weather"), ("tool_use", "clock")])
        self.assertEqual(answer.content[0].input["days"], 7)
        self.assertEqual(set(answer.content[1].input), {"zone"})

    def test_the_input_of_a_tool_is_streamed_in_pieces(self):
        with self.client.messages.stream(
            model=CLAUDE, max_tokens=64, messages=user("Oslo", output_tokens=9, chunks=6), tools=[WEATHER]
        ) as stream:
            pieces = [event.partial_json for event in stream if event.type == "input_json"]
            (block,) = stream.get_final_message().content
        self.assertGreater(len(pieces), 2)
        self.assertEqual(json.loads("".join(pieces)), block.input)
        self.assertEqual(set(block.input), {"city", "days"})

    def test_the_result_of_a_tool_is_answered_in_words(self):
        question = user("Oslo please", output_tokens=2)
        asked = self.client.messages.create(model=CLAUDE, max_tokens=64, messages=question, tools=[WEATHER])
        result = {"type": "tool_result", "tool_use_id": asked.content[0].id, "content": "rain"}
        answer = self.client.messages.create(
            model=CLAUDE,
            max_tokens=64,
            tools=[WEATHER],
            messages=[
                *question,
                {"role": "assistant", "content": [block.model_dump() for block in asked.content]},
                {"role": "user", "content": [result]},
            ],
        )
        self.assertEqual((answer.stop_reason, answer.content[0].type), ("end_turn", "text"))

    def test_tokens_are_counted_before_anything_is_said(self):
        with gateway.provider_calls() as seen:
            counted = self.client.messages.count_tokens(model=CLAUDE, messages=user("how many", prompt_tokens=77))
        self.assertEqual(counted.input_tokens, 77)
        self.assertEqual([call["path"] for call in seen], ["/v1/messages/count_tokens"])

    def test_what_is_marked_for_the_cache_gets_there_and_is_reported(self):
        system = [
            {"type": "text", "text": "A long introduction.", "cache_control": {"type": "ephemeral"}},
            {"type": "text", "text": "And the rest."},
        ]
        script = dict(output_tokens=2, prompt_tokens=1000, cached_tokens=600, cache_write_tokens=300)
        with gateway.provider_calls() as seen:
            answer = self.client.messages.create(
                model=CLAUDE, max_tokens=64, system=system, messages=user("well", **script)
            )
        self.assertEqual(json.loads(seen[0]["body"])["system"], system)
        self.assertEqual(answer.usage.input_tokens, 100)
        self.assertEqual(answer.usage.cache_read_input_tokens, 600)
        self.assertEqual(answer.usage.cache_creation_input_tokens, 300)

    def test_the_body_and_the_versions_a_provider_gets_are_what_the_client_sent(self):
        messages = user("as it was", output_tokens=2)
        with gateway.provider_calls() as seen:
            raw = self.client.messages.with_raw_response.create(
                model=CLAUDE,
                max_tokens=64,
                messages=messages,
                extra_body={"temperature": 0.25},
                metadata={"user_id": "u1"},
                stop_sequences=["END"],
                extra_headers={"anthropic-beta": "context-1m-2025-08-07"},
            )
        self.assertEqual(
            json.loads(seen[0]["body"]),
            {
                "model": CLAUDE, "max_tokens": 64, "messages": messages, "temperature": 0.25,
                "metadata": {"user_id": "u1"}, "stop_sequences": ["END"],
            },
        )
        self.assertEqual(seen[0]["headers"]["anthropic-version"], raw.http_request.headers["anthropic-version"])
        self.assertEqual(seen[0]["headers"]["anthropic-beta"], "context-1m-2025-08-07")

    def test_the_models_are_listed(self):
        self.assertIn(CLAUDE, [model.id for model in self.client.models.list()])

    def test_the_asynchronous_client_streams_the_same(self):
        key = gateway.new_key()

        async def text():
            async with anthropic.AsyncAnthropic(base_url=gateway.WEIR, api_key=key.secret, max_retries=0) as client:
                async with client.messages.stream(
                    model=CLAUDE, max_tokens=64, messages=user("alpha beta", output_tokens=3)
                ) as stream:
                    return "".join([piece async for piece in stream.text_stream])

        self.assertEqual(asyncio.run(text()), "alpha beta alpha")
