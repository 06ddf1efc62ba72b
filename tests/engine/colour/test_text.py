"""Colours as text, and text that is no colour."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from livetint.engine.colour.text import format_colour, parse_colour
from livetint.engine.errors import HintRejected


@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255))
def test_colour_text_round_trip(red, green, blue):
    text = f"#{red:02X}{green:02X}{blue:02X}"
    assert format_colour(parse_colour(text.lower())) == text


@pytest.mark.parametrize(
    ("name", "text"), [("tomato", "#FF6347"), ("Dark Olive Green", "#556B2F"), ("grey", "#808080")]
)
def test_colours_have_the_names_of_css(name, text):
    assert format_colour(parse_colour(name)) == text


def test_a_name_that_is_nearly_right_is_suggested():
    with pytest.raises(HintRejected, match="did you mean tomato"):
        parse_colour("tomatoe")


@pytest.mark.parametrize(
    "text", ["rot", "tomatoe", "#12345", "#1234567", "123456", "#GG0000", "", "# 12345", "#١٢٣٤٥٦"]
)
def test_misspelt_colours_are_refused(text):
    with pytest.raises(HintRejected, match="#RRGGBB"):
        parse_colour(text)
