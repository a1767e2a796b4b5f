"""Our sweeper, where Hydra looks for one. It imports every module here at every start, but for those that begin with _."""
