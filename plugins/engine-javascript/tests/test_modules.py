# ruff: noqa: E501 - each case is one line
"""`import` and `export`: the script itself may be a module, and files beside it are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llmspell_core.errors import ScriptError

FILES = {
    "lib/twice.js": "import { factor } from './factor.js';\nexport const twice = (x) => x * factor;\nexport const name = 'twice';",
    "lib/factor.js": "export const factor = 2;",
    "lazy.mjs": "const found = await Test.later('lazy');\nexport default found;",
    "data.json": '{"list": [1, 2], "__proto__": 3}',
    "thrower.js": "export function f() {\n  throw new Error('inner trouble');\n}",
    "wrong.js": "export const a = 1;\nexport const b = ;",
    "one.js": "import { two } from './two.js';\nexport const one = () => two;",
    "two.js": "import { one } from './one.js';\nexport const two = 5;\nexport const ask = () => one();",
    "endless.js": "for (;;);",
}


@pytest.fixture(autouse=True)
def files(js: Any) -> None:
    for name, source in FILES.items():
        path: Path = js.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(source, encoding="utf-8")


async def test_a_script_that_imports_is_a_module_and_its_default_export_the_result(js: Any) -> None:
    source = """#!/usr/bin/env llmspell
        import { twice, name as called } from './lib/twice.js';
        import * as all from './lib/twice.js';
        import data from './data.json';
        const lazy = await import('./lazy.mjs');
        export default [twice(21), called, all.twice === twice, data.list, lazy.default, await Test.later(1), Test.echo(2)];"""
    assert await js.value(source) == [42, "twice", True, [1, 2], "lazy", 1, 2]


async def test_an_ordinary_script_imports_while_it_runs(js: Any) -> None:
    source = "const { twice } = await import('./lib/twice.js'); return [twice(2), twice === (await import('./lib/twice.js')).twice]"
    assert await js.value(source) == [4, True]


async def test_modules_may_import_one_another(js: Any) -> None:
    assert await js.value("import { ask } from './two.js';\nexport default ask();") == 5


@pytest.mark.parametrize(
    ("source", "file", "line", "message"),
    [
        ("import { f } from './thrower.js';\n\nf();", "thrower.js", 2, "inner trouble"),
        ("import './lib/factor.js';\nthrow new Error('of the script');", "script.js", 2, "of the script"),
        ("import './lib/factor.js';\nTest.fail_now('no');", "script.js", 2, "no"),
        ("import './wrong.js';", "wrong.js", 2, "SyntaxError"),
        ("import './lib/factor.js';\nlet b = ;", "script.js", 2, "SyntaxError"),
        ("import './lib/factor.js';\nreturn 5", "script.js", 2, "return"),
    ],
)
async def test_an_error_names_the_file_and_its_line(js: Any, source: str, file: str, line: int, message: str) -> None:
    error = await js.error(source)
    assert (Path(error.file).name, error.line) == (file, line)
    assert message in error.message
    assert error.source_line


async def test_a_mistake_in_the_script_is_one_of_syntax_and_return_has_advice(js: Any) -> None:
    error = await js.error("import './lib/factor.js';\nreturn 5")
    assert (error.phase, error.hint) == ("syntax", "A module has no return: export default value.")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("./nowhere.js", "module './nowhere.js' not found"),
        ("../outside.js", "is not a module name"),
        ("/etc/passwd", "is not a module name"),
        ("fs", "module 'fs' not found"),
        ("", "is not a module name"),
    ],
)
async def test_what_cannot_be_imported_is_a_clear_error_that_can_be_caught(js: Any, name: str, message: str) -> None:
    assert message in (await js.error(f"import {name!r};")).message
    assert message in await js.value(f"return await import({name!r}).catch((e) => e.message)")


async def test_the_high_profile_imports_nothing(js: Any) -> None:
    assert (
        "'high' gives scripts neither modules" in (await js.error("import './lib/factor.js'", profile="high")).message
    )


async def test_a_module_that_never_ends_is_ended_by_the_deadline(js: Any) -> None:
    assert (await js.error("import './endless.js'", timeout=0.4)).phase == "deadline"


async def test_a_thousand_modules_that_are_not_there_do_no_harm(js: Any) -> None:
    source = "let n = 0; for (let i = 0; i < 1000; i++) await import(`./no${i}.js`).catch(() => n++); return n"
    assert await js.value(source) == 1000


async def test_modules_nested_too_deeply_are_a_clean_error(js: Any) -> None:
    for i in range(1500):
        (js.folder / f"m{i}.js").write_text(f"import './m{i + 1}.js';", encoding="utf-8")
    (js.folder / "m1500.js").write_text("export default 1", encoding="utf-8")
    assert (await js.error("import './m0.js'")).phase == "runtime"


async def test_a_cell_imports_with_await_and_is_told_so(js: Any, cell: Any) -> None:
    with pytest.raises(ScriptError) as caught:
        await cell("import x from './lib/factor.js'")
    assert caught.value.hint == "Here: const { name } = await import('./file.js')."


PACKAGES = {
    "inner/ask.js": "const { up } = require('../up'); const side = require('./side'); module.exports = [up, side, require('@scope/pack').name];",
    "inner/side.js": "module.exports = 'side ' + __filename.endsWith('side.js') + __dirname.endsWith('inner');",
    "up.js": "exports.up = 'up';",
    "node_modules/@scope/pack/package.json": '{"name": "@scope/pack", "main": "./lib/main.js"}',
    "node_modules/@scope/pack/lib/main.js": "exports.name = 'pack ' + require('near').near;",
    "node_modules/@scope/pack/node_modules/near/index.js": "exports.near = 'near';",
    "node_modules/esm/package.json": '{"exports": {".": {"import": "./esm.mjs"}}}',
    "node_modules/esm/esm.mjs": "import { up } from '../../up.mjs'; export const found = up;",
    "up.mjs": "export const up = 'from a package';",
    "counts.js": "globalThis.runs = (globalThis.runs ?? 0) + 1;",
    "asks.js": "const main = require('./script'); exports.same = main === require.main.exports; exports.early = main.early;",
    "imports.mjs": "import main from './script.js'; export const early = main.early;",
    "back.mjs": "import { runs } from './script.js'; export const seen = () => runs;",
}


@pytest.fixture
def packages(js: Any) -> Any:
    for name, source in PACKAGES.items():
        path: Path = js.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, encoding="utf-8")
    return js


async def test_names_are_meant_from_the_module_that_says_them(packages: Any) -> None:
    assert await packages.value("return require('./inner/ask')") == ["up", "side truetrue", "pack near"]
    assert await packages.value("import { found } from 'esm';\nexport default found") == "from a package"
    error = await packages.error("require('../x')")
    assert "leads out of the script's folder" in error.message


async def test_a_link_out_of_the_folder_is_no_module(packages: Any) -> None:
    (packages.folder / "link.js").symlink_to("/etc/hostname")
    assert "not found" in (await packages.error("require('./link')")).message


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("require('./counts'); exports.early = 5; const { same, early } = require('./asks'); return [same, early, require.main === module]",
         [True, 5, True]),
        ("exports.early = 6; return (await import('./imports.mjs')).early", 6),
        ("import { seen } from './back.mjs';\nglobalThis.n = (globalThis.n ?? 0) + 1;\nexport const runs = n;\nexport default [seen(), n]",
         [1, 1]),
    ],
)  # fmt: skip
async def test_a_script_that_its_own_modules_load_runs_once(packages: Any, source: str, value: Any) -> None:
    (packages.folder / "script.js").write_text(source, encoding="utf-8")
    assert await packages.value(source) == value


async def test_parts_of_node_are_named_with_what_to_use_instead(js: Any) -> None:
    for name in ("fs", "node:fs", "fs/promises", "path", "child_process"):
        error = await js.error(f"require('{name}')")
        assert "is a part of Node.js" in error.message
        assert error.hint


async def test_functions_that_a_script_exports_are_not_its_result(js: Any) -> None:
    for source in ("export const a = 1", "export default function main() {}", "export default class {}"):
        assert await js.value(source) is None
    assert await js.value("export default { a: 1 }") == {"a": 1}


async def test_typescript_is_said_to_need_a_compiler(js: Any) -> None:
    (js.folder / "typed.ts").write_text("export const x: number = 1", encoding="utf-8")
    error = await js.error("import './typed.ts'")
    assert "typed.ts is no JavaScript yet" in error.message
