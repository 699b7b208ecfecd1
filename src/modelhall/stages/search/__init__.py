"""search: the trials of a model so far → the values of the next one.

The order holds all trials, so nothing is kept between two proposals: the same trials have the same successor, and
each proposal is a result like any other. Which trials there are, when the next one is due and which is the best is
decided elsewhere; how values are chosen stands in `proposing.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelhall.core.errors import Rejected
from modelhall.core.orders import SearchOrder, SearchOutput
from modelhall.core.program import Order, Reporter


def carry_out(order: Order, reporter: Reporter) -> Mapping[str, Any]:
    """Propose one trial, or tell what all of them tell; the result is a SearchOutput. Raises Rejected where Optuna is
    not installed."""
    try:
        # Of an extra: most halls never search.
        from modelhall.stages.search import proposing
    except ImportError as error:
        raise Rejected(
            f"a search needs Optuna ({error}); `pip install 'modelhall[search]'` has it", field="search"
        ) from None
    what = SearchOrder.model_validate(order.what)
    output = (
        SearchOutput(values=None, importances=proposing.importances(what))
        if what.conclude
        else SearchOutput(values=proposing.propose(what))
    )
    return output.model_dump(mode="json")
