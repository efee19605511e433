"""The look that all pages share, in one place: the report, the workshop's pages, and pages that are served."""

import re
from functools import cache
from importlib.resources import files
from typing import Final

_DARK: Final = re.compile(r':root\[data-theme="dark"\] (\{[^}]*\})')


@cache
def look() -> str:
    """The style sheet, without what a page has of its own. It loads nothing.

    The theme is the system's; ``data-theme="light"`` or ``"dark"`` at the root element overrules it.
    """
    text = files("tickover.report").joinpath("look.css").read_text(encoding="utf-8")
    dark = _DARK.search(text)
    if dark is None:
        raise ValueError('look.css: expected a rule for :root[data-theme="dark"]')
    return f'{text}@media (prefers-color-scheme: dark) {{ :root:not([data-theme="light"]) {dark[1]} }}\n'
