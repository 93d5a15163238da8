"""Cases, sampling, workers, the pytest plugin and the command line."""
