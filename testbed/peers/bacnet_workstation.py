"""The workstation of a building: finds the controller, asks who it is, subscribes to its set point, sets the clock, and
reads ten times a second; prints what was answered as JSON. Usage: bacnet_workstation.py CONTROLLER SECONDS
"""
import asyncio
import json
import socket
import sys
import time

from bacpypes3.apdu import ErrorRejectAbortNack, TimeSynchronizationRequest
from bacpypes3.basetypes import DateTime
from bacpypes3.ipv4.app import NormalApplication
from bacpypes3.local.device import DeviceObject
from bacpypes3.pdu import Address, IPv4Address
from bacpypes3.primitivedata import Date, ObjectIdentifier, Time

DEVICE = ObjectIdentifier("device,108")
SETPOINT = ObjectIdentifier("analog-value,1")
IDENTITY = ["vendor-name", "model-name", "firmware-revision", "serial-number", "object-name"]


def own_address(controller):
    """That which the system would send from; connecting a datagram socket sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.connect((controller, 47808))
        return udp.getsockname()[0]


async def work(own, controller, seconds):
    end = time.monotonic() + seconds
    device = DeviceObject(objectIdentifier=("device", 200), objectName="workstation", vendorIdentifier=999)
    application = NormalApplication(device, IPv4Address(own + "/24"))
    while not await application.who_is(108, 108, timeout=1):
        pass
    done = {"reads": 0, "refused": 0, "multiple_reads": 0, "writes": 0, "subscriptions": 0, "notifications": 0}
    for name in IDENTITY:
        await application.read_property(controller, DEVICE, name)
        done["reads"] += 1
    try:
        await application.read_property(controller, ObjectIdentifier("analog-value,9"), "present-value")
    except ErrorRejectAbortNack:
        done["refused"] += 1
    now = DateTime(date=Date.now(), time=Time.now())
    await application.request(TimeSynchronizationRequest(time=now, destination=controller))
    async with application.change_of_value(controller, SETPOINT, 7, True, 60) as changes:
        done["subscriptions"] += 1
        await notified(changes, done)
        for value in (30.5, 31.5):
            await application.write_property(controller, SETPOINT, "present-value", value, priority=8)
            done["writes"] += 1
            await notified(changes, done)
    # Leaving the context cancels the subscription, which is a request of the same service.
    done["subscriptions"] += 1
    await application.read_property_multiple(controller, [SETPOINT, ["present-value", "status-flags", "units"]])
    done["multiple_reads"] += 1
    while time.monotonic() < end:
        await application.read_property(controller, SETPOINT, "present-value")
        done["reads"] += 1
        await asyncio.sleep(0.1)
    application.close()
    print(json.dumps(done))


async def notified(changes, done):
    """A notification has two properties."""
    await changes.get_value()
    await changes.get_value()
    done["notifications"] += 1


asyncio.run(work(own_address(sys.argv[1]), Address(sys.argv[1]), float(sys.argv[2])))
