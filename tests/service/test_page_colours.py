"""The states' colours can be told apart by people with any common kind of colour blindness, in both themes."""

import itertools
import re
from pathlib import Path

import numpy as np
import pytest

CSS = (Path(__file__).parents[2] / "engine" / "service" / "page" / "app.css").read_text()
STATES = ("critical", "warning", "info", "pending", "unknown", "maintenance", "paused", "ok")
# Machado, Oliveira, Fernandes 2009, severity 1.0: what is left of linear RGB.
SEEN_BY = {
    "all cones": np.eye(3),
    "protanopes": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                            [-0.003882, -0.048116, 1.051998]]),
    "deuteranopes": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                              [-0.011820, 0.042940, 0.968881]]),
    "tritanopes": np.array([[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                            [0.004733, 0.691367, 0.303900]]),
}  # fmt: skip
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def themes():
    dark, rest = CSS.split("@media (prefers-color-scheme: light)", 1)
    by_system, chosen = rest.split(':root[data-theme="light"]', 1)
    return {"dark": dark, "light, by the system": by_system, "light, chosen": chosen}


def linear(text, name):
    code = re.search(rf"--{name}: #([0-9a-f]+)", text)[1]
    code = "".join(2 * one for one in code) if len(code) == 3 else code
    value = np.array([int(code[i : i + 2], 16) for i in (0, 2, 4)]) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    scaled = TO_XYZ @ np.clip(rgb, 0, 1) / np.array([0.9505, 1.0, 1.089])
    f = np.where(scaled > 0.008856, np.cbrt(scaled), 7.787 * scaled + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("seen_by", SEEN_BY)
@pytest.mark.parametrize("theme", themes())
def test_states_differ_by_colour_for_everybody(theme, seen_by):
    text = themes()[theme]
    seen = {state: lab(SEEN_BY[seen_by] @ linear(text, state)) for state in STATES}
    for one, other in itertools.combinations(STATES, 2):
        # CIE 1976; about 2.3 is just noticed beside each other. What is worst differs most.
        least = 25 if "critical" in (one, other) else 15
        assert np.linalg.norm(seen[one] - seen[other]) >= least, (one, other)


@pytest.mark.parametrize("theme", themes())
def test_a_states_colour_stands_out_from_what_it_lies_on(theme):
    text = themes()[theme]

    def bright(name):
        return float(TO_XYZ[1] @ linear(text, name)) + 0.05

    for state in STATES:
        # WCAG 2.2, 1.4.11: parts of graphics.
        ratio = max(bright(state), bright("panel")) / min(bright(state), bright("panel"))
        assert ratio >= 3.0, state
