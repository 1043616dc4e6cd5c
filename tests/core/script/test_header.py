"""The header of a script: what looks like it is understood, or an error; nothing is passed over in silence."""

from __future__ import annotations

import pytest

from llmspell_core.errors import ValidationError
from llmspell_core.script.header import asked_profile


@pytest.mark.parametrize(
    "top",
    [
        "-- llmspell: security=high", "--llmspell:security=high", "// llmspell: security = high", "-- LLMSpell: Security = High",
        "/* llmspell: security=high */", "/*\n * llmspell: security=high\n */", "/*\nllmspell: security=high\n*/",
        "/** llmspell: security=high */", "--[[ llmspell: security=high ]]", "--[[\nllmspell: security=high\n]]",
        "--[==[\nx ]]\n  llmspell: security=high\n]==]", "#!/usr/bin/env llmspell\n-- llmspell: security=high",
        "#!/usr/bin/env llmspell\r\n-- llmspell: security=high\r\n", "\ufeff-- llmspell: security=high",
        "\ufeff#!/usr/bin/env llmspell\n// llmspell: security=high", "\n\n  -- llmspell: security=high", "--- llmspell: security=high",
        "-- title\r-- llmspell: security=high\r", "# llmspell: security=high", "//! llmspell: security=high",
        "'use strict';\n// llmspell: security=high", '-- llmspell: security="high"', "-- llmspell: security=high -- as asked",
        "-- llmspell: security=high (untrusted input)", "// a\u2028// llmspell: security=high", "<!-- llmspell: security=high",
        "-- llmspell: security\N{FULLWIDTH EQUALS SIGN}high", "--\u200bllmspell: security=high", "-- @llmspell: security=high",
        "-- llmspell: security=high\n-- llmspell: security=HIGH", "/* one */ /* llmspell: security=high */",
        "-- a\n" * 500 + "-- llmspell: security=high", "-- " + "x" * 30_000 + "\n-- llmspell: security=high",
        "-- llmspell: a script about security\n-- llmspell: security=high",
    ],
)  # fmt: skip
def test_a_wish_is_understood_in_every_comment_at_the_top(top: str) -> None:
    assert asked_profile(f"{top}\nprint(1)") == "high"
    assert asked_profile(f"{top}\nprint(1)".encode()) == "high"


@pytest.mark.parametrize(
    "top",
    [
        "-- llmspell: securty=high", "-- llmspell: security=hgih", "-- llmspell: security=", "-- llmspell: security",
        "-- llmspell: security high", "-- llmspell: security: high", "-- llmspell security=high", "-- llmspell = security=high",
        "-- llmspel: security=high", "-- llm-spell: security=high", "-- llm_spell: security=high", "-- spell: security=high",
        "-- llmspell: sandbox=high", "-- llmspell: profile=high", "-- llmspell: high", "-- security=high", "// security: high",
        "-- llmspell: security=high, timeout=5", "-- llmspell: security=high low", "-- llmspell: security==high",
        "-- llmspell: security=high|low", "-- llmspell:: security=high", "--[[\n llmspell security=high\n]]",
        "# llmspell security=high", "-- llmspell: security=high\n-- llmspell: security=low", "-- llmspell: timeout=5",
        "/* llmspell: securiy=high */", "\ufeff-- llmspell: secuirty=high", "-- llmspell: security=paranoid",
    ],
)  # fmt: skip
def test_what_looks_like_a_wish_and_is_none_is_an_error(top: str) -> None:
    with pytest.raises(ValidationError) as caught:
        asked_profile(f"{top}\nprint(1)")
    assert caught.value.hint


@pytest.mark.parametrize(
    "source",
    [
        "print(1)", "", "--", "-- llmspell: how agents talk to each other", "-- A spell: security is not its subject",
        "-- security: read the manual first", "-- This llmspell script has high standards", "print(1)\n-- llmspell: security=high",
        "local text = [[\n-- llmspell: security=high\n]]", "/* unfinished", "--[[ unfinished", "// llmspell: see README", "{}",
        "-- llmspell", "--[[ spelling ]] x = 1",
    ],
)  # fmt: skip
def test_other_comments_ask_for_nothing(source: str) -> None:
    assert asked_profile(source) is None
