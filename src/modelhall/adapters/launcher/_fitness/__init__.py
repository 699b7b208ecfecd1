"""Whether a machine computes what it should: a program whose answers are known, run now and then beside others."""
