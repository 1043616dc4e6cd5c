"""file-operations on real files, through the desk."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from llmspell_tools_filesystem.file_operations import FileOperations

from llmspell_core.errors import LLMSpellError, NotFoundError, SecurityError, ValidationError
from llmspell_core.messages import AgentOutput
from llmspell_core.plugins.registry import Registry
from llmspell_core.runtime import Runtime

Invoke = Callable[..., Awaitable[AgentOutput]]


@pytest.fixture
def room(tmp_path: Path) -> Path:
    (tmp_path / "outside.txt").write_text("secret")
    (tmp_path / "room").mkdir()
    return tmp_path / "room"


@pytest.fixture
async def invoke(room: Path) -> AsyncIterator[Invoke]:
    """`await invoke("read", path="a.txt")`, with relative paths in `room`, the only allowed directory."""
    registry = Registry()
    registry.register("tools", FileOperations.name, FileOperations)
    settings = {"tools": {"file_operations": {"allowed_paths": ["."], "max_file_size": 1000}}}
    async with Runtime(settings, registry=registry, cwd=room) as runtime:

        async def call(operation: str, **parameters: Any) -> AgentOutput:
            return await runtime.invoke_tool("file-operations", {"operation": operation, **parameters})

        yield call


def response(output: AgentOutput) -> dict[str, Any]:
    envelope: dict[str, Any] = output.metadata.extra["response"]
    return envelope


async def test_read_gives_the_content_as_text(room: Path, invoke: Invoke) -> None:
    (room / "größe.txt").write_text("größe\n", encoding="utf-8")
    output = await invoke("read", path="größe.txt")
    assert output.text == "größe\n"
    assert response(output)["result"] == {"text": "größe\n", "input": "größe\n", "size": 8}
    assert response(output)["metadata"] == {"file_path": "größe.txt", "file_size": 8}


async def test_write_replaces_and_append_extends(room: Path, invoke: Invoke) -> None:
    await invoke("write", path="a.txt", input="one\n")
    written = await invoke("write", path="a.txt", content="two\n")
    appended = await invoke("append", path="a.txt", input="drü\n")
    assert (room / "a.txt").read_text(encoding="utf-8") == "two\ndrü\n"
    assert written.text == "Wrote 4 bytes to a.txt"
    assert response(written)["success"] is True
    assert response(appended)["result"] == {"appended_size": 5}


@pytest.mark.parametrize(
    ("path", "text", "kind"),
    [
        ("newdir/", "x", "validation_error"),
        ("new/newdir/", "x", "validation_error"),
        (".", "x", "validation_error"),
        ("half.txt", "\ud800", "validation_error"),
        ("big.txt", "x" * 1001, "execution_error"),
    ],
)
async def test_a_failed_write_is_returned(room: Path, invoke: Invoke, path: str, text: str, kind: str) -> None:
    output = await invoke("write", path=path, input=text)
    envelope = response(output)
    assert envelope["success"] is False
    assert envelope["result"] == {"path": path, "error_type": kind}
    assert envelope["error"]["message"] in output.text
    assert list(room.iterdir()) == []
    assert (room.parent / "outside.txt").read_text() == "secret"


async def test_missing_directories_of_a_written_file_are_made(room: Path, invoke: Invoke) -> None:
    for operation, path in (("write", "new/one/a.txt"), ("append", "new/two/a.txt")):
        assert response(await invoke(operation, path=path, input="x"))["success"] is True
        assert (room / path).read_text() == "x"
    await invoke("copy", source_path="new/one/a.txt", target_path="new/three/b.txt")
    await invoke("move", source_path="new/two/a.txt", target_path="new/four/b.txt")
    assert sorted(p.name for p in (room / "new").glob("*/b.txt")) == ["b.txt", "b.txt"]


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("read", {"path": "../outside.txt"}),
        ("write", {"path": "../outside.txt", "input": "x"}),
        ("write", {"path": "llmspell.toml", "input": "x"}),
        ("append", {"path": "../outside.txt", "input": "x"}),
        ("delete", {"path": "../outside.txt"}),
        ("create_dir", {"path": "../new"}),
        ("list_dir", {"path": ".."}),
        ("copy", {"source_path": "../outside.txt", "target_path": "a"}),
        ("copy", {"source_path": "a", "target_path": "../b"}),
        ("move", {"source_path": "../outside.txt", "target_path": "a"}),
        ("metadata", {"path": "../outside.txt"}),
        ("exists", {"path": "../outside.txt"}),
    ],
)
async def test_other_operations_outside_raise(
    room: Path, invoke: Invoke, operation: str, parameters: dict[str, Any]
) -> None:
    (room / "a").write_text("a")
    with pytest.raises(SecurityError):
        await invoke(operation, **parameters)
    assert [p.name for p in room.parent.iterdir() if p.name != "room"] == ["outside.txt"]


async def test_one_file_that_is_allowed_can_be_written_and_a_refusal_names_it(tmp_path: Path) -> None:
    registry = Registry()
    registry.register("tools", FileOperations.name, FileOperations)
    settings = {"tools": {"file_operations": {"allowed_paths": [str(tmp_path / "notes.txt")]}}}
    async with Runtime(settings, registry=registry, cwd=tmp_path) as runtime:
        call = {"operation": "write", "path": "notes.txt", "input": "x"}
        assert response(await runtime.invoke_tool("file-operations", call))["success"] is True
        for path in ("other.txt", "new/other.txt"):
            with pytest.raises(SecurityError, match=f"access to '{path}'"):
                await runtime.invoke_tool("file-operations", {**call, "path": path})
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


async def test_missing_files_raise_and_exists_answers(invoke: Invoke) -> None:
    for operation in ("read", "delete", "metadata"):
        with pytest.raises(NotFoundError, match="nope"):
            await invoke(operation, path="nope")
    assert response(await invoke("exists", path="nope"))["result"] == {"exists": False}
    assert response(await invoke("exists", path="."))["result"] == {"exists": True}


async def test_a_directory_may_be_made_twice_but_not_over_a_file(room: Path, invoke: Invoke) -> None:
    for _ in range(2):
        assert response(await invoke("create_dir", path="made"))["success"] is True
    (room / "file").write_text("x")
    with pytest.raises(LLMSpellError, match="exists already"):
        await invoke("create_dir", path="file")


async def test_directories_are_made_and_listed(room: Path, invoke: Invoke) -> None:
    await invoke("create_dir", path="a/b", recursive=True)
    (room / "a" / "file.txt").write_text("123")
    output = await invoke("list_dir", path="a")
    result = response(output)["result"]
    assert result["count"] == 2
    assert [(e["name"], e["type"]) for e in result["entries"]] == [("b", "directory"), ("file.txt", "file")]
    assert set(result["entries"][1]) == {"name", "path", "type", "size", "modified"}
    assert "file\t3\tfile.txt" in output.text
    assert response(await invoke("list_dir", path=".", recursive=True))["result"]["count"] == 3


async def test_copy_move_delete_and_metadata(room: Path, invoke: Invoke) -> None:
    (room / "a.txt").write_text("abc")
    copied = await invoke("copy", source_path="a.txt", target_path="b.txt")
    assert response(copied)["result"] == {"source": "a.txt", "target": "b.txt"}
    await invoke("move", source_path="b.txt", target_path="c.txt")
    facts = response(await invoke("metadata", path="c.txt"))["result"]
    assert (facts["type"], facts["size"], facts["readonly"]) == ("file", 3, False)
    assert facts["modified"].endswith("Z")
    await invoke("delete", path="c.txt")
    assert [p.name for p in room.iterdir()] == ["a.txt"]


async def test_a_name_forges_no_entry_of_a_listing(room: Path, invoke: Invoke) -> None:
    name = "a\nfile\t9\tforged.txt \u2028\u202e\\n"
    (room / name).write_text("")
    (room / "back\\slash").write_text("")
    output = await invoke("list_dir", path=".")
    assert output.text.splitlines()[1:] == [
        "file\t0\ta\\nfile\\t9\\tforged.txt \\u2028\\u202e\\\\n",
        "file\t0\tback\\slash",
    ]
    assert [e["name"] for e in response(output)["result"]["entries"]] == [name, "back\\slash"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux takes any bytes for a name")
async def test_names_that_cannot_be_decoded_are_shown(room: Path, invoke: Invoke) -> None:
    folder = os.path.join(os.fsencode(room), b"fold\xfer")
    os.mkdir(folder)
    with open(os.path.join(folder, b"bad\xff.txt"), "wb"):
        pass
    output = await invoke("list_dir", path=".", recursive=True)
    found = response(output)["result"]["entries"]
    assert [e["name"] for e in found] == ["fold\ufffdr", "bad\ufffd.txt"]
    assert found[1]["path"].endswith("fold\ufffdr/bad\ufffd.txt")
    output.text.encode()
    json.dumps(response(output), ensure_ascii=False).encode()


async def test_a_byte_order_mark_is_no_part_of_the_text(room: Path, invoke: Invoke) -> None:
    (room / "marked.json").write_bytes(b"\xef\xbb\xbf[1]\r\n")
    output = await invoke("read", path="marked.json")
    assert output.text == "[1]\r\n"
    assert response(output)["result"] == {"text": "[1]\r\n", "input": "[1]\r\n", "size": 8, "bom": True}
    assert "byte order mark" in response(output)["message"]


async def test_a_listing_goes_as_deep_as_the_folders(room: Path, invoke: Invoke) -> None:
    (room / "/".join("abcdefghijklmnop")).mkdir(parents=True)
    assert response(await invoke("list_dir", path=".", recursive=True))["result"]["count"] == 16


@pytest.mark.parametrize(
    ("synonym", "operation"),
    [
        ("mkdir", "create_dir"), ("ls", "list_dir"), ("DIR", "list_dir"), ("cp", "copy"), ("mv", "move"),
        ("rename", "move"), ("stat", "metadata"), ("info", "metadata"),
    ],
)  # fmt: skip
def test_synonyms_are_understood(synonym: str, operation: str) -> None:
    assert FileOperations().validate_parameters({"operation": synonym}).operation == operation


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"operation": "fly"}, "operation"),
        ({}, "operation"),
        ({"operation": "read"}, "path"),
        ({"operation": "write", "path": "a"}, "input"),
        ({"operation": "copy", "source_path": "a"}, "target_path"),
        ({"operation": "move", "target_path": "a"}, "source_path"),
    ],
)
async def test_missing_parameters_are_named(invoke: Invoke, parameters: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        await invoke(parameters.pop("operation", None), **parameters)
    assert caught.value.field == field


async def test_binary_files_are_not_read_as_text(room: Path, invoke: Invoke) -> None:
    (room / "a.bin").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValidationError, match="not utf-8 text") as caught:
        await invoke("read", path="a.bin")
    assert "binary" in str(caught.value.hint)


async def test_the_high_profile_does_not_run_it(room: Path) -> None:
    registry = Registry()
    registry.register("tools", FileOperations.name, FileOperations)
    async with Runtime({"runtime": {"security": {"profile": "high"}}}, registry=registry, cwd=room) as runtime:
        with pytest.raises(SecurityError, match="privileged"):
            await runtime.invoke_tool("file-operations", {"operation": "exists", "path": "."})
