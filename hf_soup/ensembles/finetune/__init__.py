"""FINE-TUNE: members and the weights of their mixture trained together, by the likelihood of what the ensemble says.

In: the opened members of an ensemble, training rows, held-out rows. Out: a folder with one ordinary model a member, and the record
of how they came about. Source: AWARE-NET, arXiv 2505.00312, in which members and tier-2 weights are learned end to end. May
import: `checkpoints`, `evaluation`, `merging`, `publishing`, and of `ensembles` members, alignment and record.
Importing this package imports none of the heavy libraries.
"""
