"""What people look at: the overview of all pipelines, an export's timeline, health, metrics and links."""
