"""The station computer: does to the IED what one does, each once. Usage: ied_client.py IED

Prints as JSON what it did, by the names of the services and of what they are about, with how often; `reports` it was sent.
"""
import asyncio
import collections
import json
import os
import sys

from iec61850 import IedError, RcbWriteMask
from iec61850._native import IedConnection

did = collections.Counter()
BLOCK = "IED1LD0/GGIO1.RP.Events01"


async def main():
    ied = await IedConnection.connect(f"{sys.argv[1]}:102", timeout_ms=5000)
    await ied.get_server_directory()
    did["get_name_list"] += 1
    await ied.read_bool("IED1LD0/GGIO1.Ind1.stVal", "ST")
    did["read IED1LD0/GGIO1$ST$Ind1$stVal"] += 1
    try:
        await ied.read_bool("IED1LD0/GGIO1.Nope.stVal", "ST")
    except IedError:
        did["refused IED1LD0/GGIO1$ST$Nope$stVal"] += 1
    await ied.write_int32("IED1LD0/GGIO1.AnIn1.setPt", "SP", 9)
    did["configure IED1LD0/GGIO1$SP$AnIn1$setPt = 9"] += 1
    await ied.write_uint32("IED1LD0/LLN0.SGCB.ActSG", "SP", 2)
    did["configure IED1LD0/LLN0$SP$SGCB$ActSG = 2"] += 1
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
    await ied.disconnect()
    # The library's threads may still call into an interpreter that winds up, which ends the process by a signal.
    print(json.dumps(did), flush=True)
    os._exit(0)


asyncio.run(main())
