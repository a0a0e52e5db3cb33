"""Chat completions with OpenAI's Python client: text, streams, tools, structured output, and the
legacy completions. What they cost is in `test_money.py`.
"""

import asyncio
import json
import unittest

import openai
import pydantic

import gateway
from gateway import CHAT, say, user

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city", "days"],
        },
    },
}
CLOCK = {
    "type": "function",
    "function": {
        "name": "clock",
        "parameters": {"type": "object", "properties": {"zone": {"type": "string"}}},
    },
}


class Forecast(pydantic.BaseModel):
    """What a structured answer has to look like."""

    city: str
    days: int
    rain: bool


class Chat(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.client = gateway.openai_client(gateway.new_key())

    def test_an_answer_is_what_the_provider_said(self):
        answer = self.client.chat.completions.create(
            model=CHAT, messages=user("alpha beta gamma", output_tokens=4, prompt_tokens=21)
        )
        self.assertEqual(answer.choices[0].message.content, "alpha beta gamma alpha")
        self.assertEqual(answer.choices[0].finish_reason, "stop")
        self.assertEqual(answer.model, CHAT)
        self.assertEqual((answer.usage.prompt_tokens, answer.usage.completion_tokens), (21, 4))
        self.assertEqual(answer.usage.total_tokens, 25)

    def test_text_outside_ascii_arrives_as_it_was_said(self):
        words = "grüße 東京 мир"
        answer = self.client.chat.completions.create(model=CHAT, messages=user(words, output_tokens=3))
        self.assertEqual(answer.choices[0].message.content, words)
        chunks = self.client.chat.completions.create(
            model=CHAT, messages=user(words, output_tokens=3, split=5), stream=True
        )
        self.assertEqual("".join(chunk.choices[0].delta.content or "" for chunk in chunks), words)

    def test_the_maximum_of_the_caller_ends_an_answer(self):
        answer = self.client.chat.completions.create(
            model=CHAT, messages=user("one two three four", output_tokens=4), max_completion_tokens=2
        )
        self.assertEqual(answer.choices[0].message.content, "one two")
        self.assertEqual(answer.choices[0].finish_reason, "length")

    def test_several_choices_come_apart_from_each_other(self):
        question = dict(model=CHAT, messages=user("red green blue", output_tokens=2), n=3)
        expected = ["red green", "green blue", "blue red"]
        answer = self.client.chat.completions.create(**question)
        self.assertEqual([choice.message.content for choice in answer.choices], expected)
        streamed = ["", "", ""]
        for chunk in self.client.chat.completions.create(**question, stream=True):
            for choice in chunk.choices:
                streamed[choice.index] += choice.delta.content or ""
        self.assertEqual(streamed, expected)

    def test_a_stream_adds_up_to_what_the_provider_said(self):
        stream = self.client.chat.completions.create(
            model=CHAT, messages=user("alpha beta gamma", output_tokens=5), stream=True
        )
        chunks = list(stream)
        words = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices[0].delta.content]
        self.assertEqual(words, ["alpha", " beta", " gamma", " alpha", " beta"])
        self.assertEqual(chunks[-1].choices[0].finish_reason, "stop")

    def test_a_stream_is_passed_on_as_it_comes_and_not_at_its_end(self):
        before = gateway.last_line()
        with self.client.chat.completions.create(
            model=CHAT, messages=user("early late", chunks=2, output_tokens=2, chunk_gap_ms=1500), stream=True
        ) as stream:
            first = next(chunk for chunk in stream if chunk.choices[0].delta.content)
            self.assertEqual(first.choices[0].delta.content, "early")
            self.assertEqual(gateway.ended_after(before), [], "the provider is still speaking")
            rest = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
        self.assertEqual(rest, " late")
        self.assertEqual(len(gateway.ended_after(before)), 1)

    def test_usage_is_not_streamed_unless_it_was_asked_for(self):
        for options in ({}, {"stream_options": {"include_usage": False}}):
            with self.subTest(options):
                stream = self.client.chat.completions.create(
                    model=CHAT, messages=user("hush", output_tokens=3), stream=True, **options
                )
                chunks = list(stream)
                self.assertGreater(len(chunks), 3)
                self.assertEqual([chunk for chunk in chunks if chunk.usage is not None or not chunk.choices], [])

    def test_usage_is_streamed_last_when_it_was_asked_for(self):
        stream = self.client.chat.completions.create(
            model=CHAT,
            messages=user("count me", output_tokens=6, prompt_tokens=33),
            stream=True,
            stream_options={"include_usage": True},
        )
        *chunks, last = list(stream)
        self.assertEqual([chunk for chunk in chunks if chunk.usage is not None], [])
        self.assertEqual(last.choices, [])
        self.assertEqual((last.usage.prompt_tokens, last.usage.completion_tokens), (33, 6))

    def test_the_stream_helper_gathers_the_whole_answer(self):
        with self.client.chat.completions.stream(
            model=CHAT, messages=user("gather these words", output_tokens=3)
        ) as stream:
            said = "".join(event.delta for event in stream if event.type == "content.delta")
            whole = stream.get_final_completion()
        self.assertEqual(said, "gather these words")
        self.assertEqual(whole.choices[0].message.content, "gather these words")

    def test_an_error_in_the_middle_of_a_stream_is_raised(self):
        stream = self.client.chat.completions.create(
            model=CHAT, messages=user("half of this is missing", output_tokens=8, error_midstream=True), stream=True
        )
        with self.assertRaises(openai.APIError):
            for _ in stream:
                pass

    def test_a_tool_is_called_with_arguments_that_fit_its_schema(self):
        answer = self.client.chat.completions.create(
            model=CHAT, messages=user("Oslo please", output_tokens=9), tools=[WEATHER]
        )
        choice = answer.choices[0]
        self.assertEqual(choice.finish_reason, "tool_calls")
        self.assertIsNone(choice.message.content)
        (call,) = choice.message.tool_calls
        self.assertEqual(call.function.name, "weather")
        arguments = json.loads(call.function.arguments)
        self.assertEqual(arguments["days"], 7)
        self.assertIn(arguments["city"], ("Oslo", "please"))

    def test_the_result_of_a_tool_is_answered_in_words(self):
        question = user("Oslo please", output_tokens=2)
        asked = self.client.chat.completions.create(model=CHAT, messages=question, tools=[WEATHER])
        message = asked.choices[0].message
        result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "rain"}
        answer = self.client.chat.completions.create(
            model=CHAT, messages=[*question, message, result], tools=[WEATHER]
        )
        self.assertEqual(answer.choices[0].message.content, "Oslo please")
        self.assertIsNone(answer.choices[0].message.tool_calls)

    def test_the_arguments_of_a_tool_are_streamed_in_pieces(self):
        stream = self.client.chat.completions.create(
            model=CHAT, messages=user("Oslo please", output_tokens=9, chunks=6), tools=[WEATHER], stream=True
        )
        pieces = [
            call
            for chunk in stream
            for choice in chunk.choices
            for call in choice.delta.tool_calls or []
        ]
        self.assertEqual(pieces[0].function.name, "weather")
        self.assertTrue(pieces[0].id)
        arguments = [piece.function.arguments for piece in pieces if piece.function.arguments]
        self.assertGreater(len(arguments), 2)
        self.assertEqual(set(json.loads("".join(arguments))), {"city", "days"})

    def test_tools_are_called_in_parallel(self):
        question = dict(
            model=CHAT,
            messages=user("Oslo now", output_tokens=12),
            tools=[WEATHER, CLOCK],
            parallel_tool_calls=True,
        )
        whole = self.client.chat.completions.create(**question)
        names = [call.function.name for call in whole.choices[0].message.tool_calls]
        self.assertEqual(names, ["weather", "clock"])
        arguments = {}
        for chunk in self.client.chat.completions.create(**question, stream=True):
            for call in chunk.choices[0].delta.tool_calls or []:
                arguments[call.index] = arguments.get(call.index, "") + (call.function.arguments or "")
        self.assertEqual(set(json.loads(arguments[0])), {"city", "days"})
        self.assertEqual(set(json.loads(arguments[1])), {"zone"})

    def test_a_tool_choice_is_passed_on(self):
        question = dict(model=CHAT, messages=user("Oslo now", output_tokens=2), tools=[WEATHER, CLOCK])
        named = {"type": "function", "function": {"name": "clock"}}
        (call,) = self.client.chat.completions.create(**question, tool_choice=named).choices[0].message.tool_calls
        self.assertEqual(call.function.name, "clock")
        declined = self.client.chat.completions.create(**question, tool_choice="none")
        self.assertEqual(declined.choices[0].message.content, "Oslo now")

    def test_a_structured_answer_is_parsed_into_its_class(self):
        answer = self.client.chat.completions.parse(
            model=CHAT, messages=user("Oslo", output_tokens=12), response_format=Forecast
        )
        self.assertEqual(answer.choices[0].message.parsed, Forecast(city="Oslo", days=7, rain=True))

    def test_a_structured_answer_is_parsed_from_a_stream(self):
        with self.client.chat.completions.stream(
            model=CHAT, messages=user("Oslo", output_tokens=12), response_format=Forecast
        ) as stream:
            answer = stream.get_final_completion()
        self.assertEqual(answer.choices[0].message.parsed, Forecast(city="Oslo", days=7, rain=True))

    def test_a_plain_schema_is_passed_on(self):
        schema = {"type": "object", "properties": {"open": {"type": "boolean"}}, "required": ["open"]}
        answer = self.client.chat.completions.create(
            model=CHAT,
            messages=user("yes", output_tokens=4),
            response_format={"type": "json_schema", "json_schema": {"name": "state", "schema": schema}},
        )
        self.assertEqual(json.loads(answer.choices[0].message.content), {"open": True})

    def test_the_body_a_provider_gets_is_the_one_the_client_sent(self):
        messages = [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": say("as it was", output_tokens=2)}]},
        ]
        with gateway.provider_calls() as seen:
            self.client.chat.completions.create(
                model=CHAT, messages=messages, temperature=0.25, seed=7, logit_bias={"50256": -100}
            )
        (call,) = seen
        expected = {
            "model": CHAT, "messages": messages, "temperature": 0.25, "seed": 7, "logit_bias": {"50256": -100},
        }
        self.assertEqual(json.loads(call["body"]), expected)


class LegacyCompletions(unittest.TestCase):
    MODEL = "gpt-3.5-turbo-instruct"

    @classmethod
    def setUpClass(cls):
        cls.client = gateway.openai_client(gateway.new_key())

    def test_a_prompt_is_completed(self):
        answer = self.client.completions.create(
            model=self.MODEL, prompt=say("once upon a time", output_tokens=4, prompt_tokens=9)
        )
        self.assertEqual(answer.choices[0].text, "once upon a time")
        self.assertEqual((answer.usage.prompt_tokens, answer.usage.completion_tokens), (9, 4))

    def test_a_streamed_completion_adds_up_and_ends_with_usage_when_asked(self):
        question = dict(model=self.MODEL, prompt=say("once upon", output_tokens=2, prompt_tokens=9), stream=True)
        plain = list(self.client.completions.create(**question))
        self.assertEqual("".join(chunk.choices[0].text for chunk in plain), "once upon")
        self.assertEqual([chunk for chunk in plain if chunk.usage is not None], [])
        counted = list(self.client.completions.create(**question, stream_options={"include_usage": True}))
        self.assertEqual((counted[-1].usage.prompt_tokens, counted[-1].usage.completion_tokens), (9, 2))


class Asynchronous(unittest.TestCase):
    def test_the_asynchronous_client_streams_the_same(self):
        key = gateway.new_key()

        async def words():
            async with openai.AsyncOpenAI(
                base_url=gateway.WEIR + "/v1", api_key=key.secret, max_retries=0
            ) as client:
                stream = await client.chat.completions.create(
                    model=CHAT, messages=user("alpha beta", output_tokens=3), stream=True
                )
                return [chunk.choices[0].delta.content or "" async for chunk in stream]

        self.assertEqual("".join(asyncio.run(words())), "alpha beta alpha")
