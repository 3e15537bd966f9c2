"""Looking at a model: generation beside the plain PyTorch loop, and neighbours."""

import statistics
import time
from collections.abc import Iterator

import torch

from engine.bench.race import Runner, quickest, race
from engine.bench.reference_loop import ReferenceModel, reference_text
from engine.bench.results import Lookup, Race
from engine.config import Sampling, preset
from engine.embeddings.space import Space
from engine.events import Progress
from engine.generation.sampling import generate
from engine.model.lstm import LSTMLanguageModel
from engine.training.device import pick_device

MODEL = preset("ptb-small").model
LEAST_QUERIES = 100
TOP = 10


def measure_generation(
    vocabulary: int, seconds: float, *, top_k: int = 0, top_p: float = 1.0
) -> Iterator[Progress | Race]:
    """Tokens a second, drawn from the whole distribution unless top-k or top-p limit ours."""
    torch.manual_seed(1)
    device = pick_device()
    model = LSTMLanguageModel(vocabulary, MODEL).to(device)
    plain = ReferenceModel(vocabulary, MODEL.embedding_size, MODEL.layers, 0.0).to(device)
    ours = (1 for _ in generate(model, [0], Sampling(top_k=top_k, top_p=top_p)))
    reference = quickest(1 for _ in reference_text(plain))
    yield from race("generation", vocabulary, device.type, Runner(ours, 1), reference, seconds)


def measure_neighbours(vocabulary: int, size: int, seconds: float) -> Iterator[Lookup]:
    """The time of each of many lookups, as long as it may take."""
    weight = torch.randn(vocabulary, size, generator=torch.Generator().manual_seed(1))
    space = Space([""] * vocabulary, weight.numpy())
    times: list[float] = []
    ends = time.perf_counter() + seconds
    while (began := time.perf_counter()) < ends or len(times) < LEAST_QUERIES:
        space.most_similar([space.meant(len(times) % vocabulary)], top=TOP)
        times.append(time.perf_counter() - began)
    yield Lookup(
        vocabulary=vocabulary,
        size=size,
        median=statistics.median(times),
        percentile_99=statistics.quantiles(times, n=100)[98],
        queries=len(times),
    )
