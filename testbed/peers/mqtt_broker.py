"""The broker: mosquitto, with a user for each station that has something to say. Usage: mqtt_broker.py ADDRESS

Serves until it is asked to end (SIGTERM); then it prints mosquitto's log as JSON, each line with how often it stands there,
without times.
"""
import base64
import collections
import hashlib
import json
import os
import signal
import subprocess
import sys

USERS = ("edge", "host", "intruder")


def kept(text):
    """A file that is gone with the process."""
    file = os.memfd_create("mosquitto")
    os.set_inheritable(file, True)
    os.write(file, text.encode())
    return f"/proc/self/fd/{file}"


def user(name):
    """As mosquitto_passwd writes it; the password is the name."""
    salt, rounds = name.encode().ljust(12), 101
    digest = hashlib.pbkdf2_hmac("sha512", name.encode(), salt, rounds)
    return f"{name}:$7${rounds}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}\n"


settings = f"""
listener 1883 {sys.argv[1]}
allow_anonymous false
password_file {kept("".join(map(user, USERS)))}
user root
log_dest stdout
log_type all
"""
command = ["setpriv", "--pdeathsig", "KILL", "/usr/sbin/mosquitto", "-c", kept(settings)]
broker = subprocess.Popen(command, close_fds=False, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
signal.signal(signal.SIGTERM, lambda *_: broker.terminate())
log = collections.Counter(line.split(": ", 1)[-1].strip() for line in broker.stdout)
print(json.dumps(log))
