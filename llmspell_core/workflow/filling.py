"""The input of a step, with its placeholders replaced."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from llmspell_core.errors import NotFoundError
from llmspell_core.workflow.placeholder import substitute

if TYPE_CHECKING:
    from llmspell_core.purse import Room
    from llmspell_core.workflow.frame import Frame
    from llmspell_core.workflow.step import Step

__all__ = ["filled"]


def filled(step: Step, frame: Frame, room: Room) -> Any:
    """What the step's target is given.

    Raises:
        WorkflowError: nobody knows a placeholder, and the text is not one of a template language of the tool's own.
        ResourceLimitError: they become larger than there is `room`.
    """
    if step.kind != "tool" or not isinstance(step.input, Mapping) or not any(map(_has_braces, step.input.values())):
        return substitute(step.input, frame, room)
    own = _template_parameters(step, frame)
    return {name: substitute(value, frame, room, strict=name not in own) for name, value in step.input.items()}


def _has_braces(value: Any) -> bool:
    return "{{" in value if isinstance(value, str) else isinstance(value, (Mapping, list, tuple))


def _template_parameters(step: Step, frame: Frame) -> Collection[str]:
    if not isinstance(step.target, str):
        return ()
    try:
        found: Collection[str] = frame.run.desk.tools.find(step.target).template_parameters
    except NotFoundError:  # the call says so
        return ()
    return found
