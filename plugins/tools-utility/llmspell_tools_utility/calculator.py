"""The tool `calculator`."""

from __future__ import annotations

import math
import time
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, AllowInfNan, BaseModel, ConfigDict, Field, StrictFloat, StrictInt, field_validator

from llmspell_core.context import ExecutionContext
from llmspell_core.errors import ValidationError
from llmspell_core.tool import Tool, ToolResult
from llmspell_tools_utility.arithmetic import ExpressionError
from llmspell_tools_utility.expression import Evaluation, check_variables, memory_of, parse
from llmspell_tools_utility.returns import CALCULATOR

REFERENCE: dict[str, Any] = {
    "arithmetic": ["+", "-", "*", "/", "%", "^"],
    "comparison": ["==", "!=", "<", ">", "<=", ">="],
    "logical": ["&&", "||", "!"],
    "trigonometric": ["sin(x)", "cos(x)", "tan(x)", "asin(x)", "acos(x)", "atan(x)"],
    "hyperbolic": ["sinh(x)", "cosh(x)", "tanh(x)", "asinh(x)", "acosh(x)", "atanh(x)"],
    "mathematical": ["sqrt(x)", "exp(x)", "ln(x)", "log(base, x)", "log(x)", "abs(x)", "sign(x)"],
    "rounding": ["int(x)", "ceil(x)", "floor(x)", "round(x)", "round(x, digits)"],
    "constants": ["pi()", "e()"],
    "utility": ["min(a, b, ...)", "max(a, b, ...)"],
    "examples": {
        "basic": "2 + 3 * 4",
        "variables": "x^2 + y^2 with variables x=3, y=4",
        "functions": "sqrt(16) + abs(-5)",
        "trigonometry": "sin(pi() / 2)",
        "comparison": "(2 > 1) && (3 != 4)",
    },
    "note": "Angles are in radians. Comparisons yield 1 or 0. log(x) is to base 10. % has the sign of its left side.",
}


class Parameters(BaseModel):
    # A model must always send the expression; people may leave it out for `functions`.
    model_config = ConfigDict(json_schema_extra={"required": ["input"]})

    operation: Literal["evaluate", "validate", "functions"] = Field(
        "evaluate",
        description="evaluate computes the expression, validate only checks it, functions lists what may stand in one.",
    )
    input: str = Field(
        "",
        validation_alias=AliasChoices("input", "expression"),
        description="The expression, for example '2 + 3 * 4', 'sqrt(16) + x^2' or 'sin(pi() / 2)'.",
    )
    variables: dict[str, StrictInt | Annotated[StrictFloat, AllowInfNan(False)]] = Field(
        default_factory=dict, description='Values of the names in the expression, for example {"x": 3}. Numbers only.'
    )

    @field_validator("variables", mode="before")
    @classmethod
    def _empty_table(cls, value: Any) -> Any:
        return {} if value in ([], None) else value


class Calculator(Tool[Parameters]):
    name = "calculator"
    description = "Computes a mathematical expression exactly: arithmetic, powers, roots, logarithms, trigonometry."
    parameters = Parameters
    returns = CALCULATOR
    example = {"input": "2+2"}

    async def run(self, params: Parameters, ctx: ExecutionContext) -> ToolResult:
        if params.operation == "functions":
            return ToolResult(REFERENCE, message="What may stand in an expression")
        if not params.input:
            raise ValidationError(
                "calculator: 'input' is required", field="input", hint="Pass the expression, for example input='2+3*4'."
            )
        return _validate(params) if params.operation == "validate" else _evaluate(params)


def _validate(params: Parameters) -> ToolResult:
    try:
        parse(params.input)
    except ExpressionError as error:
        return ToolResult(
            {"input": params.input, "valid": False, "error": str(error)}, message="The expression is not valid"
        )
    return ToolResult({"input": params.input, "valid": True}, message="The expression is valid")


def _evaluate(params: Parameters) -> ToolResult:
    started = time.thread_time()
    try:
        variables = check_variables(params.variables)
        tree = parse(params.input)
        memory = memory_of(params.input, tree, variables)
        evaluation = Evaluation(variables)
        value = _presentable(evaluation.value_of(params.input, tree))
    except ExpressionError as error:
        return ToolResult.failure(str(error), operation="evaluate", hint="operation='functions' lists what is allowed.")
    usage = {
        "memory_bytes": memory,
        "cpu_time_ms": round((time.thread_time() - started) * 1000, 3),
        "operations_count": evaluation.steps,
    }
    result = {
        "input": params.input,
        "result": value,
        "value": value,
        "result_type": "special" if isinstance(value, str) else "float",
        "variables": params.variables,
    }
    return ToolResult(result, "evaluate", message="Expression evaluated", extra={"resource_usage": usage})


def _presentable(value: float) -> int | float | str:
    """Whole numbers without a decimal point while a double holds them exactly; JSON has no infinities, so words."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return int(value) if value.is_integer() and abs(value) < 2**53 else value
