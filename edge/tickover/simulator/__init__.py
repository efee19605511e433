"""A simulated delivery truck: linked signals, sensor noise and labelled faults, from a seed, in constant memory.

>>> from tickover.simulator import Fault, Truck
>>> truck = Truck(seed=7, faults=[Fault("boost_leak", start_s=600, end_s=900)])
>>> block = truck.block(60)
>>> block.values.shape
(60, 18)
"""

from tickover.simulator.faults import KINDS, Fault, Label, random_faults
from tickover.simulator.signals import CHANNELS, SIGNALS, Channel
from tickover.simulator.truck import Truck

__all__ = ["CHANNELS", "KINDS", "SIGNALS", "Channel", "Fault", "Label", "Truck", "random_faults"]
