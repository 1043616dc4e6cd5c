"""Files that a prompt names, read when it is sent: within the policy, as a tool of that run would."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import TYPE_CHECKING

from llmspell_core.errors import ValidationError
from llmspell_core.media_forms import PATH, sniffed
from llmspell_core.messages import Media

if TYPE_CHECKING:
    from llmspell_core.context import ExecutionContext

__all__ = ["loaded"]


async def loaded(media: list[Media], context: ExecutionContext) -> list[Media]:
    """With the content of files. Raises: SecurityError, NotFoundError and other errors of reading; ValidationError."""
    return [await _loaded(each, context) for each in media]


async def _loaded(media: Media, context: ExecutionContext) -> Media:
    path = media.metadata.get(PATH)
    if media.data or path is None:
        return media
    raw = await context.files.read_bytes(str(path))
    mime = sniffed(raw[:16]) or media.mime_type
    if mime is None or not raw:
        raise ValidationError(
            f"nobody can tell what '{path}' holds" if raw else f"'{path}' is empty",
            field="media",
            hint='Say it with mime_type, e.g. {path = "scan", mime_type = "image/png"}.',
        )
    made = replace(media, data=base64.b64encode(raw).decode("ascii"), mime_type=mime)
    made.validate_size()
    return made
