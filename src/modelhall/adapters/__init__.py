"""One outside system per file, one folder per port. Adapters know core alone, and nobody imports them by name but app."""
