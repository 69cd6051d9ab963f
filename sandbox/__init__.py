"""A local AWS on one endpoint, with the templates, packages and job script of build/."""
