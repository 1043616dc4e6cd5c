"""Parameters of tools and templates: one pydantic model each, seen as a list by people and as a JSON schema by models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, TypeVar, get_args

from pydantic import AliasChoices, BaseModel
from pydantic import ValidationError as PydanticError

from llmspell_core.errors import ValidationError
from llmspell_core.messages import plain
from llmspell_core.names import nearest
from llmspell_core.redaction import SECRET_NAME

__all__ = ["ParameterDef", "ToolSchema", "model_schema", "validated"]

P = TypeVar("P", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class ParameterDef:
    name: str
    type: str
    description: str = ""
    required: bool = False
    default: Any = None
    enum: tuple[Any, ...] | None = None

    def to_dict(self) -> dict[str, Any]:
        data: dict[str, Any] = {
            "name": self.name,
            "type": self.type,
            "description": self.description,
            "required": self.required,
        }
        if self.default is not None:
            data["default"] = plain(self.default)
        if self.enum:
            data["enum"] = list(self.enum)
        return data


@dataclass(frozen=True, slots=True)
class ToolSchema:
    """A tool's parameters, as a list for people and as a JSON schema for models."""

    name: str
    description: str
    json_schema: dict[str, Any]
    returns: str | None = None

    @property
    def parameters(self) -> list[ParameterDef]:
        required = set(self.json_schema.get("required", ()))
        properties: dict[str, Any] = self.json_schema.get("properties", {})
        return [
            ParameterDef(
                name,
                _type_word(spec),
                spec.get("description", ""),
                name in required,
                spec.get("default"),
                tuple(spec["enum"]) if "enum" in spec else None,
            )
            for name, spec in properties.items()
        ]

    def to_json_schema(self) -> dict[str, Any]:
        return self.json_schema

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "description": self.description,
            "parameters": [p.to_dict() for p in self.parameters],
        }


def _type_word(spec: Mapping[str, Any]) -> str:
    if "type" in spec:
        word = spec["type"]
        return str(word if isinstance(word, str) else next(w for w in word if w != "null"))
    words = [_type_word(option) for option in spec.get("anyOf", ()) if option.get("type") != "null"]
    return words[0] if len(set(words)) == 1 else "any"


def validated(name: str, model: type[P], params: Any, *, hint: str) -> P:
    """`params` as an instance of `model`; `name` is whose parameters they are.

    What the model does not have is an error, unless it says `extra="allow"`.

    Raises:
        ValidationError: names every wrong field, and for an unknown one the nearest.
    """
    if params == [] or params is None:  # an empty script table
        params = {}
    if not isinstance(params, Mapping):
        raise ValidationError(f"{name}: parameters must be an object, got {type(params).__name__}", field="parameters")
    try:
        return model.model_validate(params, extra=_extra(model))
    except PydanticError as error:
        problems = error.errors(include_url=False, include_context=False)
    first = ".".join(str(part) for part in problems[0]["loc"]) or "parameters"
    raise ValidationError(f"{name}: {'; '.join(_problem(each, model) for each in problems)}", field=first, hint=hint)


@lru_cache(maxsize=512)
def _extra(model: type[BaseModel]) -> Literal["forbid"] | None:
    """None where this model, or one inside of it, takes anything: what is said here would hold for all of them."""
    return None if any(each.model_config.get("extra") for each in _models(model, set())) else "forbid"


def _models(annotation: Any, seen: set[Any]) -> set[type[BaseModel]]:
    """The models in an annotation, and those in their fields."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if annotation not in seen:
            seen.add(annotation)
            for field in annotation.model_fields.values():
                _models(field.annotation, seen)
    else:
        for inner in get_args(annotation):
            _models(inner, seen)
    return seen


def without_superseded(model: type[BaseModel], before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """`after`, in which a name that is new or has a new value stands for the other names of its parameter in `before`."""
    kept = dict(after)
    for names in _names_of_each(model):
        present = [name for name in names if name in kept]
        changed = [name for name in present if name not in before or before[name] != kept[name]]
        for name in present if 0 < len(changed) < len(present) else ():
            if name not in changed:
                del kept[name]
    return kept


def _names_of_each(model: type[BaseModel]) -> Iterator[list[str]]:
    """What each field of a model is called by those who fill it."""
    for name, field in model.model_fields.items():
        given = field.validation_alias or field.alias or name
        choices = given.choices if isinstance(given, AliasChoices) else [given]
        yield [choice for choice in choices if isinstance(choice, str)]


def _names(model: type[BaseModel]) -> list[str]:
    return [name for names in _names_of_each(model) for name in names]


def _unknown(loc: tuple[str | int, ...], model: type[BaseModel]) -> str:
    owner: Any = model
    for part in loc[:-1]:
        fields = owner.model_fields if isinstance(owner, type) and issubclass(owner, BaseModel) else {}
        if part in fields:
            owner = next((each for each in _models(fields[part].annotation, set())), None)
    names = _names(owner) if owner is not None else []
    if loc[-1] in names:
        return f"'{'.'.join(map(str, loc))}' is another name of a parameter that is given too: give it once"
    near = nearest(str(loc[-1]), names)
    return f"unknown parameter '{'.'.join(map(str, loc))}'" + (f" (did you mean '{near}'?)" if near else "")


def _problem(problem: Mapping[str, Any], model: type[BaseModel]) -> str:
    if problem["type"] == "extra_forbidden":
        return _unknown(problem["loc"], model)
    where = ".".join(str(part) for part in problem["loc"]) or "parameters"
    if problem["type"] == "missing":
        return f"'{where}' is required"
    hidden = isinstance(problem["input"], Mapping) or any(map(_may_be_secret, problem["loc"]))
    got = "" if hidden else f", got {_short(problem['input'])}"
    message = problem["msg"][0].lower() + problem["msg"][1:]
    return f"'{where}': {message.removeprefix('value error, ')}{got}"


def _may_be_secret(part: str | int) -> bool:
    name = str(part).lower().replace("-", "_")
    return name in {"auth", "authorization", "cookie", "headers"} or SECRET_NAME.search(name) is not None


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def model_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of a pydantic model without titles and `$ref`, as small as models and people like it."""
    schema = model.model_json_schema()
    return _strip(schema, schema.get("$defs", {}))  # type: ignore[no-any-return]


def _strip(node: Any, defs: dict[str, Any]) -> Any:
    if isinstance(node, list):
        return [_strip(item, defs) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        target = defs.get(node["$ref"].rsplit("/", 1)[-1], {})
        return _strip({**target, **{k: v for k, v in node.items() if k != "$ref"}}, defs)
    kept: dict[str, Any] = {}
    for key, value in node.items():
        if key == "properties":
            kept[key] = {name: _strip(spec, defs) for name, spec in value.items()}
        elif key not in {"title", "$defs"}:
            kept[key] = _strip(value, defs)
    return kept
