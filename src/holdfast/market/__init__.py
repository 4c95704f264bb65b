"""Prices and losses of the market: series of them, forecasts that are scored against the last price, and advice.

Pure functions over series. Collection is the workflow `survey`; what it found lies in the records.
"""
