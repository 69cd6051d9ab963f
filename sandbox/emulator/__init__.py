"""MiniStack, which answers what the sandbox does not, and child processes."""
