"""What a schema cannot say."""

import re

import schemathesis

DATE = re.compile(r"\d{4}-(?!02-29)\d\d-\d\dT")
RULES = ("allowed_models", "denied_models", "allowed_providers", "denied_providers")


@schemathesis.hook
def map_body(context, body):
    body = whole(body)
    # Names in rules have to be known, unless they are forced.
    if isinstance(body, dict) and any(name in body for name in RULES):
        body["force"] = True
    # A key that has expired already is a mistake.
    if isinstance(body, dict) and isinstance(body.get("expires_at"), str):
        body["expires_at"] = "2099-" + body["expires_at"][5:] if DATE.match(body["expires_at"]) else body["expires_at"]
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
