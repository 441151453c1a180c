"""Attribution requests: admission, the queue, the compute thread, streaming."""
