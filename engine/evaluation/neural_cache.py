"""A cache of the recent text beside the model (Grave et al. 2017).

"Improving Neural Language Models with a Continuous Cache": the model's features are compared with
those it had before each of the last tokens; what followed then becomes more probable now. Linear
interpolation, the paper's section 3; nothing is trained.
"""

import math

import torch
from torch import Tensor

WINDOW = 2000
"""Tokens remembered. The paper takes 500 on PTB and 2,000 on WikiText-2; larger only slows it."""
THETA = 0.662
"""Sharpness: what a dot product of features is multiplied by. Grave et al. and Merity et al. 2018
fit it on each validation split: awd-lstm-lm takes 0.662 on WikiText-2 and 1.0 on PTB."""
SHARE = 0.1279
"""The cache's share of the probability, lambda. awd-lstm-lm takes 0.1279 on WikiText-2 and 0.1 on
PTB."""


class NeuralCache:
    """Pairs of features and the token that came next, of the last `window` tokens of one stream."""

    def __init__(self, window: int = WINDOW, theta: float = THETA, share: float = SHARE) -> None:
        self.window = window
        self.theta = theta
        self.share = share
        self._features: Tensor | None = None
        """(remembered, units), the oldest first."""
        self._followers: Tensor | None = None
        """(remembered,) ids."""

    def log_probabilities(self, features: Tensor, targets: Tensor, own: Tensor) -> Tensor:
        """Log-probabilities (time,) of the targets (time,) once the cache has its share.

        `features` (time, units) are those the model predicts the targets from and `own` (time,)
        its log-probabilities of them. Each target is judged by what stands before it: what was
        remembered, and the earlier ones of these. With nothing before it, `own` stands.
        """
        return mixed(own, self.recalled(features, targets), self.share)

    def recalled(self, features: Tensor, targets: Tensor) -> Tensor:
        """The cache's own log-probabilities (time,) of the targets; NaN with nothing before."""
        stored, followers = self._with(features, targets)
        before = len(stored) - len(features)
        now = torch.arange(before, len(stored), device=features.device)[:, None]
        then = torch.arange(len(stored), device=features.device)
        visible = (then < now) & (then >= now - self.window)
        scores = (self.theta * features @ stored.T).masked_fill(~visible, -torch.inf)
        same = scores.masked_fill(followers != targets[:, None], -torch.inf)
        return torch.where(visible.any(1), same.logsumexp(1) - scores.logsumexp(1), torch.nan)

    def remember(self, features: Tensor, targets: Tensor) -> None:
        """Keep features (time, units) and the targets (time,) they were followed by."""
        stored, followers = self._with(features, targets)
        self._features = stored[-self.window :].clone()
        self._followers = followers[-self.window :].clone()

    def _with(self, features: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        if self._features is None or self._followers is None:
            return features, targets
        return torch.cat([self._features, features]), torch.cat([self._followers, targets])


def mixed(own: Tensor, cached: Tensor, share: float) -> Tensor:
    """The model's log-probabilities (time,) once the cache's have their share."""
    both = torch.logaddexp(math.log1p(-share) + own, math.log(share) + cached)
    return torch.where(cached.isnan(), own, both)
