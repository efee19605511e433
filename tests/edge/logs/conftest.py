"""The third-party log format, installed."""

from collections.abc import Iterator

import pytest

import paths
from logs import install


@pytest.fixture(scope="session")
def third_party(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A distribution with the log format in ``plugins/acme_trace.py``, on the path for the session."""
    folder = tmp_path_factory.mktemp("site")
    source = (paths.TESTS / "plugins" / "acme_trace.py").read_text(encoding="utf-8")
    install(folder, "acme-trace", source, {".trace": "acme_trace"})
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.syspath_prepend(folder)
        yield
