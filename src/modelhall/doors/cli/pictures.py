"""Pictures as PNG files: curves, what is taken for what, whether confidence can be believed. By matplotlib, which is
of an extra."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelhall.core.errors import Rejected
from modelhall.doors.trainings import Curve, Training
from modelhall.twin.figures import waits_by_project
from modelhall.twin.replay import Played

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 120
MOST_WRITTEN = 15
"""Classes up to which each count is written into its square."""


def curves(trainings: Sequence[Training], to: Path) -> None:
    """Every figure that was measured on the way, each in a part of its own. Raises Rejected where there is none."""
    figures = figures_of(trainings)
    if not figures:
        raise Rejected("none of these has curves: they were trained by an earlier hall", field="png")
    picture = _figure((6.4, 2.6 * len(figures)))
    for place, (name, lines) in enumerate(figures.items(), start=1):
        part = picture.add_subplot(len(figures), 1, place, xlabel="step", ylabel=name)
        for of, curve in lines.items():
            part.plot(*zip(*curve, strict=True), label=of, linewidth=1)
        part.legend(fontsize="small")
    _save(picture, to)


def figures_of(trainings: Sequence[Training]) -> dict[str, dict[str, Curve]]:
    """Figure → training → its curve."""
    names = dict.fromkeys(name for training in trainings for name in training.curves)
    return {
        name: {training.name: training.curves[name] for training in trainings if training.curves.get(name)}
        for name in names
    }


def of_card(card: Mapping[str, Any], training: Training, folder: Path) -> dict[str, str]:
    """All pictures of a model card, in `folder`; the file of each by its title."""
    folder.mkdir(parents=True, exist_ok=True)
    evaluation = card["evaluation"] or {}
    made: dict[str, str] = {}
    if training.curves:
        curves([training], folder / "curves.png")
        made["Curves"] = "curves.png"
    if confusion := evaluation.get("confusion"):
        _confusion(confusion, folder / "confusion.png")
        made["Confusion matrix"] = "confusion.png"
    if calibration := evaluation.get("calibration"):
        _calibration(calibration, folder / "calibration.png")
        made["Calibration"] = "calibration.png"
    return made


def replays(played: Sequence[Played], to: Path) -> None:
    """The GPUs that are held over time, and how long the jobs of each project waited, under each policy."""
    picture = _figure((8.0, 6.4))
    use = picture.add_subplot(2, 1, 1, xlabel="days", ylabel="GPUs held")
    for one in played:
        days = [sample.at_s / 86_400 for sample in one.samples]
        use.step(days, [sample.gpus for sample in one.samples], where="post", label=one.name, linewidth=0.8)
    use.axhline(played[0].gpus, color="grey", linewidth=0.8, linestyle="--")
    use.legend(fontsize="small")
    waits = [waits_by_project(one.lives) for one in played]
    projects = sorted({name for of in waits for name in of})
    part = picture.add_subplot(2, 1, 2, ylabel="mean wait, hours")
    for number, (one, of) in enumerate(zip(played, waits, strict=True)):
        width = 0.8 / len(played)
        places = [place + number * width for place in range(len(projects))]
        hours = [sum(of.get(name, ())) / max(1, len(of.get(name, ()))) / 3600 for name in projects]
        part.bar(places, hours, width=width, label=one.name)
    part.set_xticks(range(len(projects)), projects, rotation=45, ha="right", fontsize="small")
    _save(picture, to)


def _confusion(confusion: Mapping[str, Any], to: Path) -> None:
    labels, counts = confusion["labels"], confusion["counts"]
    size = max(4.0, 0.35 * len(labels) + 2)
    picture = _figure((size, size))
    part = picture.add_subplot(xlabel="told", ylabel="true")
    # Lines are of unequal length: each is shown by its shares.
    part.imshow(
        [[count / max(1, sum(line)) for count in line] for line in counts], cmap="Blues", vmin=0, vmax=1
    )
    part.set_xticks(range(len(labels)), labels, rotation=90)
    part.set_yticks(range(len(labels)), labels)
    if len(labels) <= MOST_WRITTEN:
        for row, line in enumerate(counts):
            for column, count in enumerate(line):
                colour = "white" if count > 0.5 * sum(line) else "black"
                part.text(column, row, count, ha="center", va="center", color=colour, fontsize="small")
    _save(picture, to)


def _calibration(calibration: Mapping[str, Any], to: Path) -> None:
    bins = calibration["bins"]
    picture = _figure((4.8, 4.8))
    part = picture.add_subplot(xlabel="confidence", ylabel="share that is right", xlim=(0, 1), ylim=(0, 1))
    part.plot([0, 1], [0, 1], color="grey", linewidth=0.8, linestyle="--")
    part.plot([one["confidence"] for one in bins], [one["accuracy"] for one in bins], marker="o")
    part.set_title(f"expected calibration error {calibration['error']:.3f}", fontsize="medium")
    _save(picture, to)


def _figure(size: tuple[float, float]) -> Figure:
    try:
        # Of an extra, and slow to import.
        from matplotlib.figure import Figure
    except ImportError:
        raise Rejected("pictures need matplotlib: pip install 'modelhall[plot]'", field="png") from None
    return Figure(figsize=size, layout="constrained")


def _save(picture: Figure, to: Path) -> None:
    picture.savefig(to, dpi=DPI, format="png")
