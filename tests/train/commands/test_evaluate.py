"""``evaluate`` tells the same as table, JSON and page."""

import html
import json

from click.testing import CliRunner

from tickover_train.commands.evaluate import evaluate
from tickover_train.evaluation.baselines import FLOORS
from tickover_train.evaluation.faults import KINDS


def test_the_command_tells_the_same_in_table_json_and_page(model_file, logs, tmp_path):
    mine = tmp_path / "mine.py"
    mine.write_text(
        "from tickover_train.evaluation.faults import kind\n"
        "@kind('<b>mine')\n"
        "def mine(case):\n"
        "    case.values[:, case.signal] += 3 * case.amount\n"
    )
    labels = tmp_path / "labels.csv"
    labels.write_text(f"log,start,end\n{logs[0]},300,420\n")
    args = [str(model_file), "--clean", *map(str, logs), "--json", str(tmp_path / "out.json")]
    args += ["--page", str(tmp_path / "out.html"), "--faults", str(mine), "--labels", str(labels)]
    result = CliRunner().invoke(evaluate, args)
    KINDS.pop("<b>mine", None)
    assert result.exit_code == 0, result.output
    study = json.loads((tmp_path / "out.json").read_bytes())
    page = (tmp_path / "out.html").read_text()
    model = study["whole"][0]
    assert [one["name"] for one in study["whole"]] == [
        "model",
        "model, vehicles fresh",
        "pca residual",
        "mahalanobis",
        *FLOORS,
    ]
    assert {cell["kind"] for cell in model["cells"]} == {*KINDS, "<b>mine"}
    assert study["labelled"]["events"] == 1
    assert f"{100 * model['recall_at_limit']:.0f} %" in page
    assert f"{100 * model['recall_at_limit']:.0f} %" in result.output
    assert "<b>mine" not in page
    assert html.escape("<b>mine") in page
    assert "http" not in page.replace("http://www.w3.org", "").replace("http-equiv", "")
    assert "<script" not in page
