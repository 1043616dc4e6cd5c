"""The globals as scripts see them, generated from one declaration."""

from __future__ import annotations

from typing import Any


async def test_every_name_exists_in_both_spellings(js: Any) -> None:
    script = "return [Test.type_of(1), Test.typeOf('x'), typeof Test.apply_now, typeof Test.applyNow]"
    assert await js.value(script) == ["int", "str", "function", "function"]


async def test_functions_need_no_receiver_and_have_their_name(js: Any) -> None:
    assert await js.value("const f = Test.typeOf; return [f(1.5), f.name]") == ["float", "typeOf"]


async def test_constants_and_subglobals_are_there(js: Any) -> None:
    assert await js.value("return [Test.LIMIT, Test.Sub.answer()]") == [7, 42]


async def test_an_unknown_member_asks_the_host(js: Any) -> None:
    assert await js.value("return [Test['some-tool'], Test.nothing, await Test === Test]") == [
        "found some-tool",
        None,
        True,
    ]


async def test_handles_are_objects_with_fields_and_methods(js: Any) -> None:
    script = """
      const c = Test.counter('c1');
      c.add_up(2);
      return [c.name, c.addUp(3), await c.numbers().collect(), Object.keys(c), String(c), 'then' in c, await c === c]"""
    assert await js.value(script) == ["c1", 5, [0, 1, 2, 3, 4], ["name"], "[object Counter]", False, True]


async def test_a_method_without_its_object_says_so(js: Any) -> None:
    error = await js.error("const {addUp} = Test.counter('c');\naddUp(1)")
    assert "must be called on its object" in error.message
    assert error.line == 2


async def test_a_forged_handle_is_refused(js: Any) -> None:
    error = await js.error("const c = Test.counter('c');\nc.addUp.call({$handle: 'Counter', id: 1}, 5)")
    assert "must be called on its object" in error.message


async def test_a_builder_collects_and_builds_at_once(js: Any) -> None:
    script = """
      const b = Test.builder();
      return [b.systemPrompt('be brief').tool('a').tool('b').settings({systemPrompt: 'shorter', other: 1}).fast() === b,
              b.build()]"""
    fields = {"system_prompt": "shorter", "tools": ["a", "b"], "other": 1, "speed": True}
    assert await js.value(script) == [True, fields]


async def test_a_builder_takes_a_copy_of_what_it_is_given(js: Any) -> None:
    script = "const list = {a: 1}; const b = Test.builder().settings(list); list.a = 2; return b.build()"
    assert await js.value(script) == {"a": 1}


async def test_option_tables_take_both_spellings(js: Any) -> None:
    assert await js.value("return Test.configure({maxTokens: 1, top_p: 2, Name: 3})") == {
        "max_tokens": 1,
        "top_p": 2,
        "Name": 3,
    }


async def test_a_posted_call_wants_no_answer(js: Any) -> None:
    assert await js.value("return Test.note({a: 1}) === undefined") is True
    assert js.posted == [{"a": 1}]


async def test_globals_can_be_replaced_by_a_script(js: Any) -> None:
    assert await js.value("globalThis.Test = 5; return Test") == 5


async def test_the_source_of_a_global_is_run_with_it(js: Any) -> None:
    from llmspell_core.script.api import ScriptApi
    from llmspell_core.script.declare import Function, Global

    code = "G.double = (n) => vm.call('Maths.times', n, 2);"
    times = Function("times", lambda _s, a, b: a * b, varargs=True)
    js.api = ScriptApi((Global("Maths", functions=(times,), sources={"javascript": code}),))
    assert await js.value("return Maths.double(21)") == 42


async def test_a_global_named_like_a_native_one_completes_it(js: Any) -> None:
    from llmspell_core.script.api import ScriptApi
    from llmspell_core.script.declare import Function, Global, Param

    query = Function("query", lambda _s, v, path: v[path], (Param("v", "any"), Param("path", "string")))
    native = Function("parse", lambda _s, text: "not this one", (Param("text", "string"),))
    js.api = ScriptApi((Global("JSON", functions=(query, native)),))
    assert await js.value("return [JSON.query({a: 5}, 'a'), JSON.parse('[1]'), JSON.stringify({})]") == [5, [1], "{}"]
