"""`make bench`: how fast the image serves, next to what an operator could choose instead."""
