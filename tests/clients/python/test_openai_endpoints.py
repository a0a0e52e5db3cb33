"""The rest of OpenAI's API with its Python client: responses, embeddings, moderations, images, sound,
models, files and batches. Chat is in `test_openai_chat.py`.
"""

import base64
import io
import json
import struct
import unittest

import openai
import pydantic

import gateway
from gateway import CHAT, say

WEATHER = {
    "type": "function",
    "name": "weather",
    "strict": False,
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
}
CLOCK = {"type": "function", "name": "clock", "strict": False, "parameters": {"type": "object", "properties": {}}}


class Forecast(pydantic.BaseModel):
    """What a structured answer has to look like."""

    city: str
    days: int


class Responses(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.client = gateway.openai_client(gateway.new_key())

    def test_a_response_is_what_the_provider_said(self):
        answer = self.client.responses.create(
            model=CHAT, input=say("alpha beta", output_tokens=3, prompt_tokens=14), store=False
        )
        self.assertEqual(answer.output_text, "alpha beta alpha")
        self.assertEqual(answer.status, "completed")
        self.assertEqual((answer.usage.input_tokens, answer.usage.output_tokens), (14, 3))

    def test_the_events_of_a_stream_lead_to_the_completed_response(self):
        events = list(
            self.client.responses.create(
                model=CHAT, input=say("alpha beta", output_tokens=3, prompt_tokens=14), stream=True
            )
        )
        expected = [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added",
            *["response.output_text.delta"] * 3,
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed",
        ]
        self.assertEqual([event.type for event in events], expected)
        self.assertEqual([event.sequence_number for event in events], list(range(len(expected))))
        said = "".join(event.delta for event in events if event.type == "response.output_text.delta")
        last = events[-1].response
        self.assertEqual((said, last.output_text), ("alpha beta alpha", "alpha beta alpha"))
        self.assertEqual((last.usage.input_tokens, last.usage.output_tokens), (14, 3))

    def test_the_stream_helper_gathers_the_whole_response(self):
        with self.client.responses.stream(model=CHAT, input=say("gather this", output_tokens=2)) as stream:
            answer = stream.get_final_response()
        self.assertEqual(answer.output_text, "gather this")

    def test_a_response_cut_short_says_so(self):
        answer = self.client.responses.create(
            model=CHAT, input=say("one two three", output_tokens=30), max_output_tokens=16
        )
        self.assertEqual((answer.status, answer.incomplete_details.reason), ("incomplete", "max_output_tokens"))

    def test_tools_are_called_in_parallel(self):
        question = dict(
            model=CHAT, input=say("Oslo", output_tokens=8), tools=[WEATHER, CLOCK], parallel_tool_calls=True
        )
        calls = self.client.responses.create(**question).output
        self.assertEqual([(call.type, call.name) for call in calls], [("function_call", "weather"), ("function_call", "clock")])
        self.assertEqual(json.loads(calls[0].arguments), {"city": "Oslo"})
        done = [
            event
            for event in self.client.responses.create(**question, stream=True)
            if event.type == "response.function_call_arguments.done"
        ]
        self.assertEqual([json.loads(event.arguments) for event in done], [{"city": "Oslo"}, {}])

    def test_a_structured_response_is_parsed_into_its_class(self):
        answer = self.client.responses.parse(
            model=CHAT, input=say("Oslo", output_tokens=6), text_format=Forecast
        )
        self.assertEqual(answer.output_parsed, Forecast(city="Oslo", days=7))

    def test_a_stored_response_is_found_continued_and_deleted(self):
        first = self.client.responses.create(model=CHAT, input=say("first", output_tokens=1, prompt_tokens=10))
        self.assertEqual(self.client.responses.retrieve(first.id).output_text, "first")
        second = self.client.responses.create(
            model=CHAT, input=say("second", output_tokens=1, prompt_tokens=10), previous_response_id=first.id
        )
        self.assertEqual(second.usage.input_tokens, 21, "what was said before is read again")
        self.client.responses.delete(first.id)
        with self.assertRaises(openai.NotFoundError):
            self.client.responses.retrieve(first.id)


class Embeddings(unittest.TestCase):
    MODEL = "text-embedding-3-small"

    @classmethod
    def setUpClass(cls):
        cls.client = gateway.openai_client(gateway.new_key())

    def test_vectors_are_the_same_packed_and_as_floats(self):
        question = dict(model=self.MODEL, input=["a text", "another"])
        with gateway.provider_calls() as seen:
            packed = self.client.embeddings.create(**question)
            floats = self.client.embeddings.create(**question, encoding_format="float")
        sent = [json.loads(call["body"])["encoding_format"] for call in seen]
        self.assertEqual(sent, ["base64", "float"], "the client asks for packed vectors by itself")
        self.assertEqual([len(item.embedding) for item in packed.data], [1536, 1536])
        for one, other in zip(packed.data, floats.data):
            rounded = struct.unpack("<1536f", struct.pack("<1536f", *other.embedding))
            self.assertEqual(tuple(one.embedding), rounded)
        self.assertEqual(packed.usage.prompt_tokens, floats.usage.prompt_tokens)
        self.assertEqual(packed.usage.prompt_tokens, seen[0]["usage_reported"]["prompt_tokens"])

    def test_the_number_of_dimensions_is_passed_on(self):
        answer = self.client.embeddings.create(model=self.MODEL, input="short", dimensions=8)
        self.assertEqual(len(answer.data[0].embedding), 8)

    def test_an_input_may_be_tokens(self):
        answer = self.client.embeddings.create(model=self.MODEL, input=[1, 2, 3, 4, 5])
        self.assertEqual((len(answer.data), answer.usage.prompt_tokens), (1, 5))


class Moderations(unittest.TestCase):
    def test_texts_are_judged(self):
        client = gateway.openai_client(gateway.new_key())
        answer = client.moderations.create(model="omni-moderation-latest", input="kill the process")
        self.assertTrue(answer.results[0].flagged)
        self.assertTrue(answer.results[0].categories.violence)
        harmless = client.moderations.create(model="omni-moderation-latest", input=["tea", "cake"])
        self.assertEqual([result.flagged for result in harmless.results], [False, False])


class Images(unittest.TestCase):
    def test_pictures_are_made_and_edited(self):
        client = gateway.openai_client(gateway.new_key())
        made = client.images.generate(model="gpt-image-1", prompt="a dot", n=2, quality="low", size="1024x1024")
        pictures = [base64.b64decode(picture.b64_json) for picture in made.data]
        self.assertEqual([picture[:8] for picture in pictures], [b"\x89PNG\r\n\x1a\n"] * 2)
        self.assertEqual(made.usage.output_tokens, 544)
        edited = client.images.edit(
            model="gpt-image-1", prompt="a line", image=("dot.png", pictures[0], "image/png"), quality="low"
        )
        self.assertEqual(base64.b64decode(edited.data[0].b64_json), pictures[0])
        self.assertEqual(edited.usage.input_tokens_details.image_tokens, 323)


class Sound(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.client = gateway.openai_client(gateway.new_key())

    def test_speech_is_the_bytes_the_provider_sent(self):
        answer = self.client.audio.speech.create(model="tts-1", voice="alloy", input="Good morning")
        sound = answer.read()
        self.assertEqual((sound[:4], len(sound)), (b"ID3\x04", 4 + 100 * len("Good morning")))
        self.assertEqual(answer.response.headers["content-type"], "audio/mpeg")

    def test_speech_can_be_taken_in_as_it_comes(self):
        taken = io.BytesIO()
        with self.client.audio.speech.with_streaming_response.create(
            model="tts-1", voice="alloy", input="Good morning", response_format="wav"
        ) as answer:
            self.assertEqual(answer.headers["content-type"], "audio/wav")
            for piece in answer.iter_bytes(256):
                taken.write(piece)
        self.assertEqual(len(taken.getvalue()), 4 + 100 * len("Good morning"))

    def test_a_recording_is_written_down(self):
        recording = bytes(range(256)) * 250
        with gateway.provider_calls() as seen:
            answer = self.client.audio.transcriptions.create(
                model="whisper-1", file=("talk.mp3", recording, "audio/mpeg"), prompt=say("good day", output_tokens=2)
            )
        self.assertEqual(answer.text, "good day")
        self.assertGreater(seen[0]["body_bytes"], len(recording))
        self.assertEqual(seen[0]["usage_reported"], {"type": "duration", "seconds": 4})

    def test_a_recording_is_written_down_by_a_model_that_counts_tokens(self):
        answer = self.client.audio.transcriptions.create(
            model="gpt-4o-mini-transcribe",
            file=("talk.wav", bytes(16_000), "audio/wav"),
            prompt=say("good day", output_tokens=2, prompt_tokens=3),
        )
        self.assertEqual(answer.text, "good day")
        self.assertEqual((answer.usage.input_tokens, answer.usage.output_tokens), (13, 2))

    def test_a_recording_is_streamed_as_text(self):
        events = list(
            self.client.audio.transcriptions.create(
                model="gpt-4o-mini-transcribe",
                file=("talk.wav", bytes(16_000), "audio/wav"),
                prompt=say("good day", output_tokens=2),
                stream=True,
            )
        )
        self.assertEqual([event.type for event in events], ["transcript.text.delta"] * 2 + ["transcript.text.done"])
        self.assertEqual(events[-1].text, "good day")


class Models(unittest.TestCase):
    def test_the_models_are_listed_and_each_is_found(self):
        client = gateway.openai_client(gateway.new_key())
        listed = [model.id for model in client.models.list()]
        self.assertIn(CHAT, listed)
        self.assertEqual(len(listed), len(set(listed)))
        model = client.models.retrieve(CHAT)
        self.assertEqual((model.id, model.object), (CHAT, "model"))
        with self.assertRaises(openai.NotFoundError):
            client.models.retrieve("no-such-model")

    def test_a_key_sees_the_models_it_may_use_and_no_others(self):
        client = gateway.openai_client(gateway.new_key(allowed_models=[CHAT]))
        listed = [model.id for model in client.models.list()]
        self.assertIn(CHAT, listed)
        self.assertNotIn("gpt-4o", listed)


class Files(unittest.TestCase):
    def test_a_file_is_uploaded_found_read_and_deleted(self):
        client = gateway.openai_client(gateway.new_key())
        content = b'{"custom_id": "1"}\r\n\x00\xff tail\r\n'
        made = client.files.create(file=("lines.jsonl", content), purpose="batch")
        self.assertEqual((made.filename, made.bytes, made.purpose), ("lines.jsonl", len(content), "batch"))
        self.assertIn(made.id, [file.id for file in client.files.list()])
        self.assertEqual(client.files.retrieve(made.id).id, made.id)
        self.assertEqual(client.files.content(made.id).read(), content)
        self.assertTrue(client.files.delete(made.id).deleted)
        with self.assertRaises(openai.NotFoundError):
            client.files.retrieve(made.id)


class Batches(unittest.TestCase):
    def test_a_batch_is_made_found_and_cancelled(self):
        client = gateway.openai_client(gateway.new_key())
        file = client.files.create(file=("lines.jsonl", b"{}\n"), purpose="batch")
        made = client.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h", metadata={"job": "7"}
        )
        self.assertEqual((made.status, made.metadata), ("validating", {"job": "7"}))
        self.assertIn(made.id, [batch.id for batch in client.batches.list()])
        self.assertEqual(client.batches.retrieve(made.id).input_file_id, file.id)
        self.assertEqual(client.batches.cancel(made.id).status, "cancelling")
        self.assertEqual(client.batches.retrieve(made.id).status, "cancelling")

    def test_a_key_with_a_limit_may_not_make_a_batch_that_no_answer_prices(self):
        client = gateway.openai_client(gateway.new_key(limit=5))
        with gateway.provider_calls() as seen, self.assertRaises(openai.PermissionDeniedError) as caught:
            client.batches.create(
                input_file_id="file-1", endpoint="/v1/chat/completions", completion_window="24h"
            )
        self.assertEqual(caught.exception.code, "unbounded_feature_for_hard_limit")
        self.assertEqual(seen, [])
