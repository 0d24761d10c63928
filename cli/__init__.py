"""The command line of engineers: for deployed stages and the platform on this machine."""
