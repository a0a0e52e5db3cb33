"""The Weir under test and the provider behind it: where they are, how a key is made, and what each
of them says happened. Which clients are tested, and what is expected of them, is in the tests.

Keys, usage and the log are read with the standard library: what checks a client must not be one.
"""

import contextlib
import dataclasses
import json
import os
import time
import urllib.request

import anthropic
import openai

WEIR = os.environ["WEIR_URL"]
# Another Weir, whose credentials the provider does not accept.
REJECTED = os.environ["WEIR_REJECTED_URL"]
# And one that nothing else depends on: a test may leave it in whatever state it likes.
SPARE = os.environ["WEIR_SPARE_URL"]
PROVIDER = os.environ["PROVIDER_URL"]
MASTER = os.environ["WEIR_MASTER_KEY"]

CHAT = "gpt-4o-mini"
CLAUDE = "claude-haiku-4-5"


@dataclasses.dataclass(frozen=True)
class Key:
    """A key: what names it, and its secret."""

    hash: str
    secret: str


def new_key(weir=WEIR, **fields):
    """A new key. The fields are those of `POST /api/v1/keys`."""
    made = _administer("POST", "/api/v1/keys", {"name": "python clients", **fields}, weir)
    return Key(made["data"]["hash"], made["key"])


def new_bridge_key(name):
    """A new key with a line in config.json, made as the dashboard makes it."""
    made = _administer("POST", "/create-key", {"name": name})
    return Key(made["id"], made["key"])


def change_key(key, **fields):
    """Changes a key. The fields are those of `PATCH /api/v1/keys/{hash}`."""
    _administer("PATCH", f"/api/v1/keys/{key.hash}", fields)


def usage_by_model(key):
    """What Weir says was used with `key`, by model, and in total."""
    answer = _administer("GET", f"/api/v1/usage?group_by=model&key={key.hash}")
    return {row["model"]: row for row in answer["data"]}, answer["totals"]


def calls(key, expected):
    """Weir's rows for the calls of `key`, newest first, once there are `expected` of them.

    A call is written down after its last byte has left, so that a client can be quicker.
    """
    return _once_there_are(expected, lambda: _administer("GET", f"/api/v1/usage/calls?key={key.hash}")["data"])


def calls_with_id(request_id):
    """Weir's row for one request, once there is one."""
    return _once_there_are(1, lambda: _administer("GET", f"/api/v1/usage/calls?request_id={request_id}")["data"])


def say(words, **script):
    """A user message that makes the provider answer with `words`, over and over, as scripted."""
    return f"<<{json.dumps(script)}>> {words}"


def user(words, **script):
    """The same as the only message of a conversation."""
    return [{"role": "user", "content": say(words, **script)}]


@contextlib.contextmanager
def provider_calls():
    """Collects what the provider has recorded of each request that ends in this block."""
    seen = []
    before = last_line()
    yield seen
    seen.extend(ended_after(before))


def last_line():
    """The number of the last line in the provider's log."""
    lines = _log(0)
    return lines[-1]["line"] if lines else 0


def ended_after(line, expected=0):
    """What the provider has recorded of each request that has ended since, once it is `expected`."""
    return _once_there_are(expected, lambda: [entry for entry in _log(line) if entry["event"] == "end"])


def openai_client(key, base="/v1", weir=WEIR, **options):
    """OpenAI's client. It repeats nothing unless a test wants it to: then a failure is seen once."""
    return openai.OpenAI(base_url=weir + base, api_key=key.secret, **{"max_retries": 0, **options})


def anthropic_client(key, base="", weir=WEIR, **options):
    """Anthropic's client, which puts `/v1` behind its base URL itself."""
    return anthropic.Anthropic(base_url=weir + base, api_key=key.secret, **{"max_retries": 0, **options})


def _once_there_are(expected, look):
    """What `look` sees when it sees enough, or all that it sees after five seconds."""
    deadline = time.monotonic() + 5
    while len(seen := look()) < expected and time.monotonic() < deadline:
        time.sleep(0.02)
    return seen


def _log(after):
    with urllib.request.urlopen(f"{PROVIDER}/__log?after={after}", timeout=10) as answer:
        return json.load(answer)


def _administer(method, path, body=None, weir=WEIR):
    request = urllib.request.Request(
        weir + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"authorization": f"Bearer {MASTER}", "content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)
