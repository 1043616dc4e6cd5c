"""Texts of every size into a VM at every level of its memory: each works, or is one error that the script catches."""

from __future__ import annotations

import json
from typing import Any

import pytest

MB = 1024 * 1024
PIECES = {"ascii": "abcdefgh\n", "emoji": "\U0001f600\u00e9", "escapes": '"\\'}

FILL = r"""
const limit = Number(ARGS.limit);
let kept = [], worked = 0;
const refused = {};
function fill(percent) {
  kept = [];
  const each = 100000, wanted = limit * percent / 100 - 600000;
  try {
    for (let total = 0; total < wanted; total += each) kept.push("y".repeat(each - kept.length));
    while (percent === 100) kept.push("z".repeat(100 + kept.length));
  } catch {}
}
const calls = [
  (n) => Test.text(n, "ab\u00e9\u{1F600}\n"), (n) => Test.text_later(n, "ab\n"), (n) => Test.rows(Math.floor(n / 1000)),
];
for (const percent of [0, 90, 97, 100]) {
  for (const size of [1, 4000, 70000, 1000000, 20000000, 50000000]) {
    for (const call of calls) {
      fill(percent);
      try {
        await call(size);
        worked++;
      } catch (error) {
        kept = [];
        refused[error === null ? "null" : error.message.replace(/\d[\d,]*/g, "N")] = true;
      }
    }
  }
}
kept = [];
return { worked, refused: Object.keys(refused), after: Test.echo("alive") };
"""


async def test_every_size_at_every_level_of_memory_works_or_is_an_error_that_can_be_caught(js: Any) -> None:
    limit = 24 * MB
    found = await js.value(FILL, memory_bytes=limit, timeout=110, args={"limit": limit})
    assert found["after"] == "alive"
    assert found["worked"] > 25
    # Where there is no memory even for an error, code of the script's own throws null.
    assert all("memory" in message or message == "null" for message in found["refused"]), found["refused"]
    assert any("the result of Test.text takes N bytes" in message for message in found["refused"])


@pytest.mark.parametrize("kind", PIECES)
@pytest.mark.parametrize("megabytes", [1, 10, 50])
async def test_a_text_goes_to_the_script_and_back(js: Any, kind: str, megabytes: int) -> None:
    piece = PIECES[kind]
    source = f"const t = Test.text({megabytes} * 1048576, {json.dumps(piece)}); return [t.length, Test.size(t)]"
    there, back = await js.value(source, memory_bytes=500 * MB, timeout=60)
    count = megabytes * MB // len(piece.encode()) + 1
    assert (there, back) == (count * len(piece.encode("utf-16-le")) // 2, count * len(piece.encode()))


async def test_a_text_in_a_vm_that_is_too_small_names_the_sizes_and_what_to_do(js: Any) -> None:
    error = await js.error('Test.text(50 * 1048576, "x")', memory_bytes=20 * MB)
    assert "the result of Test.text takes 10" in error.message
    assert "may use 20,971,520" in error.message
    assert "raise runtime.security.max_memory_bytes" in (error.hint or "")


async def test_what_is_too_large_for_one_message_is_an_error_that_can_be_caught(js: Any) -> None:
    source = """
      const tried = [];
      for (const call of [Test.size, Test.later]) {
        try { await call("x".repeat(140000000)); } catch (error) { tried.push(error.message); }
        try { await call("\\u0001".repeat(30000000)); } catch (error) { tried.push(error.message); }
      }
      return [...tried, Test.echo("alive")];
    """
    *tried, after = await js.value(source, memory_bytes=800 * MB, timeout=60)
    assert after == "alive"
    assert ["takes 140,0" in tried[0], "takes 180,0" in tried[1]] == [True, True]
    assert ["takes 140,0" in tried[2], "takes 180,0" in tried[3]] == [True, True]


async def test_a_large_result_of_the_script_arrives_or_says_that_it_is_too_large(js: Any) -> None:
    assert len(await js.value('return "x".repeat(50000000)', memory_bytes=400 * MB, timeout=60)) == 50_000_000
    error = await js.error('return "\\u0001".repeat(30000000)', memory_bytes=800 * MB, timeout=60)
    assert "the script's result takes 180,0" in error.message


async def test_a_large_error_is_shortened(js: Any) -> None:
    error = await js.error('throw new Error("x".repeat(50000000))', memory_bytes=400 * MB, timeout=60)
    assert len(error.message) < 20_000
    assert "(50000000 characters in all)" in error.message


async def test_a_large_text_is_printed_whole(js: Any) -> None:
    text = await js.output('print("\\u00e9".repeat(5000000))')
    assert text == "\u00e9" * 5_000_000 + "\n"
