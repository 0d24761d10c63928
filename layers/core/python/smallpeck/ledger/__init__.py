"""The only way money moves: journal entries whose postings balance, and the balances that follow from them."""
