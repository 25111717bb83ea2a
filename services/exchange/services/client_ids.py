"""Client order ids for those who send none: of orders, and of cancels, which have ids of their own."""

import base64
import hashlib

from exchange.services.messages import Canceled, Outcome, Replaced


def made_up(seed: bytes, distinction: int = 0) -> str:
    """22 characters that are as unique as the seed; what one seed names needs a distinction each."""
    digest = hashlib.blake2b(seed + distinction.to_bytes(8), digest_size=16).digest()
    return base64.urlsafe_b64encode(digest)[:22].decode()


def of_cancel(outcome: Outcome, order_id: int) -> str:
    """What a cancel is called: as its sender named it, or the same for all who look at it.

    `order_id` is the order that it ended, the first one of a list.
    """
    result = outcome.result.canceled if isinstance(outcome.result, Replaced) else outcome.result
    if isinstance(result, Canceled) and result.client_order_id:
        return result.client_order_id
    return made_up(outcome.request or outcome.uid.to_bytes(8), order_id)
