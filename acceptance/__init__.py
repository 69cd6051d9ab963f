"""The acceptance suite: shows on AWS, or in the sandbox, what docs/unproven.md claims."""
