"""The control centre: interrogates the remote terminal unit, sets its clock, operates its breaker by select and execute, and moves
its set point to and fro. Usage: iec104_centre.py RTU SECONDS

Prints as JSON its own log: each ASDU that it sent or got, with how often, and each value that it was told.
"""
import collections
import json
import os
import sys
import threading
import time

import c104

COMMON, MEASURAND, BREAKER_STATE, BREAKER, SET_POINT, NOTHING = 47, 11, 21, 12, 13, 99

log = collections.Counter()
states = collections.Counter()
executed = 0
changed = threading.Condition()


def await_that(condition, what):
    with changed:
        if not changed.wait_for(condition, 30):
            sys.exit(f"the remote terminal unit does not {what}")


def asdu(way, data):
    """As the library reads it."""
    global executed
    said = c104.explain_bytes_dict(apdu=data)
    if said["format"] != "I":
        return
    kind, cause, address = said["type"].name, said["cot"].name, said["firstInformationObjectAddress"]
    with changed:
        log[f"{way} {kind} {cause} {said['negative']} {said['commonAddress']} {address}"] += 1
        if (cause, address) == ("ACTIVATION_CON", BREAKER) and not said["select"]:
            executed += 1
        changed.notify_all()


def sent(connection: c104.Connection, data: bytes) -> None:
    asdu("sent", data)


def got(connection: c104.Connection, data: bytes) -> None:
    asdu("got", data)


def told(point: c104.Point, previous_info: c104.Information, message: c104.IncomingMessage) -> c104.ResponseState:
    with changed:
        log[f"told {message.io_address} = {message.info.value}"] += 1
        changed.notify_all()
    return c104.ResponseState.SUCCESS


def state_changed(connection: c104.Connection, state: c104.ConnectionState) -> None:
    with changed:
        states[state] += 1
        changed.notify_all()


def once_more(line, deed, what):
    """Does it, and waits until the log has the line once more. What the library says of its success is not to be relied on: it
    misses an answer that comes at once."""
    before = log[line]
    deed()
    await_that(lambda: log[line] > before, what)


def interrogate():
    line = f"got C_IC_NA_1 ACTIVATION_TERMINATION False {COMMON} 0"
    ask = lambda: connection.interrogation(common_address=COMMON, wait_for_response=False)
    once_more(line, ask, "end the interrogation")


def move(value):
    """Commands the set point; the measurand comes to it."""
    set_point.value = value
    line = f"told {MEASURAND} = {value}"
    once_more(line, lambda: set_point.transmit(cause=c104.Cot.ACTIVATION), f"come to {value}")


end = time.monotonic() + float(sys.argv[2])
client = c104.Client(tick_rate_ms=50, command_timeout_ms=500)
connection = client.add_connection(ip=sys.argv[1], init=c104.Init.MUTED)
connection.on_state_change(callable=state_changed)
connection.on_send_raw(callable=sent)
connection.on_receive_raw(callable=got)
station = connection.add_station(common_address=COMMON)
for address, kind in ((MEASURAND, c104.Type.M_ME_NC_1), (BREAKER_STATE, c104.Type.M_SP_NA_1)):
    station.add_point(io_address=address, type=kind).on_receive(callable=told)
breaker = station.add_point(
    io_address=BREAKER, type=c104.Type.C_SC_NA_1, command_mode=c104.CommandMode.SELECT_AND_EXECUTE
)
set_point = station.add_point(io_address=SET_POINT, type=c104.Type.C_SE_NC_1)
nothing = station.add_point(io_address=NOTHING, type=c104.Type.C_SC_NA_1)
client.start()
await_that(lambda: states[c104.ConnectionState.OPEN_MUTED], "take the connection")
# Left to itself, the library now and then forgets to start the transfer.
connection.unmute()
await_that(lambda: states[c104.ConnectionState.OPEN], "start the transfer")
interrogate()
set_clock = lambda: connection.clock_sync(common_address=COMMON, wait_for_response=False)
once_more(f"got C_CS_NA_1 ACTIVATION_CON False {COMMON} 0", set_clock, "set its clock")
breaker.value = True
while not executed:
    breaker.transmit(cause=c104.Cot.ACTIVATION)
refuse = lambda: nothing.transmit(cause=c104.Cot.ACTIVATION)
once_more(f"got C_SC_NA_1 UNKNOWN_IOA False {COMMON} {NOTHING}", refuse, "refuse what it has not")
move(235.0)
while time.monotonic() < end:
    move(230.0)
    move(235.0)
    time.sleep(0.5)
interrogate()
client.stop()
# The library's threads may still call into an interpreter that winds up, which ends the process by a signal.
print(json.dumps(log), flush=True)
os._exit(0)
