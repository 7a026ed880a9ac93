"""Every kind of step can be carried out, and says what it is."""

from __future__ import annotations

import inspect

import pytest

from bluegreen.execution.effects import EFFECTS
from bluegreen.planning import proxysteps, steps
from bluegreen.planning.proxysteps import Activate, ProxyStep
from bluegreen.planning.steps import Step

ABSTRACT = {Step, ProxyStep, Activate, steps.Named, steps.OneContainer}
KINDS = [
    kind
    for module in (steps, proxysteps)
    for _, kind in inspect.getmembers(module, inspect.isclass)
    if issubclass(kind, Step) and kind not in ABSTRACT
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_step_has_an_effect_or_happens_on_the_proxys_side(kind: type[Step]) -> None:
    assert (kind in EFFECTS) is not issubclass(kind, ProxyStep)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_step_has_a_word_of_its_own_in_the_journal(kind: type[Step]) -> None:
    assert kind.verb
    assert kind.verb == kind.verb.lower()
