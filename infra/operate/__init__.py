"""Commands for a stack that runs: fill it, look at it, mend it, take its vectors elsewhere, know what it costs."""
