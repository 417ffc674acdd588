"""Facts and topics: everything that crosses between midstage's services, and nothing else.

Every topic stands once in ``topics``; every fact is a frozen ``msgspec.Struct`` in the module
named for its topic. This package imports no service, no client and no clock.
"""
