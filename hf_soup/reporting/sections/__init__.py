"""The sections of a report, one in each file: a function takes `Findings` and returns a `Section`, None where there is nothing
to say. To add one, write a file like these and name it in `hf_soup.reporting.forecast_report`."""
