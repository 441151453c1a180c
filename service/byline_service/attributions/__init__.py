"""Attribution requests: admission, queue, compute thread and streaming."""
