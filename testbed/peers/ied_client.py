"""A client of the IED: the station computer, or, without SECONDS, the engineer who commissions it. Usage: ied_client.py IED [SECONDS]

The station computer operates the output, has a report sent, and reads five times a second; the engineer does what one does,
each once. Prints as JSON what was done, by the names of the services and of what they are about, with how often; `reports`
that were sent.
"""
import asyncio
import collections
import json
import os
import sys
import time

from iec61850 import IedError, RcbWriteMask
from iec61850._native import IedConnection

did = collections.Counter()
BLOCK = "IED1LD0/GGIO1.RP.Events01"


READ = "read IED1LD0/GGIO1$ST$Ind1$stVal"


async def commission(ied):
    await ied.get_server_directory()
    did["get_name_list"] += 1
    await ied.read_bool("IED1LD0/GGIO1.Ind1.stVal", "ST")
    did[READ] += 1
    try:
        await ied.read_bool("IED1LD0/GGIO1.Nope.stVal", "ST")
    except IedError:
        did["refused IED1LD0/GGIO1$ST$Nope$stVal"] += 1
    await ied.write_int32("IED1LD0/GGIO1.AnIn1.setPt", "SP", 9)
    did["configure IED1LD0/GGIO1$SP$AnIn1$setPt = 9"] += 1
    await ied.write_uint32("IED1LD0/LLN0.SGCB.ActSG", "SP", 2)
    did["configure IED1LD0/LLN0$SP$SGCB$ActSG = 2"] += 1


async def watch(ied, end):
    output = ied.create_control_object("IED1LD0/GGIO2.SPCSO1", "direct-normal")
    output.set_origin(3, b"HMI-1")
    await output.operate(True)
    did["control IED1LD0/GGIO2$CO$SPCSO1$Oper = true"] += 1

    def reported(_):
        did["reports"] += 1

    block = await ied.get_rcb_values(BLOCK)
    await ied.install_report_handler(BLOCK, block.rpt_id, reported)
    block.resv = block.rpt_ena = True
    await ied.set_rcb_values(block, RcbWriteMask.fields("resv", "rpt_ena").bits, True)
    await ied.trigger_gi(BLOCK)
    await ied.poll_reports(1000)
    while time.monotonic() < end:
        await ied.read_bool("IED1LD0/GGIO1.Ind1.stVal", "ST")
        did[READ] += 1
        await asyncio.sleep(0.2)


async def main():
    end = time.monotonic() + float(sys.argv[2]) if len(sys.argv) > 2 else None
    ied = await IedConnection.connect(f"{sys.argv[1]}:102", timeout_ms=30000)
    await (watch(ied, end) if end else commission(ied))
    await ied.disconnect()
    # The library's threads may still call into an interpreter that winds up, which ends the process by a signal.
    print(json.dumps(did), flush=True)
    os._exit(0)


asyncio.run(main())
