"""Pods: processes in network namespaces of their own, found by the names of services, and what is asked of them."""
