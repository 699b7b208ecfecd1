"""A network tried out before it is trained, so that what does not fit is said now."""

from __future__ import annotations

import torch
from torch import nn

from modelhall.core.shape import Shape


def try_out(module: nn.Module, shape: Shape) -> None:
    """Send one row of the largest size through, so that what does not fit is said now."""
    with torch.no_grad():
        if "vocabulary" in shape.sizes:
            row = torch.full((1, shape.sizes["length"]), shape.sizes["vocabulary"] - 1)
            module.eval()(input_ids=row, attention_mask=torch.ones_like(row))
        else:
            module.eval()(
                pixel_values=torch.zeros(1, *(shape.sizes[s] for s in ("channels", "height", "width")))
            )
    module.train()
