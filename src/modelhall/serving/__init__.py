"""One replica: check and load a version, gather requests into batches, answer by the Open Inference Protocol v2, and
by that of OpenAI where texts are told (`generation/`).

The engine turns examples into predictions, the task requests into examples and predictions into answers. Which
replica gets a request, whether it may, and what it costs is decided by the gateway and the ledger.

What runs is `replica.py`. Stages that measure or label load an engine from here, and nothing that answers requests.
"""
