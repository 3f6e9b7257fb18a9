from __future__ import annotations

import random

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from yoloscale.config.quoting import is_quoted, quote, unquote

PARSER = OverridesParser.create()
AWKWARD = ["a b", "it's", '"x"', "$(touch x)", "${HOME}", "a\\", "a\\'b", "\\${x}", "\\\\${x}", "", "null", "true", "1"]
AWKWARD += ["a=b,c", "{a}", "[1]", "é\t!", "a\nb", "'quoted'", "\\\\", "x\\${y}\\", "C:\\new", "~a", "+b", "#c", "%d"]


def hydra_reads(token: str) -> object:
    return OmegaConf.create({"key": PARSER.parse_override(f"key={token}").value()})["key"]


@pytest.mark.parametrize("text", AWKWARD)
def test_text_arrives_as_it_was_given(text: str) -> None:
    assert hydra_reads(quote(text)) == text
    assert unquote(quote(text)) == text


def test_any_mixture_of_grammar_characters_arrives() -> None:
    generator = random.Random(0)
    for _ in range(300):
        text = "".join(generator.choice("ab\\'\"${}() ,=[]:\n#%@") for _ in range(generator.randint(1, 9)))
        assert hydra_reads(quote(text)) == text
        assert unquote(quote(text)) == text


@pytest.mark.parametrize("value", [None, True, False, 3, -1, 0.5, 1e-7, [0, 2], ["a,b", None], {"a": [1, "b'"]}])
def test_values_keep_their_types(value: object) -> None:
    read = hydra_reads(quote(value))
    assert read == value
    assert type(read) is type(value) or OmegaConf.is_config(read)


def test_quoted_means_one_string_and_nothing_around_it() -> None:
    assert is_quoted("'a b'")
    assert is_quoted(r"'it\'s'")
    assert not is_quoted("'a' 'b'")
    assert not is_quoted("it's")
    assert unquote("it's") == "it's"
