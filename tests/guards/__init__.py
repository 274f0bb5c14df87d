"""Guards that can be turned off, and the test of each that must notice (`make guards`)."""
