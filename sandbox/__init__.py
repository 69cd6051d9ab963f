"""The local cloud: AWS on one endpoint of this machine, with the templates, zips and job script of build/."""
