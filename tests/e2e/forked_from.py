"""What the commands of tests are forked from: a process that has imported the command line, and has read which
authorities this machine trusts."""

from __future__ import annotations

from modelhall.doors.cli import main as main
from modelhall.trust import tls

tls.client_context()
