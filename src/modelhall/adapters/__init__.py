"""One outside system per file, one folder per port. Adapters know core alone; only app and doors know adapters."""
