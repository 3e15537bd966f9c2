"""What a map of 500 words costs: the engine an answer, the screen a redraw.

    python -m tests.benchmarks.word_map [--words 500] [--size 200]

Milliseconds of processor time, the median. The vectors change from answer to answer so much that
every redraw shows another picture: four in a second, on the way from one map to the next.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Callable

import msgspec
import torch
from textual.app import App, ComposeResult
from textual.geometry import Region

from engine import messages as p
from engine.bench.machine import this_machine
from engine.bench.synthetic import synthetic_corpus
from engine.config import ModelConfig
from engine.model.lstm import LSTMLanguageModel
from engine.service.streams import SHARE
from tests.conducted import ask, model_of
from tui.panes.neighbours.word_plot import WordPlot

VOCABULARY = 10_000
WIDTH, HEIGHT = 118, 30
REPEATS = 40
DRAWS = 4
"""In a second, which an answer lasts."""


class Bench(App[None]):
    """A map alone."""

    CSS = f"WordPlot {{ width: {WIDTH}; height: {HEIGHT}; }}"

    def compose(self) -> ComposeResult:
        yield WordPlot(id="plot")


def milliseconds(do: Callable[[], object]) -> float:
    times = []
    for _ in range(REPEATS):
        began = time.process_time()
        do()
        times.append(1000 * (time.process_time() - began))
    return statistics.median(times)


def measure_answers(words: int, size: int) -> list[p.WordMap]:
    """The cost of an answer, and some of them."""
    tokenizer = synthetic_corpus(VOCABULARY).tokenizer
    model = LSTMLanguageModel(len(tokenizer.vocabulary), ModelConfig(embedding_size=size))
    run = model_of(tokenizer, model)
    scales = torch.arange(1, size + 1) ** -0.5
    weight = model.embedding.weight.detach()
    weight[:] = torch.randn_like(weight) * scales
    answers: list[p.WordMap] = []
    times = []
    for _ in range(REPEATS):
        weight += 0.2 * torch.randn_like(weight) * scales
        query = p.MapWords(top=words, previous=answers[-1].points if answers else [])
        began = time.process_time()
        answers.append(ask(query, run))
        times.append(1000 * (time.process_time() - began))
    cost = statistics.median(times[1:])
    within = 1000 * SHARE / cost
    print(f"an answer {cost:.1f} ms: {within:.1f} a second within the {SHARE:.0%} of answers")
    return answers


async def measure_draws(answers: list[p.WordMap]) -> None:
    app = Bench()
    async with app.run_test(size=(WIDTH, HEIGHT)):
        plot = app.query_one(WordPlot)
        crop = Region(0, 0, WIDTH, HEIGHT)
        shown = (answer.points for answer in answers for _ in range(DRAWS))

        def redraw() -> None:
            points = next(shown)
            plot.show(points, points[0].word, set())
            plot.render_lines(crop)

        draw = milliseconds(redraw)
    encoded = msgspec.json.encode(answers[0])
    decode = milliseconds(lambda: msgspec.json.decode(encoded, type=p.WordMap))
    share = (DRAWS * draw + decode) / 1000
    print(
        f"a redraw {draw:.1f} ms, to decode an answer {decode:.1f} ms ({len(encoded):,} bytes): "
        f"{share:.1%} of a core for {DRAWS} redraws and an answer a second"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--words", type=int, default=500)
    parser.add_argument("--size", type=int, default=200)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    print(this_machine())
    asyncio.run(measure_draws(measure_answers(options.words, options.size)))


if __name__ == "__main__":
    main()
