"""Which names mean a model: genai-prices' match clauses restated as aliases and patterns, and
LiteLLM's keys as (provider, name). A pattern is a list of globs that must all fit: `*` any run,
`#` one digit, a leading `!` negates.
"""

import itertools
import re

GENAI_PROVIDERS = {
    "anthropic": "anthropic", "aws": "bedrock", "azure": "azure", "cerebras": "cerebras",
    "cohere": "cohere", "deepseek": "deepseek", "fireworks": "fireworks", "google": "google",
    "groq": "groq", "minimax": "minimax", "mistral": "mistral", "moonshotai": "moonshot",
    "openai": "openai", "openrouter": "openrouter", "perplexity": "perplexity",
    "together": "together", "voyageai": "voyage", "x-ai": "xai", "zai": "zai",
}
LITELLM_PROVIDERS = {
    "ai21": "ai21", "anthropic": "anthropic", "azure": "azure", "azure_ai": "azure",
    "azure_text": "azure", "bedrock": "bedrock", "bedrock_converse": "bedrock",
    "bedrock_mantle": "bedrock", "cerebras": "cerebras", "codestral": "mistral",
    "cohere": "cohere", "cohere_chat": "cohere", "dashscope": "dashscope",
    "deepinfra": "deepinfra", "deepseek": "deepseek", "fireworks_ai": "fireworks",
    "fireworks_ai-embedding-models": "fireworks", "gemini": "google", "groq": "groq",
    "minimax": "minimax", "mistral": "mistral", "moonshot": "moonshot", "nvidia_nim": "nvidia",
    "openai": "openai", "perplexity": "perplexity", "sambanova": "sambanova",
    "text-completion-openai": "openai", "together_ai": "together", "voyage": "voyage",
    "xai": "xai", "zai": "zai",
}
# Price classes by size, and pictures by size and quality, are no names a client could send.
NO_NAME = re.compile(r"(fireworks|together)-ai-|(\d+|max)-x-\d+/|(hd|high|low|medium|standard)/")


def litellm_place(key, entry):
    """The provider and name a LiteLLM key stands for, or None."""
    source = entry.get("litellm_provider") or ""
    provider = "vertex" if source.startswith("vertex_ai") else LITELLM_PROVIDERS.get(source)
    if provider is None or NO_NAME.match(key):
        return None
    head, slash, rest = key.partition("/")
    known = {source, source.split("-")[0], provider, "azure", "bedrock", "vertex_ai"}
    name = rest if slash and head in known else key
    if NO_NAME.match(name) or not name:
        return None
    # Bedrock's keys with a region or a commitment in their path are not model ids.
    if provider == "bedrock" and "/" in name:
        return None
    return provider, name


def alternatives(clause):
    """A match clause as alternatives, each a list of globs that must all fit."""
    kind = clause["t"]
    if kind == "ClauseOr":
        return [found for part in clause["or_"] for found in alternatives(part)]
    if kind == "ClauseAnd":
        parts = itertools.product(*(alternatives(part) for part in clause["and_"]))
        return [[glob for part in chosen for glob in part] for chosen in parts]
    if kind == "ClauseEquals":
        return [[literal(clause["equals"])]]
    if kind == "ClauseStartsWith":
        return [[literal(clause["starts_with"]) + "*"]]
    if kind == "ClauseEndsWith":
        return [["*" + literal(clause["ends_with"])]]
    if kind == "ClauseContains":
        return [["*" + literal(clause["contains"]) + "*"]]
    if kind == "ClauseRegex":
        return expression(clause["regex"])
    raise SystemExit(f"unknown clause {clause}")


def literal(text):
    if re.search(r"[*#!]", text):
        raise SystemExit(f"a name that a glob would misread: {text}")
    return text.lower()


def expression(text):
    """The few shapes of regular expression that occur. Another one stops the run."""
    if text == r"^(?!.*-[tT][tT][sS](?:$|-))":
        return [["!*-tts", "!*-tts-*"]]
    if not text.startswith("^"):
        raise SystemExit(f"unknown expression {text}")
    rest, globs = text[1:], [""]
    while rest and rest != "$":
        matched = re.match(r"\\d(?:\{(\d+)\})?|\\\.|\[([-@]+)\]|[\w/-]", rest)
        if not matched:
            raise SystemExit(f"unknown expression {text}")
        piece = matched[0]
        if piece.startswith(r"\d"):
            choices = ["#" * int(matched[1] or 1)]
        elif piece == r"\.":
            choices = ["."]
        else:
            choices = list(matched[2] or piece)
        globs = [glob + choice.lower() for glob in globs for choice in choices]
        rest = rest[len(piece):]
    return [[glob if rest else glob + "*"] for glob in globs]


def is_pattern(alternative):
    return len(alternative) != 1 or re.search(r"[*#!]", alternative[0]) is not None


def fits(alternative, name):
    return all(glob_fits(glob, name.lower()) for glob in alternative)


def glob_fits(glob, name):
    wanted = not glob.startswith("!")
    body = re.escape(glob.removeprefix("!")).replace(r"\*", ".*").replace(r"\#", "[0-9]")
    return (re.fullmatch(body, name) is not None) == wanted
