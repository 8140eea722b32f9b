"""A cluster of Narvi on one machine, and tests of it. Python 3.11 and its standard library; Linux."""
