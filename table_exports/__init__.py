"""What the services share: words, records and AWS calls, never steps."""
