"""
How fast txhyper is, beside its peers, on this machine.

``python -m benchmarks`` from the checkout, in an environment that has ``.[benchmarks]``, runs all
of it; ``python -m benchmarks --help`` tells the rest. Nothing here is part of the library or of
its tests. The rules that the figures are made by:

* every client is measured in a process of its own, on one core; the servers have another one;
* what is counted is that process's CPU, user and system, around the work alone: not its start,
  not its imports, not its warm-up;
* clients take turns, round by round, so that a machine that slows down does so for all of them,
  and a client's figure is the median of its rounds;
* every client is used through its public interface and as its documentation tells, with default
  settings and with certificates verified;
* every answer's status and length is checked.

=====================  ==================================================================
``workloads.py``       what is asked for
``servers.py``         who answers
``clients/``           who asks: one small module each, all with the same interface
``child.py``           one measured process
``measure.py``         the rounds
``report.py``          tables in text
``document.py``        the page of the documentation
``plot.py``            its picture
``hostile.py``         another command: what the worst of servers cost, see its docstring
=====================  ==================================================================
"""
