"""What data weighs, and purses of it."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest

from llmspell_core.errors import ResourceLimitError
from llmspell_core.purse import Purse, indented, json_weight, measure, weigh

TEXTS = {
    "empty lists": "[" + "[]," * 50_000 + "[]]",
    "numbers": json.dumps([i * 1000 for i in range(50_000)]),
    "rows": json.dumps([{"id": i, "name": f"row {i}", "on": True} for i in range(20_000)]),
    "one text": json.dumps("x" * 1_000_000),
}


@pytest.mark.parametrize("name", TEXTS)
def test_data_weighs_about_what_python_takes_for_it(name: str) -> None:
    tracemalloc.start()
    value = json.loads(TEXTS[name])
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert 0.8 * taken < weigh(value) < 1.6 * taken
    assert 0.8 * taken < json_weight(TEXTS[name]) < 4 * taken


def test_weighing_ends_at_a_limit_also_where_data_contains_itself() -> None:
    endless: list[Any] = []
    endless += [endless, endless]
    assert 10_000 < weigh(endless, 10_000) < 30_000


def test_depth_is_told_without_recursion() -> None:
    deep: Any = 1
    for _ in range(50_000):
        deep = [deep]
    assert measure(deep)[1] == 50_000


def test_a_purse_gives_back_and_pays_from_the_one_it_is_part_of() -> None:
    whole = Purse("host", 1_000)
    part = Purse("timers", 600, whole)
    part.take(500)
    with pytest.raises(ResourceLimitError, match="too much in its timers: 700 bytes of memory, 600 are allowed"):
        part.take(200)
    whole.take(450)
    with pytest.raises(ResourceLimitError, match="too much in its host"):
        part.take(60)
    assert (part.used, whole.used) == (500, 950)
    part.give_back(500)
    assert (part.used, whole.used, part.has_room(550), part.has_room(551)) == (0, 450, True, False)


def test_json_for_people_is_indented_unless_that_is_most_of_it() -> None:
    assert indented({"a": [1]}) == '{\n  "a": [\n    1\n  ]\n}'
    deep: Any = list(range(300_000))
    for _ in range(60):
        deep = [deep]
    assert "\n" not in indented(deep)
