"""The report: what a replay showed, as one HTML file."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tickover.report.contents import Contents
from tickover.report.page import render
from tickover.storage.files import replace_file


class Report(Contents):
    """Gathers what a replay shows (``add``) and writes it as one HTML page."""

    def html(
        self, counts: Mapping[str, int] | None = None, by_signal: Mapping[str, Sequence[int]] | None = None
    ) -> str:
        """The page as text; ``counts`` are the pipeline's (late, duplicate, out of range ...).

        ``by_signal`` are its ``signal_counts``: by reason, a number for each signal of the manifest.
        """
        self.fit()
        return render(self, dict(counts or {}), by_signal or {})

    def write(
        self,
        path: str | Path,
        counts: Mapping[str, int] | None = None,
        by_signal: Mapping[str, Sequence[int]] | None = None,
    ) -> None:
        """Write the page, replacing the file whole."""
        page = self.html(counts, by_signal).encode("utf-8", "replace")
        with replace_file(Path(path)) as file:
            file.write(page)
