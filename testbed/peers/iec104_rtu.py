"""The remote terminal unit of a substation: an IEC 104 station whose measurand follows its set point. Usage: iec104_rtu.py ADDRESS

Serves until it is asked to end (SIGTERM); then it prints its own log as JSON: what it was commanded, with how often.
"""
import collections
import datetime
import json
import os
import signal
import sys

import c104

COMMON, MEASURAND, BREAKER_STATE, BREAKER, SET_POINT = 47, 11, 21, 12, 13
STEPS = 4

log = collections.Counter()


def end(*_):
    # The library's threads may still call into an interpreter that winds up, which ends the process by a signal.
    print(json.dumps(log), flush=True)
    os._exit(0)


def move(wanted):
    """On the library's own thread: from another, its locks and that of the interpreter may be taken in opposite orders."""
    began = measurand.value
    for step in range(1, STEPS + 1):
        measurand.value = began + (wanted - began) * step / STEPS
        measurand.transmit(cause=c104.Cot.SPONTANEOUS)


def commanded(point: c104.Point, previous_info: c104.Information, message: c104.IncomingMessage) -> c104.ResponseState:
    log[f"{message.type.name} {message.common_address} {message.io_address} = {message.info.value}"] += 1
    if point.type == c104.Type.C_SE_NC_1:
        move(message.info.value)
    return c104.ResponseState.SUCCESS


def clock_set(server: c104.Server, ip: str, date_time: datetime.datetime) -> c104.ResponseState:
    log["C_CS_NA_1"] += 1
    return c104.ResponseState.SUCCESS


signal.signal(signal.SIGTERM, end)
server = c104.Server(ip=sys.argv[1], tick_rate_ms=50)
server.on_clock_sync(callable=clock_set)
station = server.add_station(common_address=COMMON)
measurand = station.add_point(io_address=MEASURAND, type=c104.Type.M_ME_NC_1)
measurand.value = 230.0
station.add_point(io_address=BREAKER_STATE, type=c104.Type.M_SP_NA_1).value = True
breaker = station.add_point(
    io_address=BREAKER, type=c104.Type.C_SC_NA_1, command_mode=c104.CommandMode.SELECT_AND_EXECUTE
)
set_point = station.add_point(io_address=SET_POINT, type=c104.Type.C_SE_NC_1)
for point in (breaker, set_point):
    point.on_receive(callable=commanded)
server.start()
while True:
    signal.pause()
