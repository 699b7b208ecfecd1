"""Seeds that failed once, and what they found. They are lived through again every time.

A seed is its history only as long as nothing is drawn differently. What the first ones found is therefore planted
again in `test_simulation_finds_bugs`, or has a test in `test_clock_jumps`.
"""

from __future__ import annotations

PAST_SEEDS = {
    13: "a control plane killed between a run's removal and the launcher's forgetting: its folder was kept for ever",
    32: "the clock set back by an hour: a run that waited to be tried again waited for an hour more",
    143: "two loads of one view at a time, the loop's and the API's: what had been removed stayed in the view",
    266: "a machine cut off and back: the attempt it still ran went on beside the one that had replaced it",
    272: "a cancelled replica: its service is degraded and does not say why (tolerated by `twin.ending` so far)",
    9833: "two runs on one node, each tried ten times one after the other: more patience was needed, nothing more",
    11660: "the same",
}
