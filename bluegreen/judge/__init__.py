"""Whether a release is worse than the one before: pure statistics over what visitors were answered.

No I/O, no clock, no randomness: the same answers give the same verdict. What it guarantees, what it assumes and what
it can't see is in ``docs/judge.md``.
"""

from bluegreen.judge.bake import Bake, History
from bluegreen.judge.explain import Explanation, explain
from bluegreen.judge.judge import Judge

__all__ = ["Bake", "Explanation", "History", "Judge", "explain"]
