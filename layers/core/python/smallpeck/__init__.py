"""Small Peck: tasks, consensus, ledger and payouts of a micro-task platform.

Arrows point one way: functions -> runtime -> features -> ledger -> kernel.
"""
