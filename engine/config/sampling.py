"""How a model's next token is chosen: every knob with its range, its effect and its default.

Form, command line and messages are made from this table. What is applied, in this order, wherever
text is written (`engine.generation.sampling`): `<unk>` is taken out; the repetition penalty;
sequences that may not come again; temperature, of which 0 takes the most probable token that is
left (greedy); top-k; top-p; min-p; typical. Each sees what those before it left, with its
probabilities adding up to 1 anew. Then one token is drawn.
"""

from typing import Annotated

from msgspec import Meta

from engine.config.settings import Section, Settings, check_ranges

StopText = Annotated[str, Meta(min_length=1, max_length=100)]


class Sampling(Section, frozen=True):
    """How tokens are chosen, in the order in which it is applied.

    Making one, or a message that is one, raises UserError where a knob is out of its range.
    """

    unknown: Annotated[bool, Meta(description="Let <unk> be written too.")] = False
    repetition_penalty: Annotated[
        float,
        Meta(
            ge=1,
            le=10,
            description="What has come lately is less likely: its logit is divided by this, or "
            "multiplied where it is negative (Keskar et al. 2019); 1 for none.",
        ),
    ] = 1.0
    repetition_window: Annotated[
        int,
        Meta(
            ge=0,
            le=100_000,
            description="Tokens that the repetition penalty looks back over, the prompt's too; "
            "0 for all.",
        ),
    ] = 64
    no_repeat: Annotated[
        int,
        Meta(
            ge=0,
            le=100,
            description="No sequence of this many tokens comes twice, the prompt's too, as far as "
            "there is another token to take; 0 for no limit.",
        ),
    ] = 0
    temperature: Annotated[
        float,
        Meta(
            ge=0,
            le=100,
            description="Below 1 is safer, above is wilder; 0 takes the most probable token "
            "always (greedy).",
        ),
    ] = 1.0
    top_k: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000,
            description="Draw from this many most probable tokens; 0 for no limit.",
        ),
    ] = 0
    top_p: Annotated[
        float,
        Meta(
            ge=0,
            le=1,
            description="Draw from the fewest most probable tokens that make up this share "
            "(nucleus; Holtzman et al. 2020).",
        ),
    ] = 1.0
    min_p: Annotated[
        float,
        Meta(
            ge=0,
            le=1,
            description="Draw from tokens at least this share as probable as the most probable "
            "one (Nguyen et al. 2024).",
        ),
    ] = 0.0
    typical: Annotated[
        float,
        Meta(
            ge=0,
            le=1,
            description="Draw from the tokens whose surprisal is nearest to the entropy, as many "
            "as make up this share (Meister et al. 2023).",
        ),
    ] = 1.0
    beams: Annotated[
        int,
        Meta(
            ge=1,
            le=64,
            description="Above 1: search for the most probable text, this many kept at a time "
            "(beam search), and draw nothing; temperature, top-k, top-p, min-p and typical have "
            "no effect then.",
        ),
    ] = 1
    length_penalty: Annotated[
        float,
        Meta(
            ge=0,
            le=10,
            description="Of beam search: a text's log-probability is divided by its tokens to "
            "this power; above 0 helps longer texts, where a stop text may end them early.",
        ),
    ] = 1.0
    stop: Annotated[
        tuple[StopText, ...],
        Meta(max_length=8, description="Texts that end what is written, and are left out."),
    ] = ()
    seed: (
        Annotated[
            int,
            Meta(
                ge=0,
                le=(1 << 63) - 1,
                description="The same seed writes the same text; none lets chance draw one.",
            ),
        ]
        | None
    ) = None

    def __post_init__(self) -> None:
        check_ranges(self, Sampling)


class GenerationSettings(Settings, frozen=True):
    """The table of these knobs, for forms and options: see `settings.fields`."""

    sampling: Sampling = Sampling()
