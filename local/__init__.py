"""The embedded run: the synthesized template deployed into an AWS emulator on this machine."""
