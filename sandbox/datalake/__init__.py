"""Tables of the Glue catalog and the files below them, as crawlers and queries read them."""
