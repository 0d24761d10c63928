"""Money that comes in: checkouts, bank transfers, disputes of payments, and money that belongs to nobody yet."""
