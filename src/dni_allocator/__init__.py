"""Dynamic number insertion: lease numbers to visitors, attribute calls, tell downstream systems.

Owns the version; everything else lives in the rooms below.
"""

__version__ = "0.1.0"
