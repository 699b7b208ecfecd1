"""The command `hall`: one file for each group of commands, each asking a running hall through the client."""
