"""Reads the two wheels as data. Nothing in them is executed: genai-prices is Python source read
as syntax, LiteLLM is JSON read with decimals. What the numbers mean is `normalise`'s business.
"""

import ast
import json
import zipfile
from decimal import Decimal

LITELLM_TABLE = "litellm/model_prices_and_context_window_backup.json"


def genai(path):
    """The providers of a genai-prices wheel: calls become dicts with their name under `t`,
    `Decimal(...)` becomes a decimal, a date becomes ISO text."""
    with zipfile.ZipFile(path) as wheel:
        tree = ast.parse(wheel.read("genai_prices/data.py"))
    for statement in tree.body:
        if isinstance(statement, ast.AnnAssign) and statement.target.id == "providers":
            return value(statement.value)
    raise SystemExit(f"{path}: no `providers` in data.py")


def value(node):
    """A literal, as plain data. Any other syntax stops the run: it may carry meaning."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, (ast.List, ast.Tuple)):
        return [value(item) for item in node.elts]
    if isinstance(node, ast.Dict):
        return {value(key): value(item) for key, item in zip(node.keys, node.values)}
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -value(node.operand)
    if isinstance(node, ast.Attribute):
        return ast.unparse(node)
    if isinstance(node, ast.Call):
        name = ast.unparse(node.func)
        arguments = [value(item) for item in node.args]
        if name == "Decimal":
            return Decimal(arguments[0])
        if name == "datetime.date":
            return "%04d-%02d-%02d" % tuple(arguments)
        named = {item.arg: value(item.value) for item in node.keywords}
        return {"t": name, **({"a": arguments} if arguments else {}), **named}
    raise SystemExit(f"unexpected syntax {ast.dump(node)[:80]} at line {node.lineno}")


def litellm(path):
    """LiteLLM's table by model name, numbers as decimals."""
    with zipfile.ZipFile(path) as wheel:
        table = json.loads(wheel.read(LITELLM_TABLE), parse_float=Decimal, parse_int=Decimal)
    table.pop("sample_spec", None)
    return table


def notice(wheels, pins):
    """The text of `prices/NOTICE`: both licences as the wheels carry them."""
    parts = ["catalogue.jsonl is derived from the data of the packages below, restated in Weir's\n"
             "units and checked; the mistakes are ours. Their licences:\n"]
    for package, path in sorted(wheels.items()):
        with zipfile.ZipFile(path) as wheel:
            names = [name for name in wheel.namelist()
                     if ".dist-info/" in name and name.endswith("/LICENSE")]
            if len(names) != 1:
                raise SystemExit(f"{path}: expected one licence, found {names}")
            text = wheel.read(names[0]).decode()
        parts.append(f"\n--- {package} {pins[package]} ---\n\n{text.strip()}\n")
    return "".join(parts)
