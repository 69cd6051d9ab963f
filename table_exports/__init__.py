"""What the services and the command line share: the domain, state records and calls of AWS."""
