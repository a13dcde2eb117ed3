"""Which weights a training ends with: as trained or their moving average, the last ones or those of the best epoch."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from clmot.params import TrainingParams


class KeptWeights:
    """Follows a network while it learns; has state that a checkpoint holds."""

    def __init__(self, model: nn.Module, params: TrainingParams) -> None:
        """`model` is on its device and not compiled yet."""
        self.model = model
        self.average: AveragedModel | None = None
        if params.weight_average:
            # Statistics of batch norm are an average already: they are taken as they are.
            self.average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(params.weight_average))
        self.wants_best = params.keep == "best"
        self.best: dict[str, Tensor] = {}
        self.best_score = -1.0

    @property
    def judged(self) -> nn.Module:
        """The network whose weights would be kept if the training ended now."""
        return self.model if self.average is None else self.average.module

    def after_step(self) -> None:
        """The network has made a step."""
        if self.average is not None:
            self.average.update_parameters(self.model)

    def after_epoch(self, score: float) -> None:
        """An epoch has ended with this score of `judged`, the higher the better; of equal ones the first is best."""
        if self.wants_best and score > self.best_score:
            self.best = {name: value.detach().cpu().clone() for name, value in self.judged.state_dict().items()}
            self.best_score = score

    def put_back(self) -> None:
        """Give the network the weights that are kept."""
        if self.best:
            self.model.load_state_dict(self.best)
        elif self.average is not None:
            self.model.load_state_dict(self.average.module.state_dict())

    def state_dict(self) -> dict[str, Any]:
        """All that changes."""
        average = {} if self.average is None else self.average.state_dict()
        return {"average": average, "best": self.best, "best_score": self.best_score}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where `state_dict` was asked for."""
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.best, self.best_score = state["best"], state["best_score"]
