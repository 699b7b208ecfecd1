"""Places where gateways leave what they see of requests."""
