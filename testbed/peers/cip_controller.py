"""The controller of a line: an EtherNet/IP server with tags. Usage: cip_controller.py ADDRESS

Serves until it is asked to end (SIGTERM); then it prints its own log as JSON: what was read and written, with how often.
"""
import collections
import json
import os
import signal
import sys

from cpppo.server.enip import device
from cpppo.server.enip.main import main

log = collections.Counter()


class Tag(device.Attribute):
    """A tag that tells what is done to it."""

    def __getitem__(self, key):
        value = super().__getitem__(key)
        log[f"read {self.name} {value}"] += 1
        return value

    def __setitem__(self, key, value):
        super().__setitem__(key, value)
        log[f"write {self.name} {value}"] += 1


def end(*_):
    print(json.dumps(log), flush=True)
    os._exit(0)


signal.signal(signal.SIGTERM, end)
main(argv=["--no-config", "--address", f"{sys.argv[1]}:44818", "COUNT=DINT[10]", "SPEED=REAL", "RUN=BOOL"], attribute_class=Tag)
