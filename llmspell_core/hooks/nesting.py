"""Inside of which hooks and callbacks something happens.

What a hook brings about knows of the hook, through however many calls, tasks and scripts it goes; once the hook has
returned, it is as free as anything else.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["Link", "inside", "links", "links_of"]


class Link:
    """One hook or callback that is being run. `owner`: whose it is; `ended`: whether it has returned."""

    __slots__ = ("ended", "owner")

    def __init__(self, owner: object) -> None:
        self.owner = owner
        self.ended = False


Links = tuple[Link, ...]
_links: ContextVar[Links] = ContextVar("llmspell_links", default=())


def links() -> Links:
    """Of what runs here, the outermost first; only those that have not returned."""
    found = _links.get()
    return tuple(link for link in found if not link.ended) if found else found


@contextmanager
def inside(owner: object) -> Iterator[None]:
    """What happens in here happens inside of `owner`."""
    link = Link(owner)
    token = _links.set((*links(), link))
    try:
        yield
    finally:
        link.ended = True
        _links.reset(token)


@contextmanager
def links_of(found: Links) -> Iterator[None]:
    """What happens in here happens where these were taken."""
    token = _links.set(found)
    try:
        yield
    finally:
        _links.reset(token)
