"""Watching a detector in production: what its inputs, scores and figures are like by now."""
