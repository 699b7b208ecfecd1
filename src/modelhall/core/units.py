"""Quantities as people read them: bytes, seconds, joules, money."""

from __future__ import annotations


def show_bytes(size_bytes: float) -> str:
    """`1536` → `1.5 KiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(size_bytes) < 1024:
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1024
    return f"{size_bytes:.1f} TiB"


def show_seconds(duration_s: float) -> str:
    """`95` → `1 min 35 s`; below a minute with one decimal."""
    if round(duration_s, 1) < 60:
        return f"{duration_s:.1f} s"
    minutes, seconds = divmod(round(duration_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"


def show_energy(energy_j: float) -> str:
    """`5400` → `5.40 kJ`."""
    for factor, unit in ((1e6, "MJ"), (1e3, "kJ"), (1.0, "J")):
        if abs(energy_j) >= factor:
            return f"{energy_j / factor:.2f} {unit}"
    return f"{energy_j * 1e3:.2f} mJ"


def show_carbon(co2_g: float) -> str:
    """`0.0123` → `12.3 mg`."""
    if abs(co2_g) >= 1000:
        return f"{co2_g / 1000:.2f} kg"
    return f"{co2_g:.2f} g" if abs(co2_g) >= 1 else f"{co2_g * 1e3:.3g} mg"


def show_money(cost_nano: int, currency: str) -> str:
    """Billionths of a currency unit → `0.000123 EUR`."""
    amount = cost_nano / 1e9
    return f"{amount:.2f} {currency}" if abs(amount) >= 1 else f"{amount:.7f} {currency}"
