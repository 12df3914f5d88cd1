"""SCORE: probabilities that several forecasters gave to questions → one forecast, its scores, and what the data can tell.

In: a table of forecasts, from a run or ready-made. Out: aggregates, calibrated and blended forecasts, scores, comparisons.
May import: `errors`; the reader of tables alone also `progress`, `evaluation.data_files` and the question files of
`forecasting`; results that print themselves also `text_table`. Everything else is arithmetic on arrays. No forecast is ever imputed: a missing one is NaN and is counted.
"""
