"""Texts of every size into a VM at every level of its memory: each works, or is one error that the script catches."""

from __future__ import annotations

from typing import Any

import pytest

MB = 1024 * 1024

FILL = """
local kept, limit, worked, refused = {}, ARGS.limit, 0, {}
local function fill(percent)
  kept = {}
  collectgarbage()
  local wanted = limit * percent // 100
  local ok = pcall(function()
    while collectgarbage("count") * 1024 < wanted - 200000 do kept[#kept + 1] = string.rep("y", 50000 + #kept) end
    while percent == 100 do kept[#kept + 1] = string.rep("z", 100 + #kept) end
  end)
end
for _, percent in ipairs { 0, 50, 90, 97, 99, 100 } do
  for _, size in ipairs { 1, 4000, 70000, 1000000, 20000000, 50000000 } do
    for _, call in ipairs { Test.text, function(n) return Test.rows(n // 1000) end } do
      fill(percent)
      local ok, value = pcall(call, size, "ab\\u{e9}\\u{1F600}\\n")
      if ok then worked = worked + 1 else refused[tostring(value):gsub("%d[%d,]*", "N")] = true end
      value = nil
    end
  end
end
kept = {}
local list = {}
for message in pairs(refused) do list[#list + 1] = message end
return { worked = worked, refused = list, after = Test.echo("alive") }
"""


@pytest.mark.parametrize("variant", ["lua54", "luajit"])
async def test_every_size_at_every_level_of_memory_works_or_is_an_error_that_can_be_caught(
    lua: Any, variant: str
) -> None:
    limit = 24 * MB
    source = FILL if variant == "lua54" else FILL.replace("limit * percent // 100", "math.floor(limit * percent / 100)")
    source = source.replace("n // 1000", "math.floor(n / 1000)")
    found: dict[str, Any] = await lua.value(
        source, variant=variant, memory_bytes=limit, timeout=110, args={"limit": limit}
    )
    assert found["after"] == "alive"
    assert found["worked"] > 30
    assert all("memory" in message for message in found["refused"]), found["refused"]
    assert any("the result of Test.text takes N bytes" in message for message in found["refused"])


@pytest.mark.parametrize("piece", ["abcdefgh\\n", "\\u{1F600}\\u{e9}", '\\"\\\\'], ids=["ascii", "emoji", "escapes"])
@pytest.mark.parametrize("megabytes", [1, 10, 50])
async def test_a_text_goes_to_the_script_and_back(lua: Any, piece: str, megabytes: int) -> None:
    source = f'local t = Test.text({megabytes} * 1048576, "{piece}") return {{#t, Test.size(t)}}'
    there, back = await lua.value(source, memory_bytes=400 * MB, timeout=60)
    assert there == back >= megabytes * MB


async def test_a_text_in_a_vm_that_is_too_small_names_the_sizes_and_what_to_do(lua: Any) -> None:
    error = await lua.error('Test.text(50 * 1048576, "x")', memory_bytes=20 * MB)
    assert "takes 52,4" in error.message
    assert "may use 20,971,520" in error.message
    assert "raise runtime.security.max_memory_bytes" in (error.hint or "")


async def test_what_is_too_large_for_one_message_is_an_error_that_can_be_caught(lua: Any) -> None:
    source = """
      local big = string.rep("x", 140000000)
      local ok, problem = pcall(Test.size, big)
      local escaped = string.rep("\\1", 30000000)
      local fine, other = pcall(Test.size, escaped)
      return {ok, problem, fine, other, Test.echo("alive")}
    """
    ok, problem, fine, other, after = await lua.value(source, memory_bytes=400 * MB, timeout=60)
    assert (ok, fine, after) == (False, False, "alive")
    assert "140000000 bytes cannot be handed over" in problem
    assert "Test.size: what was given to it takes 180,0" in other


async def test_a_large_result_of_the_script_arrives_or_says_that_it_is_too_large(lua: Any) -> None:
    assert len(await lua.value('return string.rep("x", 50000000)', memory_bytes=400 * MB, timeout=60)) == 50_000_000
    error = await lua.error('return string.rep("\\1", 30000000)', memory_bytes=400 * MB, timeout=60)
    assert "the script's result takes 180,0" in error.message


async def test_a_large_error_is_shortened(lua: Any) -> None:
    error = await lua.error('error(string.rep("x", 50000000))', memory_bytes=400 * MB, timeout=60)
    assert len(error.message) < 20_000
    assert "(50000014 bytes in all)" in error.message


async def test_a_large_text_is_printed_whole(lua: Any) -> None:
    text = await lua.output('print(string.rep("\\u{e9}", 5000000))', memory_bytes=100 * MB, timeout=60)
    assert text == "\u00e9" * 5_000_000 + "\n"
