//! From a service name to a node: registry snapshot, choice of node, pooled connections.
