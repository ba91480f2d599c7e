# SPDX-License-Identifier: LGPL-2.1-or-later
#
# client.py SOCKET - what python-varlink makes of a broker, a line of JSON each; it ends with the first event that is live
import json
import sys

import varlink


def say(what, value):
    print(json.dumps({what: value}), flush=True)


with varlink.Client.new_with_address("unix:" + sys.argv[1]) as client:
    # The library reads the descriptions to know what can be called.
    say("interfaces", sorted(client.get_interfaces()))
    with client.open("org.forkbus1") as forkbus:
        say("status", forkbus.GetStatus())
        say("process", forkbus.GetProcess(pid=150)["process"])
        say("list", forkbus.ListProcesses(filter={"uids": [1], "comm": ["p1[0-4]*"]})["processes"])
        for name, call in (
            ("process", lambda: forkbus.GetProcess(pid=4194000)),
            ("filter", lambda: forkbus.ListProcesses(filter={"uids": []})),
            ("subscribe", lambda: forkbus.Subscribe()),
        ):
            try:
                say("answered", call())
            except varlink.VarlinkError as error:
                say("error", [name, error.error(), error.parameters()])
        # Nothing comes of it, and the next answer is the next call's.
        forkbus.GetStatus(_oneway=True)
        say("after", forkbus.GetProcess(pid=151)["process"])
        for reply in forkbus.Subscribe(_more=True, snapshot=True):
            for event in reply["events"]:
                say("event", event)
                if event["type"] == "session":
                    sys.exit(0)
