"""The services' real code in a simulated AWS, on a virtual clock, with faults. See README.md."""
