"""Python's collector of reference cycles, set up for a process that holds much and makes no cycles."""

import gc
from typing import Final

SELDOM: Final = 1000
"""Collections of the middle generation until the old one is looked through: about every two minutes at 10,000 messages
a second. Python's own value is 10."""


def collect_seldom() -> None:
    """Look through what has long been there less often.

    Messages that wait for their commit count as new objects that stay, so a busy daemon looked through all that it
    holds every two seconds: 0.3 s each time with 10,000 vehicles, in which nothing else runs. What a message leaves
    behind in a cycle is found by the younger generations, as before.
    """
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, SELDOM)
