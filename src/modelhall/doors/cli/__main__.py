"""`python -m modelhall.doors.cli` is `hall`."""

from modelhall.doors.cli.main import main

main()
