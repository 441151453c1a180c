"""The service under load: throughput, overload, memory, stages, restarts. `python -m benchmarks.service.load`."""
