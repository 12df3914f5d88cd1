"""ASK: a crowd of language models, asked the same questions, and the probabilities that were read from their answers.

In: questions and the names of models. Out: a run folder from which nothing is lost, and a table of forecasts.
May import: `errors`, `progress`, `evaluation.data_files`. Importing this room does not import litellm.
"""
