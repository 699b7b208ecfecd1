"""Where figures go besides `/metrics`."""
