"""One module for each command of `tssd`."""
