"""An edge node of Sparkplug with a pump: tells what it has when its host is there, then how it changes, and does as it is
commanded, at least for so long and until its host has gone. Usage: sparkplug_edge.py BROKER SECONDS

Prints as JSON what it published and was commanded, metric by metric, with how often.
"""
import collections
import itertools
import json
import sys
import time

import paho.mqtt.client as mqtt
from pysparkplug import DBirth, DCmd, DData, DataType, Metric, NBirth, NCmd, NData, NDeath, get_current_timestamp

NODE, PUMP = "spBv1.0/Plant/{}/Edge", "spBv1.0/Plant/{}/Edge/Pump"
TYPES = {"bdSeq": DataType.INT64, "Node Control/Rebirth": DataType.BOOLEAN, "Temperature": DataType.DOUBLE, "Speed": DataType.INT32}

log = collections.Counter()
sequence = 0
speed = 1500
born = deserted = False


def metric(name, value, named=True):
    """Births give a name its number, data say the number alone."""
    names = list(TYPES)
    return Metric(get_current_timestamp(), name if named else None, TYPES[name], value=value, alias=names.index(name))


def publish(of, message, payload, **values):
    global sequence
    birth = payload in (NBirth, DBirth)
    sequence = 0 if payload is NBirth else (sequence + 1) % 256
    metrics = [metric(name, value, birth) for name, value in values.items()]
    content = payload(timestamp=get_current_timestamp(), seq=sequence, metrics=metrics)
    client.publish(of.format(message), content.encode(include_dtypes=birth))
    for name, value in values.items():
        log[f"{message} {name} = {value}"] += 1


def rebirth():
    global born
    born = True
    publish(NODE, "NBIRTH", NBirth, **{"bdSeq": 0, "Node Control/Rebirth": False, "Temperature": 20.0})
    publish(PUMP, "DBIRTH", DBirth, Speed=speed)


def commanded_node(*message):
    for told in NCmd.decode(message[-1].payload).metrics:
        log[f"NCMD {told.name} = {told.value}"] += 1
    rebirth()


def commanded_pump(*message):
    global speed
    for told in DCmd.decode(message[-1].payload).metrics:
        log[f"DCMD {told.name} = {told.value}"] += 1
        speed = told.value
        publish(PUMP, "DDATA", DData, Speed=speed)


def host_told(*message):
    global deserted
    if message[-1].payload == b"ONLINE":
        rebirth()
    else:
        deserted = born


end = time.monotonic() + float(sys.argv[2])
client = mqtt.Client("edge")
client.username_pw_set("edge", "edge")
death = NDeath(timestamp=get_current_timestamp(), bd_seq_metric=metric("bdSeq", 0)).encode()
client.will_set(NODE.format("NDEATH"), death, qos=1)
subscriptions = {NODE.format("NCMD"): commanded_node, PUMP.format("DCMD"): commanded_pump, "STATE/host": host_told}
for topic, callback in subscriptions.items():
    client.message_callback_add(topic, callback)
client.connect(sys.argv[1])
client.subscribe([(topic, 1) for topic in subscriptions])
for step in itertools.count():
    pause = time.monotonic() + 0.2
    while time.monotonic() < pause:
        client.loop(0.05)
    if deserted and time.monotonic() > end:
        break
    if born:
        publish(NODE, "NDATA", NData, Temperature=20 + step % 8 / 4)
farewell = client.publish(NODE.format("NDEATH"), death, qos=1)
while not farewell.is_published():
    client.loop(0.2)
client.disconnect()
client.loop(0.2)
print(json.dumps(log))
