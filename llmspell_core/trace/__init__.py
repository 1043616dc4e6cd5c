"""A record of what a run did: a tree of spans for scripts, agents, model calls, tools, workflows and their steps.

A runtime without observers makes no spans. With one, every part of a run tells it when it begins and when it has ended.
"""

from __future__ import annotations

from llmspell_core.trace.journal import Journal
from llmspell_core.trace.span import Span
from llmspell_core.trace.tracer import Observer, Tracer
from llmspell_core.trace.tree import Node, tree_of

__all__ = ["Journal", "Node", "Observer", "Span", "Tracer", "tree_of"]
