"""A streamed answer, put together from its events into the same dictionaries that an unstreamed one has.

Events: https://platform.claude.com/docs/en/build-with-claude/streaming. Unknown events are skipped, as the API demands;
an unknown *delta* is refused, for the block could not be echoed as it was meant.
"""

import json
from typing import Any, cast

from tasks.errors import ModelNonsense, ModelUnavailable, TroupeError
from workers.llm.base import Block, TextSink
from workers.llm.error_table import STATUS_OF
from workers.llm.failures import from_provider
from workers.llm.replies import UNFINISHED

Json = dict[str, Any]


class MessageAssembly:
    """Takes events one by one; `finish` gives the message."""

    def __init__(self, model: str, on_text: TextSink | None = None) -> None:
        self._model = model
        self._on_text = on_text
        self._message: Json | None = None
        self._blocks: dict[int, Block] = {}
        self._pieces: dict[tuple[int, str], list[str]] = {}
        """Joined at the end: a long answer that grew by each of its pieces would hold up the process for seconds."""
        self._stopped = False

    def add(self, event: Json) -> None:
        """Take the next event.

        Raises:
            ModelNonsense: malformed, or out of order.
            ModelUnavailable, ContractError: the provider reported an error in the stream.
        """
        try:
            self._add(event)
        except (KeyError, TypeError, AttributeError) as error:
            raise ModelNonsense(f"the model's stream has a malformed event: {error!r}") from error

    def _add(self, event: Json) -> None:
        kind = event["type"]
        if kind == "error":
            raise self._reported(event["error"])
        if kind == "message_start":
            self._message = dict(event["message"])
        elif kind == "content_block_start":
            block = dict(event["content_block"])
            self._blocks[event["index"]] = block
            if block["type"] == "text":
                self._show(block.get("text"))
        elif kind == "content_block_delta":
            self._extend(event["index"], event["delta"])
        elif kind == "message_delta":
            self._amend(event)
        elif kind == "message_stop":
            self._stopped = True

    def _extend(self, index: int, delta: Json) -> None:
        block, kind = cast("Json", self._blocks[index]), delta["type"]
        if kind == "text_delta":
            self._append(index, "text", delta["text"])
            self._show(delta["text"])
        elif kind == "thinking_delta":
            self._append(index, "thinking", delta["thinking"])
        elif kind == "signature_delta":
            block["signature"] = delta["signature"]
        elif kind == "citations_delta":
            block["citations"] = [*(block.get("citations") or []), delta["citation"]]
        elif kind == "compaction_delta":
            block.update({name: value for name, value in delta.items() if name != "type" and value is not None})
        elif kind == "input_json_delta":
            self._append(index, "input", delta["partial_json"])
        else:
            raise ModelNonsense(f"the model's stream has a {kind!r}, which this release cannot put together")

    def _append(self, index: int, name: str, piece: object) -> None:
        begun = "" if name == "input" else self._blocks[index].get(name, "")
        if not isinstance(piece, str) or not isinstance(begun, str):
            raise TypeError(f"{name} is not text")
        self._pieces.setdefault((index, name), []).append(piece)

    def _show(self, text: str | None) -> None:
        if text and self._on_text is not None:
            self._on_text(text)

    def _amend(self, event: Json) -> None:
        if self._message is None:
            raise ModelNonsense("the model's stream does not begin with message_start")
        self._message.update(event["delta"])
        # Totals, not increments; a count that is absent here keeps what message_start said.
        totals: Json = event.get("usage") or {}
        counts = {name: count for name, count in totals.items() if count is not None}
        self._message["usage"] = {**self._message["usage"], **counts}

    def finish(self) -> Json:
        """The whole message.

        Raises:
            ModelUnavailable: the stream broke off.
            ModelNonsense: the input of a tool call is not JSON.
        """
        if self._message is None or not self._stopped:
            raise ModelUnavailable(f"the answer of {self._model} broke off in the middle", begun=True)
        for (index, name), pieces in self._pieces.items():
            block, text = cast("Json", self._blocks[index]), "".join(pieces)
            block[name] = self._input(text) if name == "input" else block.get(name, "") + text
        return {**self._message, "content": [block for _, block in sorted(self._blocks.items())]}

    def _input(self, text: str) -> Any:
        assert self._message is not None  # noqa: S101 - narrows; finish() has checked it
        try:
            return json.loads(text) if text else {}
        except (ValueError, RecursionError) as error:
            if self._message.get("stop_reason") in UNFINISHED:
                return {}
            raise ModelNonsense(f"the input of a tool call is not JSON: {error}") from error

    def _reported(self, error: Json) -> TroupeError:
        details: Json = error.get("details") or {}
        reported = from_provider(
            STATUS_OF.get(error["type"], 500),
            str(error.get("message", "")),
            model=self._model,
            error_type=error["type"],
            error_code=details.get("error_code"),
        )
        if isinstance(reported, ModelUnavailable):
            reported.begun = True
        return reported
