"""The text of an answer → the probability in it and the name of the parser that read it, or why there is none.

May import: `forecasting.reading`. `answers` holds the ladder; a parser is one decorated function in one of the files beside it.
"""
