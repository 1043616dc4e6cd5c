"""What `print` shows of tables: their content, within bounds."""

from __future__ import annotations

from typing import Any

SHOWN = {
    "{1, 2, x = 3}": "{1, 2, x = 3}",
    "{}": "{}",
    "{[0] = 'z', 'a'}": '{"a", [0] = "z"}',
    "{['a b'] = 1, [true] = 2, [1.5] = 3}": '{[1.5] = 3, [true] = 2, ["a b"] = 1}',
    "{'a\\n\"b\\0', print}": '{"a\\n\\"b\\000", <function>}',
    "{{{{{{{1}}}}}}}": "{{{{{{{...}}}}}}}",
    "cyclic": "{me = <cycle>}",
    "titled": "a title",
    "{titled}": "{a title}",
    "broken": "<its __tostring fails>",
    "Test.counter('n')": 'Counter {name = "n"}',
    "Test.builder()": "<builder: build() makes it>",
    "Test.later_async(1)": "<task: await() gives its value>",
}


async def test_print_shows_what_is_in_a_table(lua: Any) -> None:
    prints = "\n".join(f"print({{{value}}})" if value == "broken" else f"print({value})" for value in SHOWN)
    source = f"""
        local cyclic = {{}} cyclic.me = cyclic
        local titled = setmetatable({{}}, {{__tostring = function() return "a title" end}})
        local broken = setmetatable({{}}, {{__tostring = function() error("no") end}})
        {prints}"""
    expected = [f"{{{text}}}" if value == "broken" else text for value, text in SHOWN.items()]
    assert (await lua.output(source)).splitlines() == expected


async def test_a_text_that_an_answer_repeats_is_shown_once(lua: Any) -> None:
    text = "a long answer " * 10
    shown = await lua.output(f'local t = "{text}" print({{text = t, content = t, response = t, metadata = {{}}}})')
    assert shown.splitlines() == [
        "{",
        f'  text = "{text}",',
        "  content = <the same as text>,",
        "  metadata = {},",
        "  response = <the same as text>",
        "}",
    ]


async def test_what_is_wide_deep_or_long_is_cut_and_still_text(lua: Any) -> None:
    source = """
        local wide, many, deep, inner = {}, {}, {}
        for i = 1, 200000 do wide[i] = i many["k" .. i] = i end
        inner = deep
        for i = 1, 1000 do inner.x = {} inner = inner.x end
        print(wide) print(many) print(deep) print({("\u00e4"):rep(20000)})
        local heavy = {} for i = 1, 100 do heavy[i] = {("x"):rep(9000 + i)} end
        print(heavy)"""
    shown = await lua.output(source)
    assert "... 199900 more" in shown
    assert "... more" in shown
    assert "x = {...}" in shown
    assert "... (40000 bytes)" in shown
    assert "\ufffd" not in shown
    assert len(shown) < 150_000


async def test_a_global_is_shown_by_the_names_in_it(lua: Any) -> None:
    shown = await lua.output("print(JSON)")
    assert shown.startswith("JSON {")
    assert "parse" in shown
