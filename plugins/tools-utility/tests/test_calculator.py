from __future__ import annotations

import math

import pytest
from llmspell_tools_utility import expression

from llmspell_core.errors import ValidationError

VALUES = {
    "2 + 3 * 4": 14,
    "7 / 2": 3.5,
    "2^10": 1024,
    "2**10": 1024,
    "2^3^2": 512,
    "-2^2": -4,
    "2^-1": 0.5,
    "17 % 5": 2,
    "-7 % 3": -1,
    "sqrt(16) + abs(-5)": 9,
    "sin(pi() / 2)": 1,
    "ln(e())": 1,
    "log(2, 8)": 3,
    "log(10, 1000)": 3,
    "log(100)": 2,
    "exp(0)": 1,
    "sign(-3)": -1,
    "int(-2.7)": -2,
    "ceil(2.1)": 3,
    "floor(-2.1)": -3,
    "round(2.5)": 3,
    "round(-2.5)": -3,
    "round(3.14159, 2)": 3.14,
    "min(3, 1, 2)": 1,
    "max(3, 1, 2)": 3,
    "asinh(sinh(1))": 1,
    "acosh(cosh(1))": 1,
    "atanh(tanh(1))": 1,
    "tan(atan(1)) + cos(acos(0.5)) + sin(asin(0.5))": 2,
    "pi": math.pi,
    ".5 + 1e3": 1000.5,
}
TRUTHS = {
    "2 > 1": 1,
    "2 < 1": 0,
    "2 == 2": 1,
    "2 != 2": 0,
    "2 >= 2 && 1 <= 0": 0,
    "5 || 0": 1,
    "0 || 0": 0,
    "!0": 1,
    "!2 == 0": 1,
    "1 < 2 < 2": 0,
}
SPECIAL = {
    "1/0": "Infinity",
    "-1/0": "-Infinity",
    "0/0": "NaN",
    "5 % 0": "NaN",
    "sqrt(-1)": "NaN",
    "ln(0)": "-Infinity",
    "ln(-1)": "NaN",
    "exp(1000)": "Infinity",
    "sinh(-1000)": "-Infinity",
    "atanh(1)": "Infinity",
    "(-2)^0.5": "NaN",
    "0^-1": "Infinity",
    "(10^100)^100": "Infinity",
    "(-10^99)^99": "-Infinity",
    "1e999": "Infinity",
    "floor(-1/0)": "-Infinity",
}
REFUSED = {
    "2 +": "cannot be read near",
    "2 3": "near '3' at position 3",
    "2 @ 3": "'@' at position 3",
    "(2": "never closed",
    "2) + (3": "')' too many at position 2",
    "1, 2": "',' may only stand between",
    "   ": "is empty",
    "foo(1)": "no function 'foo'; there are: ",
    "2(3)": "only a function's name",
    "max()": "takes 1 to 100 arguments, got 0",
    "sqrt(1, 2)": "takes 1 arguments, got 2",
    "x + 1": "no variable 'x'",
    "sin": "no variable 'sin'",
    "'a'": "is not part of an expression",
    "factorial(5)": "'factorial' is not allowed",
    "while": "not allowed",
    "eval(1)": "not allowed",
    "exec + 1": "not allowed",
    "system": "not allowed",
    "exp( exp (1))": "'exp(exp' is not allowed",
    "pow(pow(2, 2), 2)": "'pow(pow' is not allowed",
    "__import__(1)": "no function '__import__'",
}


@pytest.mark.parametrize(("text", "value"), (VALUES | TRUTHS).items())
async def test_expression_has_its_value(invoke, text, value):
    result = (await invoke("calculator", input=text))["result"]
    assert result["result"] == pytest.approx(value, abs=1e-12)
    assert result["value"] == result["result"]
    assert result["result_type"] == "float"


@pytest.mark.parametrize(("text", "word"), SPECIAL.items())
async def test_what_is_not_finite_is_a_word(invoke, text, word):
    result = (await invoke("calculator", input=text))["result"]
    assert (result["result"], result["result_type"]) == (word, "special")


@pytest.mark.parametrize(("text", "words"), REFUSED.items())
async def test_what_cannot_be_computed_is_a_failure_that_says_why(invoke, text, words):
    envelope = await invoke("calculator", input=text)
    assert (envelope["success"], envelope["operation"]) == (False, "evaluate")
    assert words in envelope["error"]["message"]
    assert "functions" in envelope["error"]["details"]["hint"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1" * 1001, "1001 characters, the limit is 1000"),
        ("(" * 21 + "1" + ")" * 21, "deeper than 20"),
        ("+".join(["1"] * 102), "101 operations, the limit is 100"),
        ("-" * 900 + "1", "900 operations, the limit is 100"),
        (f"max({', '.join(['abs(1)'] * 50)})", "51 functions, the limit is 50"),
        ("sin(cos(sin(cos(sin(sin(1))))))", "sin() stands inside itself more than 3 times"),
        ("2^101", "exponent 101 is beyond the limit of 100"),
    ],
)
async def test_limits_hold(invoke, text, words):
    assert words in (await invoke("calculator", input=text))["error"]["message"]


async def test_just_within_the_limits_is_computed(invoke):
    for text in ("+".join(["1"] * 101), "(" * 20 + "1" + ")" * 20, "sin(sin(sin(0)))", "1^100"):
        assert (await invoke("calculator", input=text))["success"]


async def test_evaluation_stops_when_its_time_is_up(invoke, monkeypatch):
    monkeypatch.setattr(expression, "MAX_SECONDS", -1)
    assert "more than -1000 ms" in (await invoke("calculator", input="1+1"))["error"]["message"]


async def test_variables_are_used_and_echoed(invoke):
    result = (await invoke("calculator", expression="x^2 + lambda * if", variables={"x": 3, "lambda": 2, "if": 0.5}))[
        "result"
    ]
    assert result["result"] == 10
    assert result["variables"] == {"x": 3, "lambda": 2, "if": 0.5}


async def test_variable_may_take_the_name_of_a_constant(invoke):
    assert (await invoke("calculator", input="e + pi", variables={"e": 1, "pi": 2}))["result"]["result"] == 3


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({f"v{i}": i for i in range(51)}, "51 variables, the limit is 50"),
        ({"a b": 1}, "not a variable name"),
        ({"x": 10**400}, "too large"),
        ({"x" * 1_100_000: 1}, "the limit is 1048576"),
    ],
)
async def test_variables_have_limits(invoke, variables, words):
    assert words in (await invoke("calculator", input="1", variables=variables))["error"]["message"]


@pytest.mark.parametrize("value", ["3", True, None, [1]])
async def test_variable_that_is_no_number_is_refused(invoke, value):
    with pytest.raises(ValidationError) as caught:
        await invoke("calculator", input="x", variables={"x": value})
    assert caught.value.field.startswith("variables.x")


async def test_empty_script_table_is_no_variables(invoke):
    assert (await invoke("calculator", input="1", variables=[]))["result"]["variables"] == {}


async def test_missing_expression_names_the_field(invoke):
    with pytest.raises(ValidationError) as caught:
        await invoke("calculator")
    assert caught.value.field == "input"


async def test_envelope_tells_what_was_used(invoke):
    usage = (await invoke("calculator", input="1+2*3"))["resource_usage"]
    assert usage["operations_count"] == 5
    assert usage["memory_bytes"] > 0
    assert 0 <= usage["cpu_time_ms"] < 100


async def test_validate_tells_whether_it_can_be_read(invoke):
    good = await invoke("calculator", operation="validate", input="x + 1")
    assert good["result"] == {"input": "x + 1", "valid": True}
    bad = await invoke("calculator", operation="validate", input="1 +")
    assert bad["success"]
    assert bad["result"]["valid"] is False
    assert "cannot be read" in bad["result"]["error"]


async def test_functions_lists_everything_that_works(invoke):
    listed = (await invoke("calculator", operation="functions"))["result"]
    words = (
        "arithmetic comparison logical trigonometric hyperbolic mathematical rounding constants utility examples note"
    )
    assert set(listed) == set(words.split())
    for group in ("trigonometric", "hyperbolic", "mathematical", "rounding", "constants", "utility"):
        for call in listed[group]:
            text = (
                call.replace("a, b, ...", "1, 2")
                .replace("base", "2")
                .replace("digits", "2")
                .replace("(x", "(1")
                .replace("x)", "1)")
            )
            assert (await invoke("calculator", input=text))["success"], call
