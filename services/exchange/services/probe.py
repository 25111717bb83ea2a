"""`python -m exchange.services.probe [live|ready]`: asks the process of this container how it is.

The health check of the images. Its exit code is the answer, and it imports next to nothing, since it
runs every few seconds.
"""

import http.client
import os
import sys

TIMEOUT_S = 2.0


def main() -> int:
    """0 where METRICS_ADDR answers that it is so, else 1, with the reason on standard error."""
    path = f"/{sys.argv[1] if len(sys.argv) > 1 else 'live'}"
    port = int(os.environ.get("METRICS_ADDR", ":9100").rpartition(":")[2])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        sentence = answer.read().decode()
    except (OSError, http.client.HTTPException) as fault:
        print(f"port {port} does not answer: {fault}", file=sys.stderr)
        return 1
    finally:
        connection.close()
    print(sentence, file=sys.stderr)
    return 0 if answer.status == http.client.OK else 1


if __name__ == "__main__":
    sys.exit(main())
