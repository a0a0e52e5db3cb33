"""What a schema cannot say."""

import re

import schemathesis

RULES = ("allowed_models", "denied_models", "allowed_providers", "denied_providers")
DATE = re.compile(r"\d{4}-(?!02-29)\d\d-\d\dT")

MADE_UP = {
    "idempotency-key": re.compile("[!-~]{1,255}"),
    "if-match": re.compile(r'\*|"[1-9][0-9]{0,17}"'),
}


@schemathesis.hook
def before_call(context, case, kwargs):
    """A key stands for one request, and a revision for one moment: neither can be made up."""
    for name, sound in MADE_UP.items():
        value = (case.headers or {}).get(name)
        if isinstance(value, str) and sound.fullmatch(value):
            del case.headers[name]
    case.body = mended(case.operation.path, case.body)


def mended(path, body):
    """The same body, without what only Weir can know to be wrong."""
    body = whole(body)
    if not isinstance(body, dict):
        return body
    if isinstance(body.get("revision"), int) and body["revision"] > 0:
        del body["revision"]
    # Names in rules have to be known, unless they are forced.
    if any(name in body for name in RULES):
        body["force"] = True
    # A key that has expired already is a mistake, and nobody explains the past.
    for name in ("expires_at", "at"):
        if isinstance(body.get(name), str) and DATE.match(body[name]):
            body[name] = "2099-" + body[name][5:]
    # A secret is given, or its digest.
    if body.get("secret") is not None:
        body.pop("secret_sha256", None)
    # No two limits count the same.
    if isinstance(body.get("limits"), list):
        body["limits"] = body["limits"][:1]
    # A number of keys goes with the plan that has no number of its own, and with no other.
    if body.get("plan") == "custom":
        body["key_allowance"] = body.get("key_allowance") or 7
    elif body.get("plan") is not None:
        body.pop("key_allowance", None)
    # A provider that nobody knows needs an address; a price without a number is none.
    if path == "/api/v1/providers" and body.get("base_url") is None:
        body["base_url"] = "https://models.example.com/v1"
    if path.startswith("/api/v1/prices/") and body.get("free") is not True:
        body.setdefault("input", "1.5")
    # A form that names no key is about none.
    if path == "/delete-key" and not any(body.values()):
        body["id"] = "nobody"
    return body


def whole(value):
    """To JSON Schema 1.0 is a whole number; Weir wants it written as one."""
    if isinstance(value, dict):
        return {name: whole(member) for name, member in value.items()}
    if isinstance(value, list):
        return [whole(member) for member in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
