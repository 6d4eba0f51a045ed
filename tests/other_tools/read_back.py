"""Reads what perf-gate exported with libraries that others wrote, and prints it as JSON.

Usage: read_back.py openmetrics FILE | hlog LOG | hgrm FILE LOG
"""

import json
import sys

from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader
from prometheus_client.openmetrics.parser import text_string_to_metric_families

HIGHEST_NS = 2**62


def openmetrics(path):
    with open(path, encoding="utf-8") as file:
        families = list(text_string_to_metric_families(file.read()))
    return [
        [sample.name, sample.labels, sample.value, sample.timestamp and float(sample.timestamp)]
        for family in families
        for sample in family.samples
    ]


def intervals(path):
    reader = HistogramLogReader(path, HdrHistogram(1, HIGHEST_NS, 3))
    while (histogram := reader.get_next_interval_histogram()) is not None:
        yield histogram


def hlog(path):
    return [
        {
            "tag": histogram.get_tag(),
            "start_ms": histogram.get_start_time_stamp(),
            "end_ms": histogram.get_end_time_stamp(),
            "count": histogram.get_total_count(),
            "p95_ns": histogram.get_value_at_percentile(95),
            "p99_ns": histogram.get_value_at_percentile(99),
        }
        for histogram in intervals(path)
    ]


def hgrm(path, log):
    """Each row of a percentile distribution beside what this library says of a log's response times."""
    merged = HdrHistogram(1, HIGHEST_NS, 3)
    for histogram in intervals(log):
        if histogram.get_tag() == "open_loop.response_time_ns":
            merged.add(histogram)
    recorded = [
        (merged.get_highest_equivalent_value(item.value_iterated_to), item.total_count_to_this_value)
        for item in merged.get_recorded_iterator()
    ]
    with open(path, encoding="ascii") as file:
        rows = [line.split() for line in file if line.strip() and not line.startswith("#")][1:]
    return {
        "p95_ns": merged.get_value_at_percentile(95),
        "p99_ns": merged.get_value_at_percentile(99),
        "rows": [
            {
                "value_ns": round(float(row[0]) * 1000),
                "count": int(row[2]),
                "library_count": max(count for value, count in recorded if value <= round(float(row[0]) * 1000)),
                "library_value_ns": next(value for value, count in recorded if count >= int(row[2])),
            }
            for row in rows
        ],
    }


if __name__ == "__main__":
    how = {"openmetrics": openmetrics, "hlog": hlog, "hgrm": hgrm}[sys.argv[1]]
    print(json.dumps(how(*sys.argv[2:])))
