"""The small values of the contracts: identities, versions, levels, what contexts share, how large media may be."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from llmspell_core import (
    AgentInput,
    ComponentId,
    ComponentMetadata,
    ContextScope,
    ExecutionContext,
    Media,
    SecurityLevel,
    Version,
)
from llmspell_core.context import SharedMemory
from llmspell_core.errors import ResourceLimitError


def test_equal_names_give_equal_ids_and_new_ones_differ() -> None:
    assert ComponentId.from_name("a") == ComponentId.from_name("a") != ComponentId.from_name("b")
    assert ComponentId.new() != ComponentId.new()


def test_an_id_is_read_with_or_without_its_kind() -> None:
    known = uuid.uuid4()
    for text in (str(known), f"workflow_{known}", f"agent_{known}", f"tool_{known}"):
        assert ComponentId.parse_or_from_name(text) == ComponentId(known)


def test_what_is_no_id_is_a_name() -> None:
    assert ComponentId.parse_or_from_name("tool_shed") == ComponentId.from_name("tool_shed")


def test_versions_are_compatible_within_a_major_one() -> None:
    assert Version.parse("1.2.3").is_compatible_with(Version.parse("1.9"))
    assert not Version.parse("1.2.3").is_compatible_with(Version.parse("2.0"))
    assert Version.parse("1.2.3") < Version.parse("1.10.0")


def test_a_new_version_is_a_change_of_the_component() -> None:
    metadata = ComponentMetadata("mine")
    before = metadata.updated_at
    metadata.update_version(Version(2, 0, 0))
    assert (str(metadata.version), metadata.updated_at >= before) == ("2.0.0", True)


def test_a_security_level_allows_itself_and_what_is_below() -> None:
    restricted = SecurityLevel.RESTRICTED
    assert restricted.allows(SecurityLevel.SAFE)
    assert restricted.allows(restricted)
    assert not restricted.allows(SecurityLevel.PRIVILEGED)


def test_shared_memory_forgets_one_scope_only() -> None:
    memory, first, second = SharedMemory(), ContextScope("session", "1"), ContextScope("session", "2")
    memory.set(first, "key", 1)
    memory.set(second, "key", 2)
    memory.clear_scope(first)
    assert (memory.get(first, "key"), memory.get(second, "key")) == (None, 2)


def test_capabilities_are_inherited() -> None:
    context = ExecutionContext(None, data={"capabilities": ["search"]})
    child = context.create_child()
    assert child.has_capability("search")
    assert not child.has_capability("mail")


async def test_an_image_that_is_too_large_is_refused_before_any_provider_sees_it(make_runtime: Any) -> None:
    runtime = await make_runtime(replies=[])
    agent = runtime.agents.builder().model("scripted/any").name("seer").build()
    with pytest.raises(ResourceLimitError, match="image is too large"):
        await runtime.run_agent(agent, AgentInput("Look.", media=[Media("image", "A" * (140 * 1024 * 1024))]))
