"""What the tools of this distribution answer."""

from __future__ import annotations

from llmspell_core.returns import Returns

HTTP_REQUEST = {
    "": Returns(
        {
            "status_code": ("integer", "Whatever the server said: 404 is an answer, no failure."),
            "headers": ("object", "By name, in lower case. `set-cookie` is always a list; others are joined by `, `."),
            "body": ("any", "By `body_type`."),
            "body_type": ("string", "`json` (parsed), `text` (by its charset) or `binary` (base64)."),
            "timestamp": ("string", "When the answer was read, RFC 3339."),
        },
        "Bodies are decompressed (gzip with all its members, deflate). One that is cut off, damaged, or compressed in a way "
        "that was not asked for is an error.",
    ),
}
