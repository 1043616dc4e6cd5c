"""The contract that every engine keeps, in JavaScript."""

from __future__ import annotations

from llmspell_core.testing import EngineContract
from llmspell_core.testing.engine import Snippets


class TestJavaScript(EngineContract):
    engine = "javascript"
    snippets = Snippets(
        echo="return JSON.parse(ARGS.value)",
        prints='console.log("one"); print("two")',
        fails_on_line_three="let x = 1;\nx += 1;\nthrow new Error('boom');",
        syntax_error="let = = 3",
        calls_tool="""
            const outer = async () => {
              const inner = () => Tool.execute("probe", {text: "ping"});
              return (await Promise.all([inner(), inner()]))[1];
            };
            return (await outer()).result.echo""",
        catches_tool_error='try { await Tool.execute("probe", {text: 42}) } catch (e) { return e.message }',
        endless="while (true) {}",
        endless_guarded="while (true) { try { while (true) {} } catch {} finally { continue } }",
        hungry="const t = []; while (true) t.push('x'.repeat(1000) + t.length)",
        sets_global="globalThis.leaked = 1",
        reads_global="return globalThis.leaked !== undefined",
        hook="""
            Hook.register("BeforeToolExecution", ctx => ({type: "cancel", reason: "no"}));
            try { await Tool.execute("probe", {text: "x"}) } catch (e) { return e.message }""",
        escapes=(
            "return require('fs').readFileSync('@secret@', 'utf8')",
            "return (await import('fs')).readFileSync('@secret@', 'utf8')",
            "return std.loadFile('@secret@')",
            "return os.open('@secret@')",
            "return process.binding('fs')",
            "return Function('return this')().constructor.constructor('return process')().mainModule",
            "return fetch('file://@secret@')",
        ),
    )
