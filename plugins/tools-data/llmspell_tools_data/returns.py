"""What the tools of this distribution answer."""

from __future__ import annotations

from llmspell_core.returns import Returns

JSON_PROCESSOR = {
    "query": Returns(
        about="`result` is what the expression gives: the value, or a list where it gives several or none. `text` is its "
        "JSON, and `data` in scripts the value.",
        example={"operation": "query", "input": {"users": [{"name": "Ada"}]}, "query": ".users[0].name"},
        shows="Ada",
    ),
    "validate": Returns(
        {
            "is_valid": ("boolean", ""),
            "errors": ("array", ""),
            "errors.path": ("string", "Where, as a JSON Pointer."),
            "errors.message": ("string", "What is wrong."),
            "errors.keyword": ("string", "The keyword of the schema."),
        },
    ),
    "stream": Returns(
        about="`result` is one list of all outputs of all lines.",
        example={"operation": "stream", "input": '{"n": 1}\n{"n": 2}', "query": ".n"},
        shows=[1, 2],
    ),
}
