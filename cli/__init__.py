"""The command line: for deployed stages and for the platform on this machine."""
