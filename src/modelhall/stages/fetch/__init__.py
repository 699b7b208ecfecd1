"""fetch: a base from where it lies → an artifact in the layout of Hugging Face: config.json, *.safetensors and, of a
model of texts, tokenizer.json.

What runs code when it is read is never read. All that can be said without knowing the task is checked here, once:
sorts of files, headers, whether there is such a type of model. Whether the base fits what is to be trained is found
out by train. Where bases may be fetched from is left to the sources.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelhall import networks
from modelhall.core import plugins
from modelhall.core.base_models import source_of
from modelhall.core.errors import Rejected
from modelhall.core.files import room
from modelhall.core.orders import FetchOrder, FetchOutput
from modelhall.core.ports.source import Access
from modelhall.core.program import Order, Reporter, open_blobs, private_folder
from modelhall.core.secrets import read_secrets
from modelhall.stages.fetch import layout, licences
from modelhall.tasks import _vocabularies


@room("a base")
def carry_out(order: Order, reporter: Reporter) -> Mapping[str, Any]:
    """Fetch one base; the result is a FetchOutput. Raises Rejected for what is no base, or none that is read here,
    and Full when there is no room on the disk."""
    what = FetchOrder.model_validate(order.what)
    url = source_of(what.base)
    access = Access(
        rules=order.sources,
        folder=order.state / "fetched",
        secrets=read_secrets(),
        wanted=layout.WANTED,
    )
    blobs = open_blobs(order)
    try:
        found = plugins.load_for_url("source", url, default="path").find(url, access)
        with private_folder(order) as place:
            folder = place / "base"
            folder.mkdir()
            taken = layout.lay(found, folder, rules=order.sources)
            networks.check_base(folder)
            _vocabularies.check(folder)
            artifact = blobs.put_folder(folder)
    except Rejected as error:
        if error.field not in (None, "source"):
            raise
        raise Rejected(error.message, field="base") from None
    reporter.progress(1, 1, "bases")
    return FetchOutput(
        artifact=artifact,
        size_bytes=blobs.size_bytes(artifact),
        licence=taken.licence or licences.of_package(url),
        sources=taken.sources,
    ).model_dump(mode="json")
