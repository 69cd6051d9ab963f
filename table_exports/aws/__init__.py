"""State records and calls of AWS. Clients are created when they are first used."""
