"""Promises, timers and streams."""

from __future__ import annotations

from typing import Any


async def test_a_hundred_calls_run_together(js: Any) -> None:
    script = "return (await Promise.all(Array.from({length: 100}, () => Test.together(100)))).length"
    assert await js.value(script) == 100
    assert js.meter.most == 100


async def test_awaited_calls_run_one_after_the_other(js: Any) -> None:
    await js.value("for (let i = 0; i < 5; i++) await Test.together(1)")
    assert (js.meter.most, js.meter.calls) == (1, 5)


async def test_race_any_and_settled_work(js: Any) -> None:
    script = """
      return [await Promise.race([Test.later('slow', 0.2), Test.later('quick')]),
              await Promise.any([Test.fail('x'), Test.later('second')]),
              (await Promise.allSettled([Test.fail('x'), Test.later(1)])).map(r => r.status)]"""
    assert (await js.result(script + ".slice()", timeout=3)).value == ["quick", "second", ["rejected", "fulfilled"]]


async def test_then_catch_and_finally_work(js: Any) -> None:
    script = """
      const seen = [];
      await Test.fail('x').catch(e => seen.push(e.message)).finally(() => seen.push('finally'));
      await Test.later(1).then(v => seen.push(v));
      return seen"""
    assert await js.value(script) == ["x", "finally", 1]


async def test_the_async_variant_is_a_promise_and_takes_a_callback(js: Any) -> None:
    script = """
      const seen = [];
      await Test.later_async(1, 0, (value, error) => seen.push([value, error]));
      return [await Test.laterAsync(2), seen]"""
    assert await js.value(script) == [2, [[1, None]]]


async def test_a_script_ends_when_its_timers_and_calls_have_ended(js: Any) -> None:
    script = """
      setTimeout(() => print('timer'), 20);
      Test.later('call', 0.04).then(print);
      let n = 0; const i = setInterval(() => { print(++n); if (n == 3) clearInterval(i) }, 2);
      return 'result'"""
    result = await js.result(script)
    assert result.value == "result"
    assert result.output.split() == ["1", "2", "3", "timer", "call"]


async def test_timers_fire_in_order_and_can_be_cleared(js: Any) -> None:
    script = """
      const seen = [];
      setTimeout((a, b) => seen.push(a + b), 10, 'l', 'ast');
      setTimeout(() => seen.push('first'), 1);
      clearTimeout(setTimeout(() => seen.push('never'), 2));
      queueMicrotask(() => seen.push('micro'));
      await sleep(20);
      return seen"""
    assert await js.value(script) == ["micro", "first", "last"]


async def test_an_error_in_a_timer_is_the_scripts_error(js: Any) -> None:
    error = await js.error("setTimeout(() => {\n  throw new Error('late')\n}, 1);\nreturn 1")
    assert (error.message, error.line) == ("late", 2)


async def test_a_stream_is_read_with_for_await(js: Any) -> None:
    script = "const seen = []; for await (const n of Test.numbers(5)) seen.push(n); return seen"
    assert await js.value(script) == [0, 1, 2, 3, 4]


async def test_a_stream_may_be_left_early_or_collected(js: Any) -> None:
    script = """
      let last; for await (const n of Test.numbers(100)) { last = n; if (n == 2) break }
      return [last, await Test.numbers(3).collect()]"""
    assert await js.value(script) == [2, [0, 1, 2]]


async def test_top_level_await_and_return_work(js: Any) -> None:
    assert await js.value("if (await Test.later(true)) return 'early'; return 'late'") == "early"


async def test_modules_are_loaded_once_through_the_host(js: Any) -> None:
    script = """
      return [require('lib').answer(), require('data.json').a, require('./inner/counted').times, require('./inner/counted').times,
              require('lib') === require('./inner/counted').again, typeof secret]"""
    assert await js.value(script) == [42, [1, 2], 1, 1, True, "undefined"]


async def test_arguments_are_args_and_process_argv(js: Any) -> None:
    words = ["in.txt", "--out", "o", "--flag"]
    script = "return [ARGS[0], ARGS[1], ARGS.out, args.flag, ARGS === args, process.argv]"
    result = await js.result(script, args=words)
    assert result.value == ["script.js", "in.txt", "o", "true", True, ["llmspell", "script.js", *words]]
