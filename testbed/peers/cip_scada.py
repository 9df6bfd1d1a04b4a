"""The SCADA of a line: asks the controller who it is, in a datagram and in a session, and for its tags, out of a connection and
in one, and writes two of them. Usage: cip_scada.py CONTROLLER SECONDS

Prints as JSON what it did and was answered, with how often.
"""
import collections
import json
import sys
import time

from cpppo.server.enip import client
from cpppo.server.enip.get_attribute import attribute_operations

log = collections.Counter()


def look_for(connection):
    connection.list_identity(timeout=30)
    answer, _ = client.await_response(connection, timeout=30)
    for item in answer.enip.CIP.list_identity.CPF.item:
        log[f"identity {item.identity_object.product_name}"] += 1


def operate(connection, service, operations, **how):
    for _, _, _, _, status, _ in connection.synchronous(operations=operations, timeout=30, **how):
        log[f"{service} {'refused' if status else 'success'}"] += 1


def tags(*texts):
    return client.parse_operations(texts)


controller, end = sys.argv[1], time.monotonic() + float(sys.argv[2])
with client.connector(host=controller, timeout=30, udp=True, broadcast=False) as datagrams:
    look_for(datagrams)
with client.connector(host=controller, timeout=30) as session:
    look_for(session)
    operate(session, "get_attributes_all", attribute_operations(["@1/1"]))
    operate(session, "get_attribute_single", attribute_operations(["@1/1/7"]))
    operate(session, "write_tag", tags("COUNT[1]=(DINT)7"))
    operate(session, "read_tag", tags("COUNT[0-3]", "COUNT[20]"))
    operate(session, "read_tag", tags("SPEED", "RUN"), multiple=400)
with client.implicit(host=controller, timeout=30) as connection:
    log["forward_open success"] += 1
    operate(connection, "write_tag", tags("SPEED=(REAL)1.5"))
    while time.monotonic() < end:
        operate(connection, "read_tag", tags("SPEED"))
        time.sleep(0.1)
print(json.dumps(log))
