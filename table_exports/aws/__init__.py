"""How exports are stored and how AWS is called. Nothing is created before it is first used."""
