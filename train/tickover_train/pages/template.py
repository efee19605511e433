"""Fills a page's template: one HTML file that needs no network, in the shared style, with everything escaped."""

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from tickover.report.look import look
from tickover_train.pages.words import number, percent, seconds

if TYPE_CHECKING:
    from jinja2 import Environment


def fill(template: str, /, **values: Any) -> str:
    """The page of a ``template`` in this folder, which extends ``base.html.j2``.

    All values are escaped but those that the template marks ``safe``: scripts and figures that plotly made. A value
    that the template uses and nobody gave raises ``jinja2.UndefinedError``.
    """
    page: str = _environment().get_template(template).render(look=look(), **values)
    return page


@cache
def _environment() -> "Environment":
    # Imported here: the commands start without it when no page is asked for.
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        loader=FunctionLoader(_source), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(percent=percent, seconds=seconds, number=number)
    return environment


def _source(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")
