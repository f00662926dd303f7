"""Who is compared: functions that make a `benchmarks.worker.Ready` of a setting."""
