"""Servers that speak the OpenAI protocol, as data: where they are, which key they want, how they deviate.

Keys of a preset, all optional: `base_url`; `key_variable`, the vendor's environment variable; `requires_key` (default
True); and the deviations that `Dialect` reads.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

__all__ = ["PRESETS", "Dialect"]

PRESETS: dict[str, dict[str, Any]] = {
    "openai": {"key_variable": "OPENAI_API_KEY", "max_tokens_field": "max_completion_tokens"},
    "groq": {"base_url": "https://api.groq.com/openai/v1", "key_variable": "GROQ_API_KEY"},
    "mistral": {
        "base_url": "https://api.mistral.ai/v1",
        "key_variable": "MISTRAL_API_KEY",
        "asks_stream_usage": False,  # sends usage unasked and refuses fields it does not know
        "seed_field": "random_seed",
        "required_word": "any",
    },
    "together": {"base_url": "https://api.together.xyz/v1", "key_variable": "TOGETHER_API_KEY"},
    "fireworks": {"base_url": "https://api.fireworks.ai/inference/v1", "key_variable": "FIREWORKS_API_KEY"},
    "perplexity": {
        "base_url": "https://api.perplexity.ai",
        "key_variable": "PERPLEXITY_API_KEY",
        "asks_stream_usage": False,  # every chunk carries it
    },
    "openrouter": {"base_url": "https://openrouter.ai/api/v1", "key_variable": "OPENROUTER_API_KEY"},
    "vllm": {"base_url": "http://localhost:8000/v1", "key_variable": "VLLM_API_KEY", "requires_key": False},
    "lmstudio": {"base_url": "http://localhost:1234/v1", "requires_key": False},
    "openai-compatible": {"requires_key": False},
}


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one server deviates from the protocol.

    Attributes:
        max_tokens_field: what the limit of the answer is called.
        asks_stream_usage: whether a stream must be asked for its usage numbers.
        seed_field: what the seed is called.
        required_word: the `tool_choice` that means "any tool".
        empty_text: whether a turn of calls alone carries an empty text; the vendors want none at all, small servers trip
            over that.
        schema_form: how a schema is sent: `json_schema`, or `json_object` with the schema beside it.
    """

    max_tokens_field: str = "max_tokens"
    asks_stream_usage: bool = True
    seed_field: str = "seed"
    required_word: str = "required"
    empty_text: bool = False
    schema_form: str = "json_schema"

    @classmethod
    def of(cls, preset: dict[str, Any]) -> Dialect:
        return cls(**{f.name: preset[f.name] for f in fields(cls) if f.name in preset})
