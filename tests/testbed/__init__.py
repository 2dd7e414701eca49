"""What the suites stand on: the sidecar as a process, clients that send to it, receivers that stand behind it.

Nothing here imports the sidecar: everything is seen from outside, over sockets, files and exit codes.
"""
