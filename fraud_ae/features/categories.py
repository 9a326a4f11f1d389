"""What stands for a category that is missing, or that training never saw often enough."""

UNSEEN = "<unseen>"
MISSING = "<missing>"
