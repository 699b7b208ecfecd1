"""What a training takes of its machine, and how much of the machine it makes use of."""
