"""The doors: command line, HTTP API, Python client. They parse, call and render; they decide nothing."""
