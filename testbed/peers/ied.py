"""The IED: an MMS server with an output, a setting group and a report. Usage: ied.py ADDRESS

Serves until it is asked to end (SIGTERM) and its clients have gone; then it prints its own log as JSON: what its output was
commanded, with how often.
"""
import asyncio
import collections
import json
import os
import signal
import sys

import iec61850

log = collections.Counter()


def status(kind, value):
    return [
        {"name": "stVal", "fc": "ST", "type": kind, "trg_ops": ["data_changed"], "value": value},
        {"name": "q", "fc": "ST", "type": "Quality"},
        {"name": "t", "fc": "ST", "type": "Timestamp"},
    ]


SPEC = {
    "ied_name": "IED1",
    "lds": [{
        "inst": "LD0",
        "lns": [
            {
                "lln0": True,
                "dos": [{"name": "Mod", "das": status("Enumerated", {"type": "int", "value": 1})}],
                "sgcb": {"num_of_sg": 3, "act_sg": 1},
            },
            {
                "class": "GGIO", "inst": "1",
                "dos": [
                    {"name": "Ind1", "das": status("Boolean", {"type": "bool", "value": False})},
                    {"name": "AnIn1", "das": [
                        {"name": "setPt", "fc": "SP", "type": "Int32", "value": {"type": "int", "value": 7}},
                    ]},
                ],
            },
            {
                "class": "GGIO", "inst": "2",
                "dos": [{"name": "SPCSO1", "das": status("Boolean", {"type": "bool", "value": False})}],
            },
        ],
    }],
}


async def main():
    server = iec61850.IedServer.from_model_spec(SPEC)
    server.bind(f"{sys.argv[1]}:102")
    server.vendor, server.model_name, server.revision = "ACME", "P123", "1.2.3"
    path = "LD0/GGIO2.SPCSO1"

    def operate(_, value, action):
        log[f"operate {value} {action['ctl_num']} {action['origin']['or_ident']} {action['test']}"] += 1

    server.add_dataset("GGIO1$Events", ["LD0/GGIO1.Ind1.stVal"])
    server.register_urcb(
        "LD0/GGIO1.Events01", dataset="GGIO1$Events", rpt_id="events", conf_rev=1, trg_ops=["data_changed", "gi"],
        opt_flds=["seq_num", "time_stamp", "reason", "data_set", "data_reference"],
    )
    server.on_control(path, ctl_model="direct-normal", operate=operate)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    async with server:
        await ended.wait()
        while server.connection_count > 0:
            await asyncio.sleep(0.02)
        # The library's threads may still call into an interpreter that winds up, which ends the process by a signal.
        print(json.dumps(log), flush=True)
        os._exit(0)


asyncio.run(main())
