"""The pages' templates: text from outside is escaped, a name that is not given is an error, and one head serves all."""

from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any

import jinja2


def part(name: str) -> str:
    """The text of a file that lies beside this one."""
    return files("tickover.report").joinpath(name).read_text(encoding="utf-8")


def template(name: str, filters: Mapping[str, Callable[..., Any]], **options: bool) -> jinja2.Template:
    """A page's template; ``head.html``, which it may include, is given its ``title``, ``policy``, ``style`` and
    ``version``. ``options``: of jinja2's environment."""
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        loader=jinja2.FunctionLoader(part),
        trim_blocks=True,
        **options,  # type: ignore[arg-type]
    )
    environment.filters.update(filters)
    return environment.get_template(name)
