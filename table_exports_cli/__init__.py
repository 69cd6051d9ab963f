"""The command `table-exports`: what operators see and do, from a terminal or a script."""
