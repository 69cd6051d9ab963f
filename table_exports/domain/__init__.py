"""What an export is and what may become of it. Pure: no AWS, no clock, no environment."""
