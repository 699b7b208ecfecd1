"""Books: where entries are kept. Port: `core.ports.book`. Each file has a function `open_book(folder)`."""
