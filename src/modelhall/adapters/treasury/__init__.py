"""Treasuries: where limits and budgets are shared out. Port: `core.ports.treasury`. One file a system, each with a
function `open_treasury`."""
