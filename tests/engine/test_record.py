"""The record: lines on the disk when asked, messages in their own time."""

from pathlib import Path

from engine.events import AnyEvent, Averaging, Progress
from engine.runs import read_metrics
from engine.service.record import Record


def test_a_sync_writes_at_once_and_leaves_the_sending_to_the_next_batch(tmp_path: Path) -> None:
    sent: list[list[AnyEvent]] = []
    record = Record(tmp_path, sent.append)
    first, second = Averaging(step=1), Averaging(step=2)
    record.add(first)
    record.sync()
    assert list(read_metrics(tmp_path)) == [first]
    assert sent == []
    record.add(Progress(task="saving", done=1, total=2))
    record.add(second)
    record.flush()
    assert sent == [[first, Progress(task="saving", done=1, total=2), second]]
    assert list(read_metrics(tmp_path)) == [first, second]
    record.close()


def test_what_follows_news_sent_at_once_waits_for_nothing(tmp_path: Path) -> None:
    sent: list[list[AnyEvent]] = []
    record = Record(tmp_path, sent.append)
    events = [Averaging(step=step) for step in range(3)]
    record.add(events[0])
    record.flush()
    record.add(events[1])
    record.flush_if_due()
    assert sent == [[events[0]], [events[1]]]
    record.add(events[2])
    record.flush_if_due()
    assert len(sent) == 2, "a batch each INTERVAL"
    record.close()
