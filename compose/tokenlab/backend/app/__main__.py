"""Starts the backend: `python -m app`."""

import logging
import os
import signal
import sys

from app.faults import Faults, Faulty


def main() -> None:
    # A container's first process has no default action for it; uvicorn puts its own in place while it serves.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    logging.basicConfig(level=logging.INFO, format="%(levelname)s:     %(message)s")
    try:
        faults = Faults.read(os.environ)
    except ValueError as error:
        sys.exit(f"ERROR: {error}")
    faults.before_listening()

    import uvicorn

    from app.main import INSTANCE, VERSION, app, stopping

    server = uvicorn.Server(
        uvicorn.Config(
            Faulty(app, faults),
            host=faults.listen,
            port=faults.port,
            forwarded_allow_ips="*",  # only the proxy and the project's own containers reach this port
            timeout_keep_alive=75,  # longer than the proxy's: it never meets a connection closed here
            timeout_graceful_shutdown=8,  # within stop_grace_period
            server_header=False,
            headers=[("x-app-version", VERSION), ("x-app-instance", INSTANCE)],
        )
    )
    stopping.when(lambda: server.should_exit)
    server.run()


if __name__ == "__main__":
    main()
