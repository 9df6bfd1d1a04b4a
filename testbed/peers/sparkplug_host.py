"""The host of Sparkplug's edge nodes: follows all that they tell, asks the node for a rebirth, and moves the speed of its pump to
and fro. Speaks MQTT 5. Usage: sparkplug_host.py BROKER SECONDS

Prints as JSON what it was told and commanded, metric by metric, with how often.
"""
import collections
import json
import sys
import time

import paho.mqtt.client as mqtt
from paho.mqtt.subscribeoptions import SubscribeOptions
from pysparkplug import DBirth, DCmd, DData, DataType, Metric, NBirth, NCmd, NData, get_current_timestamp

PAYLOADS = {"NBIRTH": NBirth, "DBIRTH": DBirth, "NDATA": NData, "DDATA": DData}

log = collections.Counter()
births = {}
speed = None
subscribed = unsubscribed = False


def told(*message):
    global speed
    _, _, kind, *source = message[-1].topic.split("/")
    payload = PAYLOADS.get(kind)
    if payload is None:
        return
    if payload in (NBirth, DBirth):
        content = births[*source] = payload.decode(message[-1].payload)
    else:
        content = payload.decode(message[-1].payload, birth=births[*source])
    for metric in content.metrics:
        log[f"{kind} {metric.name} = {metric.value}"] += 1
        if metric.name == "Speed":
            speed = metric.value


def command(topic, kind, payload, name, datatype, value):
    metric = Metric(get_current_timestamp(), name, datatype, value=value)
    content = payload(timestamp=get_current_timestamp(), metrics=[metric]).encode(include_dtypes=True)
    published = client.publish(topic.format(kind), content, qos=1)
    log[f"{kind} {name} = {value}"] += 1
    await_that(published.is_published)


def move(wanted):
    command("spBv1.0/Plant/{}/Edge/Pump", "DCMD", DCmd, "Speed", DataType.INT32, wanted)
    await_that(lambda: speed == wanted)


def await_that(condition):
    end = time.monotonic() + 30
    while not condition():
        client.loop(0.05)
        if time.monotonic() > end:
            sys.exit("the edge node does not do as it is commanded")


def on_subscribe(*_):
    global subscribed
    subscribed = True


def on_unsubscribe(*_):
    global unsubscribed
    unsubscribed = True


end = time.monotonic() + float(sys.argv[2])
client = mqtt.Client("host", protocol=mqtt.MQTTv5)
client.username_pw_set("host", "host")
client.will_set("STATE/host", "OFFLINE", qos=1, retain=True)
client.on_message, client.on_subscribe, client.on_unsubscribe = told, on_subscribe, on_unsubscribe
client.connect(sys.argv[1])
client.subscribe("spBv1.0/Plant/+/Edge/#", options=SubscribeOptions(qos=1, noLocal=True))
await_that(lambda: subscribed)
client.publish("STATE/host", "ONLINE", qos=1, retain=True)
await_that(lambda: speed is not None)
command("spBv1.0/Plant/{}/Edge", "NCMD", NCmd, "Node Control/Rebirth", DataType.BOOLEAN, True)
move(1600)
while time.monotonic() < end:
    move(1500)
    move(1600)
    pause = time.monotonic() + 0.5
    while time.monotonic() < pause:
        client.loop(0.1)
client.publish("STATE/host", "OFFLINE", qos=1, retain=True)
# What is told before the answer has arrived; nothing is told after it.
client.unsubscribe("spBv1.0/Plant/+/Edge/#")
await_that(lambda: unsubscribed)
client.disconnect()
client.loop(0.2)
print(json.dumps(log))
