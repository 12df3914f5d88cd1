"""The figures of a report, one in each file: a function takes numbers and returns a `Picture`, `drawing` makes a file of it.

All are drawn narrow, so that on a phone their letters are as large as the text around them.
"""
