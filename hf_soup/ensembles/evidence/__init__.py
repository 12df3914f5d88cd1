"""What the data can tell about an ensemble: scores with intervals, paired differences, what each member adds, what it costs.

In: `MemberProbabilities` with labels, and the `Combination` that was chosen. Out: plain dataclasses of numbers, and the
sentences and tables that say them. `hf_soup.ensembles.report` puts them together.
"""
