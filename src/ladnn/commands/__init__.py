"""One file for each group of commands: parse, call the library, print."""
