"""Checks of how forecasters are biased, one a file: each takes arrays and returns a frozen result, which prints nothing.

In: forecasts of members, outcomes, groups. Out: estimates with n, interval, test and the smallest bias that could have been found.
A check that finds nothing has shown nothing but how much it could have found.
"""
