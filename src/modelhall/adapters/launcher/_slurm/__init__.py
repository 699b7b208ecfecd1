"""The parts of the Slurm launcher, one reason each: asking Slurm, watching it, its nodes, its jobs, and how an
attempt is seen by its folder and its job. What a supervisor does on the node is left to `supervision`."""
