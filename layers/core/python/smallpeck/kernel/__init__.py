"""The words every feature uses: money, ids, time, errors, writes. Imports nothing of ours but itself."""
