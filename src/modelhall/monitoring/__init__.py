"""What figures mean: which of them can be true, what they grow by, when they call for somebody.

This room decides; it reads nothing and keeps nothing. Where figures come from is left to sensors and launchers, where
they are kept to histories, who is told to the notices; `app/monitoring/` puts them together.
"""
