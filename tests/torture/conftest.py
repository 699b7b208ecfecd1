"""What these tests share with those of the contracts: a real PostgreSQL server."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "contract"))
