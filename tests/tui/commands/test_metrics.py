from pathlib import Path

from click.testing import CliRunner

from engine.config import preset
from engine.events import ExactLoss
from engine.runs import create_run
from engine.runs.recorder import Recorder
from tests.tui.test_progress_line import stepped
from tui.commands.metrics import metrics


def test_beside_sampled_losses_the_newest_exact_one_is_told(tmp_path: Path) -> None:
    folder = create_run(tmp_path, "some", preset("large-vocabulary"))
    recorder = Recorder(folder)
    for step in (1, 2):
        recorder.add(stepped(step, sampled=True))
        recorder.add(ExactLoss(step=step, loss=2.5 + step, sampled_loss=2.25 + step))
    recorder.write()
    recorder.close()
    told = CliRunner().invoke(metrics, [str(folder)], catch_exceptions=False).output
    assert "whole vocabulary the loss of step 2 was 4.5, where 4.25 was sampled.\n" in told
