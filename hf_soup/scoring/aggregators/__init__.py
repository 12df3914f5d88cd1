"""Ways to make one forecast of many. Each is a function of a few lines in a file of its own kind; `aggregator` has the table.

>>> from hf_soup.scoring.aggregators import aggregator_named
>>> aggregator_named("mean")([[0.25, 0.75, float("nan")]]).values
array([0.5])
"""

from hf_soup.scoring.aggregators.aggregator import (
    Aggregate,
    Aggregator,
    AllAggregates,
    Kind,
    aggregate_all,
    aggregator_named,
    all_aggregators,
)

__all__ = ["Aggregate", "Aggregator", "AllAggregates", "Kind", "aggregate_all", "aggregator_named", "all_aggregators"]
